// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctls that map memory and unmap it.
 *
 * @module
 */

import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IommuIoasMap,
  IommuIoasUnmap,
} from "../../impl/uapi/iommufd.ts";
import { MAP_RW } from "../../selftests/ioctls/ioctls.ts";
import { type CallStep, ioctl, type Repetition } from "../measuring/steps.ts";

/** Part of an IOAS. */
export interface Range {
  /** The IOAS. */
  readonly ioasId: number;
  /** Its first IOVA. */
  readonly iova: bigint;
  /** Its bytes. */
  readonly length: number;
}

/** Memory, and where it is mapped. */
export interface Mapping extends Range {
  /** Its address. */
  readonly userVa: number;
}

/** IOAS_MAP for reading and writing; without an IOVA the kernel chooses one. */
export function map(
  fd: number,
  { ioasId, userVa, length, iova }: Omit<Mapping, "iova"> & Partial<Mapping>,
  repetition: Repetition<IommuIoasMap> = {},
): CallStep {
  const flags = iova === undefined ? 0 : IOMMU_IOAS_MAP_FIXED_IOVA;
  return ioctl(fd, IommuIoasMap, {
    flags: MAP_RW | flags,
    ioasId,
    userVa: BigInt(userVa),
    length: BigInt(length),
    iova: iova ?? 0n,
  }, repetition);
}

/** IOAS_UNMAP. */
export function unmap(
  fd: number,
  { ioasId, iova, length }: Range,
  repetition: Repetition<IommuIoasUnmap> = {},
): CallStep {
  const values = { ioasId, iova, length: BigInt(length) };
  return ioctl(fd, IommuIoasUnmap, values, repetition);
}

/** Both, for mappings that follow each other at such distances. */
export function mapAndUnmap(
  fd: number,
  mapping: Mapping,
  times = 1,
  sweep: { readonly userVa?: number; readonly iova: number } = { iova: 0 },
): { map: CallStep; unmap: CallStep } {
  const { iova } = sweep;
  return {
    map: map(fd, mapping, { times, sweep }),
    unmap: unmap(fd, mapping, { times, sweep: { iova } }),
  };
}
