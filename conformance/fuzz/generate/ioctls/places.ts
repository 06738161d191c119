// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ranges of IOVA: what is mapped, and where something could be.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../../impl/uapi/mman.ts";
import { MOCK_APERTURE_START } from "../../../../impl/uapi/selftest.ts";
import type { Chance } from "../chance.ts";
import type { Area, Known, Thing } from "../known/world.ts";

const START = BigInt(MOCK_APERTURE_START);
const PAGE = BigInt(PAGE_SIZE);
/** Pages from the beginning on at which most is mapped. */
const NEAR = 256;

/** A range of IOVA. */
export interface Place {
  readonly iova: Known;
  readonly length: bigint;
  /** Where the memory behind it is; undefined where that is not known. */
  readonly address: number | undefined;
}

/** Numbers at which something is different. */
export const EDGES: readonly bigint[] = [
  0n,
  1n,
  7n,
  2047n,
  2048n,
  4095n,
  4096n,
  4097n,
  2n ** 20n,
  2n ** 21n,
  START - PAGE,
  2n ** 31n - PAGE,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 47n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - PAGE,
  2n ** 64n - 2048n,
  2n ** 64n - 1n,
];

/** An IOVA at which a mock device can have something: mostly free. */
export function newIova(chance: Chance, ioas: Thing | undefined): bigint {
  const last = ioas?.areas.at(-1);
  if (last !== undefined && chance.percent(30)) {
    // Right behind another one: what is contiguous is often treated as one.
    return BigInt.asUintN(64, BigInt(last.iova.value) + last.length);
  }
  const at = START + PAGE * BigInt(chance.below(NEAR));
  if (chance.percent(94)) return at;
  return chance.percent(50) ? at + 2048n : at + BigInt(chance.below(PAGE_SIZE));
}

function plus({ value, from }: Known, more: bigint): Known {
  const sum = BigInt.asUintN(64, BigInt(value) + more);
  if (from === undefined || more === 0n) return { value: sum, from };
  return { value: sum, from: { ...from, plus: (from.plus ?? 0n) + more } };
}

/** The whole of what is mapped, or a part. */
export function partOf(
  chance: Chance,
  { iova, length, address }: Area,
): Place {
  if (chance.percent(55)) return { iova: plus(iova, 0n), length, address };
  const unit = chance.weighted([[75, PAGE], [15, 2048n], [10, 1n]]);
  const units = Number(length / unit) || 1;
  const first = chance.below(units);
  const count = chance.between(1, units - first);
  const skipped = BigInt(first) * unit;
  return {
    iova: plus(iova, skipped),
    length: BigInt(count) * unit,
    address: address === undefined ? undefined : address + Number(skipped),
  };
}
