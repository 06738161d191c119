// SPDX-License-Identifier: GPL-2.0-only

/**
 * The commands of an NVMe drive for the data in its namespaces.
 *
 * @module
 */

import { numberOf } from "../../bytes.ts";
import { DmaFault } from "../../../iommu/hardware/dma.ts";
import { ALL_NAMESPACES, type Command, NvmeError, STATUS } from "./commands.ts";
import { checkTransfer, type Data } from "./data.ts";
import type { Features } from "./features.ts";
import { checkNamespace } from "./identify.ts";
import { BLOCK_SIZE } from "./limits.ts";
import type { LogPages } from "./log_pages.ts";
import type { NvmeStorage } from "./storage.ts";

/** Opcodes. */
const IO = {
  flush: 0x00,
  write: 0x01,
  read: 0x02,
  compare: 0x05,
  writeZeroes: 0x08,
  datasetManagement: 0x09,
} as const;

/** What is written must stay at once. */
const FORCE_UNIT_ACCESS = 2 ** 30;
/** Of a dataset: it is not needed any more. */
const DEALLOCATE = 4;
/** Bytes of a range of blocks. */
const RANGE = 16;

/** What the commands are about. */
export interface IoParts {
  readonly data: Data;
  readonly features: Features;
  readonly logs: LogPages;
  /** By number less one. */
  readonly namespaces: readonly NvmeStorage[];
}

/** Carries one out. Throws {@link NvmeError}, or a DmaFault. */
export function io(parts: IoParts, command: Command): void {
  const { namespaces } = parts;
  const { opcode, namespace } = command;
  if (opcode === IO.flush && namespace === ALL_NAMESPACES) {
    return flushAll(namespaces);
  }
  const storage = checkNamespace(namespace, namespaces);
  switch (opcode) {
    case IO.flush:
      return stored(() => storage.flush());
    case IO.write:
      return write(parts, storage, command);
    case IO.read:
      return read(parts, storage, command);
    case IO.compare:
      return compare(parts, storage, command);
    case IO.writeZeroes: {
      const { offset, length } = blocksOf(command, storage);
      return change(
        parts,
        storage,
        command,
        () => storage.zero(offset, length),
      );
    }
    case IO.datasetManagement:
      return manage(parts, storage, command);
    default:
      throw new NvmeError(STATUS.invalidOpcode);
  }
}

/** FLUSH of all. */
export function flushAll(namespaces: readonly NvmeStorage[]): void {
  for (const storage of namespaces) stored(() => storage.flush());
}

function read(
  { data, logs: { reads } }: IoParts,
  storage: NvmeStorage,
  command: Command,
): void {
  const { offset, length } = blocksOf(command, storage);
  checkTransfer(length);
  data.give(command, stored(() => storage.read(offset, length)));
  reads.commands++;
  reads.bytes += length;
}

function write(
  parts: IoParts,
  storage: NvmeStorage,
  command: Command,
): void {
  const { data, logs: { writes } } = parts;
  const { offset, length } = blocksOf(command, storage);
  checkTransfer(length);
  change(parts, storage, command, () => {
    storage.write(offset, length, (bytes) => data.take(command, bytes));
  });
  writes.commands++;
  writes.bytes += length;
}

function compare(
  { data }: IoParts,
  storage: NvmeStorage,
  command: Command,
): void {
  const { offset, length } = blocksOf(command, storage);
  const wanted = new Uint8Array(checkTransfer(length));
  data.take(command, wanted);
  const bytes = stored(() => storage.read(offset, length));
  if (wanted.some((byte, i) => byte !== bytes[i])) {
    throw new NvmeError(STATUS.compareFailure);
  }
}

/** Blocks that are not needed any more read as zeroes. */
function manage(
  parts: IoParts,
  storage: NvmeStorage,
  command: Command,
): void {
  const count = (command.word(10) & 0xff) + 1;
  const ranges = new Uint8Array(RANGE * count);
  parts.data.take(command, ranges);
  if ((command.word(11) & DEALLOCATE) === 0) return;
  for (let at = 0; at < ranges.length; at += RANGE) {
    const length = numberOf(ranges, at + 4, 4) * BLOCK_SIZE;
    const offset = numberOf(ranges, at + 8, 8) * BLOCK_SIZE;
    checkRange(offset, length, storage);
    change(parts, storage, command, () => storage.zero(offset, length));
  }
}

/** Does what changes the data, which wait for a flush only where that was said. */
function change(
  { features }: IoParts,
  storage: NvmeStorage,
  command: Command,
  action: () => void,
): void {
  if (storage.isReadOnly) throw new NvmeError(STATUS.namespaceWriteProtected);
  stored(action);
  const isForced = command.opcode !== IO.datasetManagement &&
    (command.word(12) & FORCE_UNIT_ACCESS) !== 0;
  if (isForced || !features.hasWriteCache) stored(() => storage.flush());
}

/** Does something with the storage, whose errors are those of the command. */
function stored<Result>(action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    if (error instanceof NvmeError || error instanceof DmaFault) throw error;
    throw new NvmeError(STATUS.internalError);
  }
}

/** The bytes that a command is about. */
function blocksOf(
  command: Command,
  storage: NvmeStorage,
): { offset: number; length: number } {
  const offset = command.block * BLOCK_SIZE;
  const length = ((command.word(12) & 0xffff) + 1) * BLOCK_SIZE;
  checkRange(offset, length, storage);
  return { offset, length };
}

function checkRange(
  offset: number,
  length: number,
  { size }: NvmeStorage,
): void {
  if (offset + length > size) throw new NvmeError(STATUS.lbaOutOfRange);
}
