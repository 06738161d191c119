// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ioctls and their structs in words, for failure reports.
 *
 * @module
 */

import * as iommufd from "../../impl/uapi/iommufd.ts";
import * as mock from "../../impl/uapi/selftest.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import type { Field, Struct } from "../../impl/uapi/struct.ts";
import * as vfio from "../../impl/uapi/vfio.ts";
import type { SentStruct } from "../reports/results.ts";

/** What a report needs of a struct, whatever its fields are. */
type Layout = Pick<Struct<object>, "name" | "size"> & {
  readonly fields: Readonly<Record<string, Field>>;
  decode(bytes: Uint8Array): object;
};

/** The ioctls that take a struct. */
const STRUCTS: readonly (readonly [number, string, Layout])[] = [
  [iommufd.IOMMU_DESTROY, "IOMMU_DESTROY", iommufd.IommuDestroy],
  [iommufd.IOMMU_IOAS_ALLOC, "IOMMU_IOAS_ALLOC", iommufd.IommuIoasAlloc],
  [
    iommufd.IOMMU_IOAS_ALLOW_IOVAS,
    "IOMMU_IOAS_ALLOW_IOVAS",
    iommufd.IommuIoasAllowIovas,
  ],
  [iommufd.IOMMU_IOAS_COPY, "IOMMU_IOAS_COPY", iommufd.IommuIoasCopy],
  [
    iommufd.IOMMU_IOAS_IOVA_RANGES,
    "IOMMU_IOAS_IOVA_RANGES",
    iommufd.IommuIoasIovaRanges,
  ],
  [iommufd.IOMMU_IOAS_MAP, "IOMMU_IOAS_MAP", iommufd.IommuIoasMap],
  [iommufd.IOMMU_IOAS_UNMAP, "IOMMU_IOAS_UNMAP", iommufd.IommuIoasUnmap],
  [iommufd.IOMMU_OPTION, "IOMMU_OPTION", iommufd.IommuOption],
  [iommufd.IOMMU_VFIO_IOAS, "IOMMU_VFIO_IOAS", iommufd.IommuVfioIoas],
  [iommufd.IOMMU_HWPT_ALLOC, "IOMMU_HWPT_ALLOC", iommufd.IommuHwptAlloc],
  [iommufd.IOMMU_GET_HW_INFO, "IOMMU_GET_HW_INFO", iommufd.IommuHwInfo],
  [
    iommufd.IOMMU_HWPT_SET_DIRTY_TRACKING,
    "IOMMU_HWPT_SET_DIRTY_TRACKING",
    iommufd.IommuHwptSetDirtyTracking,
  ],
  [
    iommufd.IOMMU_HWPT_GET_DIRTY_BITMAP,
    "IOMMU_HWPT_GET_DIRTY_BITMAP",
    iommufd.IommuHwptGetDirtyBitmap,
  ],
  [
    iommufd.IOMMU_HWPT_INVALIDATE,
    "IOMMU_HWPT_INVALIDATE",
    iommufd.IommuHwptInvalidate,
  ],
  [
    iommufd.IOMMU_FAULT_QUEUE_ALLOC,
    "IOMMU_FAULT_QUEUE_ALLOC",
    iommufd.IommuFaultAlloc,
  ],
  [vfio.VFIO_IOMMU_GET_INFO, "VFIO_IOMMU_GET_INFO", vfio.VfioIommuType1Info],
  [vfio.VFIO_IOMMU_MAP_DMA, "VFIO_IOMMU_MAP_DMA", vfio.VfioIommuType1DmaMap],
  [
    vfio.VFIO_IOMMU_UNMAP_DMA,
    "VFIO_IOMMU_UNMAP_DMA",
    vfio.VfioIommuType1DmaUnmap,
  ],
];

/** The ioctls whose argument is no struct, or one that is not modelled. */
const PLAIN: readonly (readonly [number, string])[] = [
  [vfio.VFIO_GET_API_VERSION, "VFIO_GET_API_VERSION"],
  [vfio.VFIO_CHECK_EXTENSION, "VFIO_CHECK_EXTENSION"],
  [vfio.VFIO_SET_IOMMU, "VFIO_SET_IOMMU"],
  [vfio.VFIO_IOMMU_DIRTY_PAGES, "VFIO_IOMMU_DIRTY_PAGES"],
];

