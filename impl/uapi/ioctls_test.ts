// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ioctl, type IoctlStruct } from "./ioctl.ts";
import { IOCTLS, TEST_OPS, VFIO_IOCTLS } from "./ioctls.ts";
import { IommuHwInfo, IommuHwptAlloc } from "./iommufd.ts";
import { VERSIONS } from "./revision/versions.ts";
import * as role from "./layout/roles.ts";
import { TestCmd } from "./selftest.ts";
import { type Field, fieldsOf, type Struct } from "./layout/struct.ts";
import * as uapi from "./mod.ts";

/** What the user API exports. */
const EXPORTS: readonly [string, unknown][] = Object.entries(uapi);
/** All structs of the user API. */
const STRUCTS: readonly Struct<object>[] = EXPORTS.map(([, value]) => value)
  .filter(isStruct);

function isStruct(value: unknown): value is Struct<object> {
  return typeof value === "object" && value !== null && "offsetofend" in value;
}

/** The layouts that a C compiler gives the structs of Linux 6.12: size, and type and offset of each field. */
const C_LAYOUTS = `
iommu_destroy 8: size 0 id 4
iommu_ioas_alloc 12: size 0 flags 4 outIoasId 8
iommu_iova_range 16: start 0 last 8
iommu_ioas_iova_ranges 32: size 0 ioasId 4 numIovas 8 reserved 12 allowedIovas 16 outIovaAlignment 24
iommu_ioas_allow_iovas 24: size 0 ioasId 4 numIovas 8 reserved 12 allowedIovas 16
iommu_ioas_map 40: size 0 flags 4 ioasId 8 reserved 12 userVa 16 length 24 iova 32
iommu_ioas_change_process 8: size 0 reserved 4
iommu_ioas_copy 40: size 0 flags 4 dstIoasId 8 srcIoasId 12 length 16 dstIova 24 srcIova 32
iommu_ioas_map_file 40: size 0 flags 4 ioasId 8 fd 12 start 16 length 24 iova 32
iommu_ioas_noiommu_get_pa 40: size 0 flags 4 ioasId 8 reserved 12 iova 16 length 24 outPhys 32
iommu_ioas_unmap 24: size 0 ioasId 4 iova 8 length 16
iommu_option 24: size 0 optionId 4 op 8 reserved 10 objectId 12 val64 16
iommu_vfio_ioas 12: size 0 ioasId 4 op 8 reserved 10
iommu_hwpt_alloc 48: size 0 flags 4 devId 8 ptId 12 outHwptId 16 reserved 20 dataType 24 dataLen 28 dataUptr 32 faultId 40 reserved2 44
iommu_hw_info 40: size 0 flags 4 devId 8 dataLen 12 dataUptr 16 outDataType 24 outMaxPasidLog2 28 reserved 29 reserved1 30 reserved2 31 outCapabilities 32
iommu_hwpt_set_dirty_tracking 16: size 0 flags 4 hwptId 8 reserved 12
iommu_hwpt_get_dirty_bitmap 48: size 0 hwptId 4 flags 8 reserved 12 iova 16 length 24 pageSize 32 data 40
iommu_hwpt_invalidate 32: size 0 hwptId 4 dataUptr 8 dataType 16 entryLen 20 entryNum 24 reserved 28
iommu_fault_alloc 16: size 0 flags 4 outFaultId 8 outFaultFd 12
iommu_hwpt_pgfault 40: flags 0 devId 4 pasid 8 grpid 12 perm 16 reserved 20 addr 24 length 32 cookie 36
iommu_hwpt_page_response 8: cookie 0 code 4
iommu_viommu_alloc 40: size 0 flags 4 type 8 devId 12 hwptId 16 outViommuId 20 dataLen 24 reserved 28 dataUptr 32
iommu_vdevice_alloc 24: size 0 viommuId 4 devId 8 outVdeviceId 12 virtId 16
iommu_veventq_alloc 32: size 0 flags 4 viommuId 8 type 12 veventqDepth 16 outVeventqId 20 outVeventqFd 24 reserved 28
iommufd_vevent_header 8: flags 0 sequence 4
iommu_hw_queue_alloc 40: size 0 flags 4 viommuId 8 type 12 index 16 outHwQueueId 20 nestingParentIova 24 length 32
iommu_viommu_selftest 24: inData 0 outData 4 outMmapOffset 8 outMmapLength 16
iommu_viommu_invalidate_selftest 12: flags 0 vdevId 4 cacheId 8
iommu_viommu_event_selftest 4: virtId 0
iommu_test_hw_info 8: flags 0 testReg 4
iommu_hwpt_selftest 8: iotlb 0 pagetableType 4
iommu_hwpt_invalidate_selftest 8: flags 0 iotlbId 4
vfio_iommu_type1_info 24: argsz 0 flags 4 iovaPgsizes 8 capOffset 16
vfio_info_cap_header 8: id 0 version 2 next 4
vfio_iommu_type1_info_cap_iova_range 16: id 0 version 2 next 4 nrIovas 8 reserved 12
vfio_iommu_type1_info_dma_avail 12: id 0 version 2 next 4 avail 8
vfio_iommu_type1_dma_map 32: argsz 0 flags 4 vaddr 8 iova 16 length 24
vfio_iommu_type1_dma_unmap 24: argsz 0 flags 4 iova 8 length 16
vfio_group_status 8: argsz 0 flags 4
vfio_device_bind_iommufd 24: argsz 0 flags 4 iommufd 8 outDevid 12 tokenUuidPtr 16
vfio_device_attach_iommufd_pt 16: argsz 0 flags 4 ptId 8 pasid 12
vfio_device_detach_iommufd_pt 12: argsz 0 flags 4 pasid 8
vfio_device_info 24: argsz 0 flags 4 numRegions 8 numIrqs 12 capOffset 16 pad 20
vfio_region_info 32: argsz 0 flags 4 index 8 capOffset 12 length 16 offset 24
vfio_irq_info 16: argsz 0 flags 4 index 8 count 12
vfio_device_feature 8: argsz 0 flags 4
vfio_device_feature_dma_buf 16: regionIndex 0 openFlags 4 flags 8 nrRanges 12
vfio_region_dma_range 16: offset 0 length 8
vfio_device_feature_migration 8: flags 0
vfio_device_feature_mig_state 8: deviceState 0 dataFd 4
vfio_device_feature_mig_data_size 8: stopCopyLength 0
vfio_precopy_info 24: argsz 0 flags 4 initialBytes 8 dirtyBytes 16
vfio_device_feature_dma_logging_control 24: pageSize 0 numRanges 8 reserved 12 ranges 16
vfio_device_feature_dma_logging_range 16: iova 0 length 8
vfio_device_feature_dma_logging_report 32: iova 0 length 8 pageSize 16 bitmap 24
vfio_pci_dependent_device 8: devid 0 segment 4 bus 6 devfn 7
vfio_pci_hot_reset_info 12: argsz 0 flags 4 count 8
vfio_pci_hot_reset 12: argsz 0 flags 4 count 8
vfio_device_ioeventfd 32: argsz 0 flags 4 offset 8 data 16 fd 24 reserved 28
vfio_iommu_type1_info_cap_migration 32: id 0 version 2 next 4 flags 8 pgsizeBitmap 16 maxDirtyBitmapSize 24
vfio_bitmap 24: pgsize 0 length 8 data 16
vfio_iommu_type1_dirty_bitmap 8: argsz 0 flags 4
vfio_iommu_type1_dirty_bitmap_get 16: iova 0 length 8
vfio_irq_set 20: argsz 0 flags 4 index 8 start 12 count 16
ADD_RESERVED 72: start 16 length 24
MOCK_DOMAIN 72: outStdevId 16 outHwptId 20 outIdevId 24
MD_CHECK_MAP 72: iova 16 length 24 uptr 32
MD_CHECK_REFS 72: length 16 uptr 24 refs 32
CREATE_ACCESS 72: outAccessFd 16 flags 20
DESTROY_ACCESS_PAGES 72: accessPagesId 16
ACCESS_PAGES 72: flags 16 outAccessPagesId 20 iova 24 length 32 uptr 40
ACCESS_RW 72: iova 16 length 24 uptr 32 flags 40
SET_TEMP_MEMORY_LIMIT 72: limit 16
MOCK_DOMAIN_REPLACE 72: ptId 16
ACCESS_REPLACE_IOAS 72: ioasId 16
MOCK_DOMAIN_FLAGS 72: outStdevId 16 outHwptId 20 outIdevId 24 devFlags 28
DMABUF_GET 72: length 16 openFlags 20
DMABUF_REVOKE 72: dmabufFd 16 revoked 20
DIRTY 72: flags 16 iova 24 length 32 pageSize 40 uptr 48 outNrDirty 56
MD_CHECK_IOTLB 72: iotlbId 16 iotlb 20
TRIGGER_IOPF 72: devId 16 pasid 20 grpid 24 perm 28 addr 32
DEV_CHECK_CACHE 72: cacheId 16 cache 20
TRIGGER_VEVENT 72: devId 16
PASID_ATTACH 72: pasid 16 ptId 20
PASID_REPLACE 72: pasid 16 ptId 20
PASID_DETACH 72: pasid 16
PASID_CHECK_HWPT 72: pasid 16 hwptId 20
iommu_test_cmd 72: size 0 op 4 id 8 reserved 12 last 64
`;

