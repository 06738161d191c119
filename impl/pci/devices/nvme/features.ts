// SPDX-License-Identifier: GPL-2.0-only

/**
 * What of an NVMe drive can be set.
 *
 * @module
 */

import { type Command, NvmeError, STATUS } from "./commands.ts";
import { QUEUES } from "./limits.ts";

/** Numbers of features that something here depends on. */
export const FEATURE = { writeCache: 0x06, numberOfQueues: 0x07 } as const;

/** What there is of queues for data, one less each. */
const ALL_QUEUES = (QUEUES - 2) * 2 ** 16 + QUEUES - 2;

/** One feature. */
interface Feature {
  /** Its value after a reset. */
  readonly initial: number;
  /** Which bits of a value can be set; the others must be 0. Default all. */
  readonly mask?: number;
  /** There is one for each message, whose number is in the low half of the value. */
  readonly perVector?: true;
}

/** Those that there are: arbitration, power, temperature, … */
const FEATURES: ReadonlyMap<number, Feature> = new Map([
  [0x01, { initial: 0 }],
  [0x02, { initial: 0, mask: 0xe0 }],
  [0x04, { initial: 0x157 }],
  [0x05, { initial: 0, mask: 0xffff }],
  [FEATURE.writeCache, { initial: 1, mask: 1 }],
  [FEATURE.numberOfQueues, { initial: ALL_QUEUES }],
  [0x08, { initial: 0 }],
  [0x09, { initial: 0, perVector: true }],
  [0x0a, { initial: 0, mask: 1 }],
  [0x0b, { initial: 0 }],
]);

/** What is asked for. */
const SELECT = { current: 0, initial: 1, saved: 2, capabilities: 3 };
/** What all can: they can be changed, not saved, and are not of a namespace. */
const CAPABILITIES = 4;
/** The value is to be saved. */
const SAVE = 2 ** 31;

/** Their values. */
export class Features {
  /** By number and message. */
  readonly #values = new Map<number, number>();

  /** All are as after a reset. */
  reset(): void {
    this.#values.clear();
  }

  /** Whether what is written may wait for a flush. */
  get hasWriteCache(): boolean {
    return this.#valueOf(FEATURE.writeCache, 0) === 1;
  }

  /** GET FEATURES. Throws {@link NvmeError}. */
  get(command: Command): number {
    const id = command.word(10) & 0xff;
    const { initial, perVector } = featureOf(id);
    const vector = perVector ? vectorOf(command) : 0;
    switch (command.word(10) >>> 8 & 7) {
      case SELECT.current:
        return this.#valueOf(id, vector);
      case SELECT.initial:
      case SELECT.saved:
        return initial | vector;
      case SELECT.capabilities:
        return CAPABILITIES;
      default:
        throw new NvmeError(STATUS.invalidField);
    }
  }

  /** SET FEATURES. `queuesInUse`: it is too late to ask for a number of them. Throws {@link NvmeError}. */
  set(command: Command, queuesInUse: boolean): number {
    const id = command.word(10) & 0xff;
    const value = command.word(11);
    const { mask = 0xffffffff, perVector } = featureOf(id);
    if (command.word(10) >= SAVE) {
      throw new NvmeError(STATUS.featureNotSaveable);
    }
    if ((value & ~mask) !== 0) throw new NvmeError(STATUS.invalidField);
    if (id === FEATURE.numberOfQueues) {
      return takeQueues(value, queuesInUse);
    }
    this.#values.set(keyOf(id, perVector ? vectorOf(command) : 0), value);
    return 0;
  }

  #valueOf(id: number, vector: number): number {
    return this.#values.get(keyOf(id, vector)) ??
      (featureOf(id).initial | vector);
  }
}

/** There are as many queues as ever, whatever is asked for. */
function takeQueues(value: number, queuesInUse: boolean): number {
  if (queuesInUse) throw new NvmeError(STATUS.commandSequenceError);
  if ((value & 0xffff) === 0xffff || value >>> 16 === 0xffff) {
    throw new NvmeError(STATUS.invalidField);
  }
  return ALL_QUEUES;
}

function featureOf(id: number): Feature {
  const feature = FEATURES.get(id);
  if (feature === undefined) throw new NvmeError(STATUS.invalidField);
  return feature;
}

function vectorOf(command: Command): number {
  const vector = command.word(11) & 0xffff;
  if (vector >= QUEUES) throw new NvmeError(STATUS.invalidField);
  return vector;
}

function keyOf(id: number, vector: number): number {
  return id * 2 ** 16 + vector;
}
