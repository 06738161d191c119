// SPDX-License-Identifier: GPL-2.0-only

/**
 * What an NVMe drive remembers: its log pages.
 *
 * @module
 */

import { store } from "../../bytes.ts";
import { NvmeError, STATUS } from "./commands.ts";
import { MAX_ERRORS } from "./limits.ts";

/** Numbers of log pages: errors, health, firmware, commands. */
export const LOG = { errors: 1, health: 2, firmware: 3, commands: 5 } as const;

/** Bytes of an error, and of the other pages. */
const ERROR_SIZE = 64;
const PAGE_SIZE = 512;
const COMMANDS_SIZE = 4096;
/** Kelvin: it is not hot. */
const TEMPERATURE = 300;
/** A command that there is; one that changes data. */
const SUPPORTED = 1;
const CHANGES_DATA = 3;
/** What there is of admin commands and of others, by opcode. */
const ADMIN_COMMANDS = [0, 1, 2, 4, 5, 6, 8, 9, 0xa, 0xc];
const IO_COMMANDS = [0, 2, 5];
const CHANGING_COMMANDS = [1, 8, 9];
/** What is unknown of an error, or of none. */
const UNKNOWN = 0xffff;

/** An error that a command had, or a doorbell. */
export interface LoggedError {
  readonly queue: number;
  /** The command's number; none for a doorbell. */
  readonly id?: number;
  readonly status: number;
  readonly block?: number;
  readonly namespace?: number;
}

/** What was read or written. */
interface Traffic {
  commands: number;
  bytes: number;
}

/** The logs. They outlive resets of the controller. */
export class LogPages {
  /** By commands. */
  readonly reads: Traffic = { commands: 0, bytes: 0 };
  /** By commands. */
  readonly writes: Traffic = { commands: 0, bytes: 0 };
  /** The newest first. */
  readonly #errors: Uint8Array[] = [];
  #errorCount = 0;

  /** Remembers an error. */
  add({ queue, id = UNKNOWN, status, block = 0, namespace = 0 }: LoggedError) {
    const entry = new Uint8Array(ERROR_SIZE);
    store(entry, 0, 8, ++this.#errorCount);
    store(entry, 8, 2, queue);
    store(entry, 10, 2, id);
    store(entry, 12, 2, status << 1);
    store(entry, 14, 2, UNKNOWN);
    store(entry, 16, 8, block);
    store(entry, 24, 4, namespace);
    this.#errors.unshift(entry);
    this.#errors.length = Math.min(this.#errors.length, MAX_ERRORS);
  }

  /** A page. Throws {@link NvmeError} for one that is not there. */
  page(id: number): Uint8Array {
    switch (id) {
      case LOG.errors: {
        const bytes = new Uint8Array(ERROR_SIZE * MAX_ERRORS);
        this.#errors.forEach((error, i) => bytes.set(error, i * ERROR_SIZE));
        return bytes;
      }
      case LOG.health:
        return this.#health();
      case LOG.firmware:
        return firmware();
      case LOG.commands:
        return commands();
      default:
        throw new NvmeError(STATUS.invalidLogPage);
    }
  }

  #health(): Uint8Array {
    const bytes = new Uint8Array(PAGE_SIZE);
    store(bytes, 1, 2, TEMPERATURE);
    // All of the spare blocks are there; fewer than a tenth would be too few.
    bytes[3] = 100;
    bytes[4] = 10;
    // Thousands of 512 bytes.
    store(bytes, 32, 8, Math.ceil(this.reads.bytes / 512_000));
    store(bytes, 48, 8, Math.ceil(this.writes.bytes / 512_000));
    store(bytes, 64, 8, this.reads.commands);
    store(bytes, 80, 8, this.writes.commands);
    // It was switched on once.
    store(bytes, 112, 8, 1);
    store(bytes, 176, 8, this.#errorCount);
    return bytes;
  }
}

/** One, in the first slot. */
function firmware(): Uint8Array {
  const bytes = new Uint8Array(PAGE_SIZE);
  bytes[0] = 1;
  bytes.set(new TextEncoder().encode("1".padEnd(8)), 8);
  return bytes;
}

/** Which commands there are, and what they change. */
function commands(): Uint8Array {
  const bytes = new Uint8Array(COMMANDS_SIZE);
  for (const opcode of ADMIN_COMMANDS) bytes[4 * opcode] = SUPPORTED;
  const io = bytes.subarray(1024);
  for (const opcode of IO_COMMANDS) io[4 * opcode] = SUPPORTED;
  for (const opcode of CHANGING_COMMANDS) io[4 * opcode] = CHANGES_DATA;
  return bytes;
}