/** A struct in the words of {@link C_LAYOUTS}. */
function inWords(layout: Struct<object>): string {
  const isOp = "op" in layout;
  const own = fieldsOf(layout).filter(({ name }) =>
    !isOp || !(name in TestCmd.fields)
  );
  const name = isOp
    ? (layout as typeof TEST_OPS[number]).op.name.slice(14)
    : layout.name;
  const fields = own.map(({ name, offset }) => `${name} ${offset}`);
  return `${name} ${layout.size}: ${fields.join(" ")}`;
}

/** Every field that another one's role names, with that one's struct. */
function references(layout: Struct<object>): [string, string][] {
  return fieldsOf(layout).flatMap(({ role }): [string, string][] => {
    if (role.kind !== "pointer") return [];
    const { unit, formats } = role.extent;
    const list: [string, string][] = [[role.count, "length count"]];
    if (formats) list.push([formats.field, "choice"]);
    if (unit === undefined || "fields" in unit) return list;
    if ("bytesIn" in unit) list.push([unit.bytesIn, "length"]);
    else list.push([unit.bitPer, "alignment"]);
    return list;
  });
}

describe("the table of ioctls", () => {
  it("has every struct as C lays it out", () => {
    assertEquals(
      STRUCTS.map(inWords).sort(),
      C_LAYOUTS.trim().split("\n").sort(),
    );
  });

  it("has a row for each number and each name", () => {
    for (const table of [IOCTLS, VFIO_IOCTLS]) {
      const numbers = table.map(({ ioctl }) => ioctl.number);
      assertEquals(new Set(numbers).size, numbers.length);
    }
    const rows = [...IOCTLS, ...VFIO_IOCTLS].map(({ ioctl }) => ioctl);
    assertEquals(new Set(rows.map(({ name }) => name)).size, rows.length);
    const constants = EXPORTS.filter(([name, value]) =>
      typeof value === "number" && value >> 8 === uapi.IOMMUFD_TYPE &&
      !name.endsWith("_TYPE")
    );
    assertEquals(
      rows.map(({ name, number }): [string, unknown] => [name, number]).sort(),
      constants.sort(),
    );
  });

  it("has a row for each test operation", () => {
    assertEquals(
      TEST_OPS.map((
        { op },
      ): [string, unknown] => [op.name, op.number]),
      EXPORTS.filter(([name]) => /^IOMMU_TEST_OP_/.test(name))
        .sort(([, a], [, b]) => Number(a) - Number(b)),
    );
  });

  it("gives every field a role that fits its type", () => {
    const types: Readonly<Record<string, readonly string[]>> = {
      pointer: ["u64"],
      iova: ["u64"],
      alignment: ["u64"],
      id: ["u32"],
      fd: ["u32", "s32"],
      size: ["u32"],
      count: ["u32"],
      chain: ["u32"],
    };
    for (const layout of STRUCTS) {
      for (const { name, role, type } of fieldsOf(layout)) {
        const allowed = types[role.kind] ?? [type];
        assert(allowed.includes(type), `${layout.name}.${name}`);
        assertEquals(role.kind === "size", /^(size|argsz)$/.test(name), name);
        if (name.startsWith("reserved")) {
          assert(/reserved|unused/.test(role.kind), `${layout.name}.${name}`);
        }
      }
    }
  });

  it("names other fields that there are, in the roles that are meant", () => {
    let seen = 0;
    for (const layout of STRUCTS) {
      const fields = layout.fields as Readonly<Record<string, Field>>;
      for (const [name, kinds] of references(layout)) {
        const kind = fields[name]?.role.kind;
        assert(kind && kinds.includes(kind), `${layout.name}.${name}: ${kind}`);
        seen++;
      }
    }
    assertEquals(seen, 22);
  });

  it("has bits that do not overlap, and values that differ", () => {
    for (const field of STRUCTS.flatMap(fieldsOf)) {
      const { role } = field;
      if (role.kind === "flags") {
        const bits = Object.values(role.bits).map(BigInt);
        const all = bits.reduce((sum, bit) => sum | bit, 0n);
        assertEquals(bits.reduce((sum, bit) => sum + bit, 0n), all, field.name);
        assertEquals(bits.every((bit) => (bit & (bit - 1n)) === 0n), true);
      }
      if (role.kind === "choice") {
        const values = Object.values(role.values);
        assertEquals(new Set(values).size, values.length, field.name);
      }
    }
  });

  it("knows how long a struct was when it came, and what a caller must provide", () => {
    const sizes = (layout: IoctlStruct<object>, since: number) =>
      VERSIONS.slice(since, 11).map(layout.sizeIn);
    const from6_6 = VERSIONS.indexOf("6.6");
    assertEquals(sizes(IommuHwptAlloc, from6_6), [24, 40, 40, 40, 40, 48]);
    assertEquals(sizes(IommuHwInfo, from6_6), [32, 40, 40, 40, 40, 40]);
    assertEquals(sizes(TestCmd, 0).slice(0, 7), [56, 56, 56, 56, 56, 56, 72]);
    assertEquals(IommuHwptAlloc.minSizeIn("6.12"), 24);
    assertEquals(IommuHwInfo.minSizeIn("6.12"), 32);
    assertEquals(TestCmd.minSizeIn("v3"), 52);
    assertEquals(TestCmd.minSizeIn("6.12"), 68);
  });

  it("can ask for less than a struct had when it came", () => {
    interface Short {
      size: number;
      out: number;
      reserved: number;
    }
    const layout = ioctl<Short>(
      { SHORT: 1 },
      "short",
      { size: role.size(), out: role.u32(), reserved: role.reserved() },
      "out",
    );
    assertEquals([layout.size, layout.minSizeIn("6.12")], [12, 8]);
  });
});

