// SPDX-License-Identifier: GPL-2.0-only

/**
 * The admin commands of an NVMe drive.
 *
 * @module
 */

import type { AsyncEvents } from "./async_events.ts";
import { type Command, NvmeError, STATUS } from "./commands.ts";
import { checkTransfer, type Data } from "./data.ts";
import type { Features } from "./features.ts";
import { type DriveInfo, identify } from "./identify.ts";
import type { LogPages } from "./log_pages.ts";
import type { Queues } from "./queues.ts";

/** Opcodes. */
const ADMIN = {
  deleteSubmissions: 0x00,
  createSubmissions: 0x01,
  getLogPage: 0x02,
  deleteCompletions: 0x04,
  createCompletions: 0x05,
  identify: 0x06,
  abort: 0x08,
  setFeatures: 0x09,
  getFeatures: 0x0a,
  asyncEvent: 0x0c,
} as const;

/** The events that a page is about stay told. */
const RETAIN_EVENT = 1 << 15;

/** What the commands are about. */
export interface AdminParts {
  readonly data: Data;
  readonly queues: Queues;
  readonly features: Features;
  readonly logs: LogPages;
  readonly events: AsyncEvents;
  /** What the drive is. */
  info(): DriveInfo;
}

/** Carries one out; returns its result, or undefined if it is not answered now. Throws {@link NvmeError}, or a DmaFault. */
export function admin(parts: AdminParts, command: Command): number | undefined {
  const { data, queues, features, events } = parts;
  const word = command.word(10);
  switch (command.opcode) {
    case ADMIN.deleteSubmissions:
      queues.deleteSubmissions(word & 0xffff);
      return 0;
    case ADMIN.createSubmissions:
      queues.createSubmissions(command, data.pageSize);
      return 0;
    case ADMIN.getLogPage:
      getLogPage(parts, command);
      return 0;
    case ADMIN.deleteCompletions:
      queues.deleteCompletions(word & 0xffff);
      return 0;
    case ADMIN.createCompletions:
      queues.createCompletions(command, data.pageSize);
      return 0;
    case ADMIN.identify:
      data.give(
        command,
        identify(word & 0xff, command.namespace, parts.info()),
      );
      return 0;
    case ADMIN.abort:
      // For all but events it is too late: each command is carried out at once.
      return (word & 0xffff) === 0 && events.abort(word >>> 16) ? 0 : 1;
    case ADMIN.setFeatures:
      return features.set(command, queues.areInUse);
    case ADMIN.getFeatures:
      return features.get(command);
    case ADMIN.asyncEvent:
      events.wait(command.id);
      return undefined;
    default:
      throw new NvmeError(STATUS.invalidOpcode);
  }
}

/** Part of a page; what is behind its end is zero. */
function getLogPage({ data, logs, events }: AdminParts, command: Command) {
  const word = command.word(10);
  const id = word & 0xff;
  const page = logs.page(id);
  const words = (word >>> 16) + (command.word(11) & 0xffff) * 2 ** 16 + 1;
  const offset = command.word(12) + command.word(13) * 2 ** 32;
  if (offset % 4 !== 0 || offset > page.length) {
    throw new NvmeError(STATUS.invalidField);
  }
  const bytes = new Uint8Array(checkTransfer(4 * words));
  bytes.set(page.subarray(offset, offset + bytes.length));
  data.give(command, bytes);
  if ((word & RETAIN_EVENT) === 0) events.read(id);
}
