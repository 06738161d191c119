// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctls that syzkaller has descriptions of, by their names there and
 * here. Facts: syzkaller's sys/linux/dev_iommu.txt.
 *
 * @module
 */

import { fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import {
  ioctlNumber,
  type Place,
  placeOf,
  type Shape,
  shapeNamed,
} from "../program/layout.ts";

/** What a struct of a described ioctl must have for that description. */
export type Fits = Readonly<Record<string, bigint>>;

/** A description. */
export interface Described {
  /** Its name, without `ioctl$`. */
  readonly name: string;
  /** The ioctl, as {@link Shape} names it. */
  readonly ioctl: string;
  /** The values that the description fixes. */
  readonly fits: Fits;
  /** Its argument is a number, or nothing. */
  readonly isPlain: boolean;
}

function described(ioctl: string, name = ioctl, fits: Fits = {}): Described {
  return { name, ioctl, fits, isPlain: false };
}

function plain(ioctl: string): Described {
  return { name: `IOMMU_${ioctl}`, ioctl, fits: {}, isPlain: true };
}

function testOp(op: string): Described {
  return described(`IOMMU_TEST_CMD ${op}`, `IOMMU_TEST_OP_${op}`);
}

/** All descriptions; of those that fit a call the first one is its name. */
export const DESCRIBED: readonly Described[] = [
  described("IOMMU_DESTROY", "IOMMU_DESTROY$ioas"),
  described("IOMMU_DESTROY", "IOMMU_DESTROY$hwpt"),
  described("IOMMU_DESTROY", "IOMMU_DESTROY$stdev"),
  described("IOMMU_DESTROY", "IOMMU_DESTROY$device"),
  described("IOMMU_IOAS_ALLOC"),
  described("IOMMU_IOAS_IOVA_RANGES"),
  described("IOMMU_IOAS_ALLOW_IOVAS"),
  described("IOMMU_IOAS_MAP"),
  described("IOMMU_IOAS_MAP", "IOMMU_IOAS_MAP$PAGES"),
  described("IOMMU_IOAS_COPY"),
  described("IOMMU_IOAS_COPY", "IOMMU_IOAS_COPY$syz"),
  described("IOMMU_IOAS_UNMAP", "IOMMU_IOAS_UNMAP$ALL", {
    iova: 0n,
    length: 2n ** 64n - 1n,
  }),
  described("IOMMU_IOAS_UNMAP"),
  described("IOMMU_OPTION", "IOMMU_OPTION$IOMMU_OPTION_RLIMIT_MODE", {
    optionId: 0n,
    objectId: 0n,
  }),
  described("IOMMU_OPTION", "IOMMU_OPTION$IOMMU_OPTION_HUGE_PAGES", {
    optionId: 1n,
  }),
  described("IOMMU_VFIO_IOAS", "IOMMU_VFIO_IOAS$GET", { op: 0n }),
  described("IOMMU_VFIO_IOAS", "IOMMU_VFIO_IOAS$SET", { op: 1n }),
  described("IOMMU_VFIO_IOAS", "IOMMU_VFIO_IOAS$CLEAR", { op: 2n, ioasId: 0n }),
  described("IOMMU_HWPT_ALLOC", "IOMMU_HWPT_ALLOC$NONE", { dataType: 0n }),
  described("IOMMU_HWPT_ALLOC", "IOMMU_HWPT_ALLOC$TEST", { dataType: 0xdeadn }),
  described("IOMMU_HWPT_INVALIDATE", "IOMMU_HWPT_INVALIDATE$TEST", {
    dataType: 0xdeadbeefn,
  }),
  described("IOMMU_HWPT_SET_DIRTY_TRACKING"),
  described("IOMMU_HWPT_GET_DIRTY_BITMAP"),
  described("IOMMU_GET_HW_INFO"),
  plain("VFIO_GET_API_VERSION"),
  plain("VFIO_SET_IOMMU"),
  plain("VFIO_CHECK_EXTENSION"),
  described("VFIO_IOMMU_GET_INFO", "IOMMU_VFIO_IOMMU_GET_INFO"),
  described("VFIO_IOMMU_MAP_DMA", "IOMMU_VFIO_IOMMU_MAP_DMA"),
  described("VFIO_IOMMU_UNMAP_DMA", "IOMMU_VFIO_IOMMU_UNMAP_DMA"),
  testOp("ADD_RESERVED"),
  testOp("MOCK_DOMAIN"),
  testOp("MOCK_DOMAIN_FLAGS"),
  testOp("MOCK_DOMAIN_REPLACE"),
  testOp("MD_CHECK_MAP"),
  testOp("MD_CHECK_REFS"),
  testOp("CREATE_ACCESS"),
  testOp("DESTROY_ACCESS_PAGES"),
  testOp("ACCESS_PAGES"),
  described("IOMMU_TEST_CMD ACCESS_PAGES", "IOMMU_TEST_OP_ACCESS_PAGES$syz"),
  testOp("ACCESS_RW"),
  described("IOMMU_TEST_CMD ACCESS_RW", "IOMMU_TEST_OP_ACCESS_RW$syz"),
  testOp("ACCESS_REPLACE_IOAS"),
  testOp("SET_TEMP_MEMORY_LIMIT"),
];

/** The description that has a name; undefined if there is none. */
export function describedAs(name: string): Described | undefined {
  return DESCRIBED.find((each) => `ioctl$${each.name}` === name);
}

/** The shape of what is described; undefined for a plain argument, or where the revision has none. */
export function shapeOfDescribed(
  { ioctl, isPlain }: Described,
  uapi: RevisionName,
): Shape | undefined {
  const [name, op] = ioctl.split(" ") as [string, string?];
  return isPlain ? undefined : shapeNamed(name, op, uapi);
}

/** The number of what is described. */
export function numberOf({ ioctl }: Described): number {
  return ioctlNumber(ioctl.split(" ")[0]!)!;
}

/**
 * The places that a description has, in its order: those of the struct, but
 * for what only came later than the description, or is padding.
 */
export function placesDescribed(
  { name, ioctl }: Described,
  { layout }: Shape,
): readonly Place[] {
  const places = fieldsOf(layout).map((field) => placeOf(layout, field));
  const kept = places.filter(({ name: field, offset }) =>
    !(ioctl.startsWith("IOMMU_TEST_CMD") && field === "last" && offset === 64)
  );
  if (ioctl === "IOMMU_GET_HW_INFO") return HW_INFO;
  if (!name.endsWith("$syz")) return kept;
  // An area by its number and an offset, in place of an IOVA.
  return kept.flatMap((place): Place[] =>
    place.name === (ioctl === "IOMMU_IOAS_COPY" ? "srcIova" : "iova")
      ? [
        { name: "nthArea", offset: place.offset, bytes: 4 },
        { name: "offset", offset: place.offset + 4, bytes: 4 },
      ]
      : [place]
  );
}

/** The struct as it is described: four bytes before the capabilities are one field. */
const HW_INFO: readonly Place[] = [
  { name: "size", offset: 0, bytes: 4 },
  { name: "flags", offset: 4, bytes: 4 },
  { name: "devId", offset: 8, bytes: 4 },
  { name: "dataLen", offset: 12, bytes: 4 },
  { name: "dataUptr", offset: 16, bytes: 8 },
  { name: "outDataType", offset: 24, bytes: 4 },
  { name: "reserved", offset: 28, bytes: 4 },
  { name: "outCapabilities", offset: 32, bytes: 8 },
];