describe("a struct", () => {
  it("fills in its size, keeps what is given, and is zero elsewhere", () => {
    const bytes = uapi.IommuIoasMap.encode({ ioasId: 7, iova: 2n ** 64n - 1n });
    const { size, ioasId, iova, ...rest } = uapi.IommuIoasMap.decode(bytes);
    assertEquals([size, ioasId, iova], [40, 7, 2n ** 64n - 1n]);
    const zero = { flags: 0, reserved: 0, userVa: 0n, length: 0n };
    assertEquals(rest, zero);
    assertEquals(
      uapi.IommuDestroy.decode(uapi.IommuDestroy.encode({ size: 3 })),
      {
        size: 3,
        id: 0,
      },
    );
  });

  it("takes a u64 as a number too, if it is exact", () => {
    const given = { userVa: 2 ** 47, length: 4096n, iova: -1 };
    const bytes = uapi.IommuIoasMap.encode(given);
    const { userVa, length, iova } = uapi.IommuIoasMap.decode(bytes);
    const exact = [2n ** 47n, 4096n, 2n ** 64n - 1n];
    assertEquals([userVa, length, iova], exact);
    for (const wrong of [2 ** 53, 1.5, NaN]) {
      assertThrows(
        () => uapi.IommuIoasMap.encode({ length: wrong }),
        RangeError,
        `length must be an integer, and a bigint above 2^53-1, not the number ${wrong}`,
      );
    }
  });

  it("is a live view, which does not read beyond its bytes", () => {
    const bytes = uapi.IommuOption.encode();
    uapi.IommuOption.at(bytes).op = 0x1234;
    assertEquals([bytes[8], bytes[9], bytes[10]], [0x34, 0x12, 0]);
    assertThrows(() => uapi.IommuOption.at(bytes.subarray(1)), RangeError);
  });
});
