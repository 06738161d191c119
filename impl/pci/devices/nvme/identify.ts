// SPDX-License-Identifier: GPL-2.0-only

/**
 * What an NVMe drive tells of itself: the structures of IDENTIFY.
 *
 * @module
 */

import { store } from "../../bytes.ts";
import { NvmeError, STATUS } from "./commands.ts";
import {
  BLOCK_SHIFT,
  MAX_ASYNC_EVENTS,
  MAX_ERRORS,
  MAX_TRANSFER_SHIFT,
  VERSION,
} from "./limits.ts";

/** Bytes of each structure. */
const IDENTIFY_SIZE = 4096;
/** Numbers of structures. */
const CNS = { namespace: 0, controller: 1, list: 2, descriptors: 3 };
/** Bits of what is optional. */
const COMPARE = 1 << 0;
const DATASET_MANAGEMENT = 1 << 2;
const WRITE_ZEROES = 1 << 3;
const SELECT_FEATURES = 1 << 4;
/** Log pages: of commands, and any part of a page. */
const LOG_COMMANDS = 1 << 1;
const LOG_PARTS = 1 << 2;
/** A cache that can be flushed, of all namespaces at once too. */
const WRITE_CACHE = 7;
/** ABORT commands that may be there at a time. */
const MAX_ABORTS = 4;

/** What a namespace is. */
export interface NamespaceInfo {
  readonly blocks: number;
  readonly isReadOnly: boolean;
}

/** A drive, and its namespaces by number less one. */
export interface DriveInfo {
  /** Tells it from others: its address. */
  readonly name: string;
  readonly namespaces: readonly NamespaceInfo[];
}

/** A structure by its number. Throws {@link NvmeError} for one that is not there. */
export function identify(
  which: number,
  namespace: number,
  drive: DriveInfo,
): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_SIZE);
  const { namespaces } = drive;
  switch (which) {
    case CNS.namespace:
      describeNamespace(bytes, checkNamespace(namespace, namespaces));
      break;
    case CNS.controller:
      describeController(bytes, drive);
      break;
    case CNS.list:
      listFrom(bytes, namespace, namespaces.length);
      break;
    case CNS.descriptors:
      checkNamespace(namespace, namespaces);
      describeId(bytes, drive.name, namespace);
      break;
    default:
      throw new NvmeError(STATUS.invalidField);
  }
  return bytes;
}

/** A namespace by its number. Throws {@link NvmeError} for one that is not there. */
export function checkNamespace<Kind>(
  number: number,
  namespaces: readonly Kind[],
): Kind {
  const found = namespaces[number - 1];
  if (found === undefined) throw new NvmeError(STATUS.invalidNamespace);
  return found;
}

function describeController(
  bytes: Uint8Array,
  { name, namespaces }: DriveInfo,
): void {
  store(bytes, 0, 2, 0x1b36);
  store(bytes, 2, 2, 0x1af4);
  text(bytes, 4, `kit-${name}`, 20);
  text(bytes, 24, "iommufd-kit NVMe drive", 40);
  text(bytes, 64, "1", 8);
  bytes[77] = MAX_TRANSFER_SHIFT;
  store(bytes, 80, 4, VERSION);
  // It is for data.
  bytes[111] = 1;
  // Counts are one less.
  bytes[258] = MAX_ABORTS - 1;
  bytes[259] = MAX_ASYNC_EVENTS - 1;
  // One slot for firmware, which cannot be changed.
  bytes[260] = 3;
  bytes[261] = LOG_COMMANDS | LOG_PARTS;
  bytes[262] = MAX_ERRORS - 1;
  // Kelvin: where it is hot, and where it is too hot.
  store(bytes, 266, 2, 0x157);
  store(bytes, 268, 2, 0x175);
  // Entries of 64 and of 16 bytes, no others.
  bytes[512] = 0x66;
  bytes[513] = 0x44;
  store(bytes, 516, 4, namespaces.length);
  const optional = COMPARE | DATASET_MANAGEMENT | WRITE_ZEROES |
    SELECT_FEATURES;
  store(bytes, 520, 2, optional);
  bytes[525] = WRITE_CACHE;
  text(bytes, 768, `nqn.2014-08.org.nvmexpress:iommufd-kit:${name}`);
}

function describeNamespace(
  bytes: Uint8Array,
  { blocks, isReadOnly }: NamespaceInfo,
): void {
  for (const at of [0, 8, 16]) store(bytes, at, 8, blocks);
  // What is deallocated reads as zeroes, and can be by WRITE ZEROES.
  bytes[33] = 0x09;
  bytes[99] = isReadOnly ? 1 : 0;
  bytes[130] = BLOCK_SHIFT;
}

/** The namespaces with a higher number. */
function listFrom(bytes: Uint8Array, above: number, count: number): void {
  if (above >= 0xfffffffe) throw new NvmeError(STATUS.invalidNamespace);
  for (let number = above + 1, at = 0; number <= count; number++, at += 4) {
    store(bytes, at, 4, number);
  }
}

/** An identifier of the namespace: an EUI-64, of the drive's address and its number. */
function describeId(bytes: Uint8Array, name: string, namespace: number): void {
  bytes.set([1, 8, 0, 0, 0x52, 0x54]);
  const [domain = "0", bus = "0", slot = "0"] = name.split(/[:.]/);
  const address = [domain, bus, slot].map((part) => parseInt(part, 16) & 0xff);
  bytes.set(address, 6);
  bytes[9] = parseInt(name.slice(-1), 16);
  store(bytes, 10, 2, namespace);
}

/** ASCII, padded with blanks to a length that it has at most. */
function text(
  bytes: Uint8Array,
  at: number,
  value: string,
  length = value.length,
): void {
  const ascii = new TextEncoder().encode(value.padEnd(length).slice(0, length));
  bytes.set(ascii, at);
}
