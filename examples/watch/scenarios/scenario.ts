// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a scenario is, and how most of them begin.
 *
 * @module
 */

import type { Lifetime } from "../../../impl/uapi/revision/versions.ts";

/** A program to watch, with a comment in front of each step that says what to look at. */
export interface Scenario extends Lifetime {
  /** Its name in links. */
  readonly id: string;
  /** What it shows. */
  readonly title: string;
  /** The program. */
  readonly text: string;
}

/** Memory at an address, to share. */
export function memory(length: number, address = 0x10000000): string {
  const rights = "PROT_READ | PROT_WRITE";
  const flags = "MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED";
  return `mmap(${hex(address)}, ${hex(length)}, ${rights}, ${flags}, -1, 0)`;
}

/** An iommufd with an IOAS. */
export const IOMMUFD = `$iommufd = open("/dev/iommu", O_RDWR)
$ioas = ioctl($iommufd, IOMMU_IOAS_ALLOC, {})`;

/** Memory, and an iommufd with an IOAS. */
export function scene(length: number): string {
  return `$memory = ${memory(length)}\n${IOMMUFD}`;
}

/** Maps memory in the IOAS at an IOVA. */
export function map(length: number, iova: number, offset = 0): string {
  const flags = "flags: FIXED_IOVA | WRITEABLE | READABLE";
  const from = offset === 0 ? "$memory" : `$memory + ${hex(offset)}`;
  return `ioctl($iommufd, IOMMU_IOAS_MAP, {${flags}, ioasId: $ioas.outIoasId, userVa: ${from}, length: ${
    hex(length)
  }, iova: ${hex(iova)}})`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