/** The operations of IOMMU_TEST_CMD, by 6.12's numbers from 1 on. */
const TEST_OPS: readonly (readonly [string, Layout])[] = [
  ["ADD_RESERVED", mock.TestAddReserved],
  ["MOCK_DOMAIN", mock.TestMockDomain],
  ["MD_CHECK_MAP", mock.TestCheckMap],
  ["MD_CHECK_REFS", mock.TestCheckRefs],
  ["CREATE_ACCESS", mock.TestCreateAccess],
  ["DESTROY_ACCESS_PAGES", mock.TestDestroyAccessPages],
  ["ACCESS_PAGES", mock.TestAccessPages],
  ["ACCESS_RW", mock.TestAccessRw],
  ["SET_TEMP_MEMORY_LIMIT", mock.TestMemoryLimit],
  ["MOCK_DOMAIN_REPLACE", mock.TestMockDomainReplace],
  ["ACCESS_REPLACE_IOAS", mock.TestAccessReplaceIoas],
  ["MOCK_DOMAIN_FLAGS", mock.TestMockDomain],
  ["DIRTY", mock.TestDirty],
  ["MD_CHECK_IOTLB", mock.TestCheckIotlb],
  ["TRIGGER_IOPF", mock.TestTriggerIopf],
];

const layouts = new Map(STRUCTS.map(([cmd, , layout]) => [cmd, layout]));
const names = new Map<number, string>([
  ...STRUCTS.map(([cmd, name]) => [cmd, name] as const),
  ...PLAIN,
  [mock.IOMMU_TEST_CMD, "IOMMU_TEST_CMD"],
]);

/** Name of an ioctl: its C constant, or the number in hexadecimal. */
export function ioctlName(cmd: number): string {
  return names.get(cmd) ?? `0x${cmd.toString(16)}`;
}

/**
 * Name of an ioctl with what its struct chooses: `IOMMU_TEST_CMD` is followed
 * by its operation, as in `IOMMU_TEST_CMD MD_CHECK_MAP`.
 */
export function ioctlNameWith(
  cmd: number,
  bytes: Uint8Array,
  revision: Revision,
): string {
  const op = testOp(cmd, bytes, revision);
  return op ? `${ioctlName(cmd)} ${op[0]}` : ioctlName(cmd);
}

/**
 * The struct of an ioctl, decoded. Fields beyond the end of `bytes` are left
 * out; bytes beyond the end of the struct are counted. Undefined where the
 * layout is not known.
 */
export function describeStruct(
  cmd: number,
  bytes: Uint8Array,
  revision: Revision,
): SentStruct | undefined {
  const layout = layouts.get(cmd) ?? testOp(cmd, bytes, revision)?.[1];
  if (layout === undefined) return undefined;

  const whole = new Uint8Array(Math.max(layout.size, bytes.length));
  whole.set(bytes);
  const values = layout.decode(whole) as Record<string, number | bigint>;
  const size = cmd === mock.IOMMU_TEST_CMD
    ? revision.selftest.cmd.size
    : layout.size;
  const fields: Record<string, string> = {};
  for (const [name, { offset }] of Object.entries(layout.fields)) {
    if (offset >= bytes.length) continue;
    fields[cName(name)] = formatValue(name, values[name]!);
  }
  if (bytes.length > size) {
    const rest = bytes.subarray(size);
    const what = rest.some((byte) => byte !== 0) ? "not all zero" : "all zero";
    fields["beyond the end"] = `${rest.length} bytes, ${what}`;
  }
  return { name: layout.name, fields };
}

/** The test operation that a struct asks for, by name. */
function testOp(
  cmd: number,
  bytes: Uint8Array,
  revision: Revision,
): readonly [string, Layout] | undefined {
  if (cmd !== mock.IOMMU_TEST_CMD || bytes.length < 8) return undefined;
  const op = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  return TEST_OPS[op - revision.selftest.cmd.firstOp];
}

/** A field's name in C: `ioasId` is `ioas_id`, `reserved` is `__reserved`. */
function cName(field: string): string {
  if (field.startsWith("reserved")) return `__${field}`;
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Addresses, lengths and flags read best in hexadecimal, sizes and ids in decimal. */
function formatValue(field: string, value: number | bigint): string {
  const hex = typeof value === "bigint" || /flags$/i.test(field);
  return hex ? `0x${value.toString(16)}` : String(value);
}
