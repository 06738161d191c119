// SPDX-License-Identifier: GPL-2.0-only

/**
 * The structs of all iommufd ioctls: which sizes, fields and bits each
 * accepts, and a call of each that succeeds.
 *
 * @module
 */

import {
  IOMMU_DESTROY,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_GET_HW_INFO,
  IOMMU_HW_INFO_FLAG_INPUT_TYPE,
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR,
  IOMMU_HWPT_INVALIDATE,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IOMMU_VFIO_IOAS,
  IOMMU_VFIO_IOAS_CLEAR,
  IOMMU_VFIO_IOAS_GET,
  IOMMU_VFIO_IOAS_SET,
  IommuDestroy,
  IommuFaultAlloc,
  IommuHwInfo,
  IommuHwptAlloc,
  IommuHwptGetDirtyBitmap,
  IommuHwptInvalidate,
  IommuHwptSetDirtyTracking,
  IommuIoasAlloc,
  IommuIoasAllowIovas,
  IommuIoasCopy,
  IommuIoasIovaRanges,
  IommuIoasMap,
  IommuIoasUnmap,
  IommuOption,
  IommuVfioIoas,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  MOCK_FLAGS_ACCESS_SYZ,
  TestCheckRefs,
} from "../../impl/uapi/selftest.ts";
import { assertEq, assertTrue } from "../harness/harness.ts";
import {
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_MAP_FILE,
  IommuIoasChangeProcess,
  IommuIoasMapFile,
  memfdMmap,
} from "./file_ioctls.ts";
import { IOMMU_VEVENTQ_ALLOC, IommuVeventqAlloc } from "./vevent_ioctls.ts";
import {
  IOMMU_HW_QUEUE_ALLOC,
  IOMMU_HW_QUEUE_TYPE_SELFTEST,
  IOMMU_VDEVICE_ALLOC,
  IOMMU_VIOMMU_ALLOC,
  IOMMU_VIOMMU_TYPE_SELFTEST,
  IommuHwQueueAlloc,
  IommuVdeviceAlloc,
  IommuViommuAlloc,
  viommuAlloc,
} from "./viommu_ioctls.ts";
import { hwptAlloc, nestedAlloc } from "./hwpt_ioctls.ts";
import { type Iommufd, MAP_RW } from "./ioctls.ts";
import { encodeTestCmd, testCmdForm } from "./mock_ioctls.ts";
import { row, type StructRow, type StructSelf } from "./struct_row.ts";
import { vfioIoas } from "./vfio_ioctls.ts";

/** Maps a page of the buffer at an IOVA that the kernel chooses. */
function mapPage({ io, ioasId }: StructSelf): Promise<bigint> {
  return io.map(ioasId, io.buffer, io.page);
}

/** The ioctls that all revisions have. */
const IOAS_ROWS: readonly StructRow[] = [
  row("destroy", IOMMU_DESTROY, IommuDestroy, {
    last: "id",
    values: async ({ io }) => ({ id: await io.ioasAlloc() }),
  }),
  row("ioas_alloc", IOMMU_IOAS_ALLOC, IommuIoasAlloc, {
    last: "outIoasId",
    replies: true,
    flags: () => 0,
    values: () => ({}),
    done: ({ io }, { outIoasId }) => io.destroy(outIoasId),
  }),
  row("ioas_iova_ranges", IOMMU_IOAS_IOVA_RANGES, IommuIoasIovaRanges, {
    last: "outIovaAlignment",
    replies: true,
    reserved: ["reserved"],
    values: ({ io, ioasId }) => ({
      ioasId,
      numIovas: 1,
      allowedIovas: BigInt(io.scratch),
    }),
    done(_self, { numIovas, outIovaAlignment }) {
      assertEq(numIovas, 1, "ranges");
      assertEq(outIovaAlignment, 1n, "alignment");
    },
  }),
  row("ioas_allow_iovas", IOMMU_IOAS_ALLOW_IOVAS, IommuIoasAllowIovas, {
    last: "allowedIovas",
    reservedLater: ["reserved"],
    values: ({ ioasId }) => ({ ioasId }),
  }),
  row("ioas_map", IOMMU_IOAS_MAP, IommuIoasMap, {
    last: "iova",
    replies: true,
    reserved: ["reserved"],
    flags: () => MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA,
    values: ({ io, ioasId }) => ({
      flags: MAP_RW,
      ioasId,
      userVa: BigInt(io.buffer),
      length: io.page,
    }),
    async done({ io, ioasId }, { iova, length }) {
      assertEq(await io.unmap(ioasId, iova, length), length, "bytes mapped");
    },
  }),
  row("ioas_copy", IOMMU_IOAS_COPY, IommuIoasCopy, {
    last: "srcIova",
    replies: true,
    flags: ({ selftest }) =>
      MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA |
      (selftest.hasSyzFlag ? MOCK_FLAGS_ACCESS_SYZ : 0),
    values: async (self) => ({
      flags: MAP_RW,
      dstIoasId: self.ioasId,
      srcIoasId: self.ioasId,
      length: self.io.page,
      srcIova: await mapPage(self),
    }),
    async done({ io, ioasId }, { srcIova, dstIova, length }) {
      assertTrue(srcIova !== dstIova, "the copy is elsewhere");
      for (const iova of [srcIova, dstIova]) {
        await io.unmap(ioasId, iova, length);
      }
    },
  }),
  row("ioas_unmap", IOMMU_IOAS_UNMAP, IommuIoasUnmap, {
    last: "length",
    replies: true,
    values: async (self) => ({
      ioasId: self.ioasId,
      iova: await mapPage(self),
      length: self.io.page,
    }),
    done({ io }, { length }) {
      assertEq(length, io.page, "bytes unmapped");
    },
  }),
  row("option", IOMMU_OPTION, IommuOption, {
    last: "val64",
    replies: true,
    reservedLater: ["reserved"],
    choices: { op: 2, optionId: 2 },
    values: ({ ioasId }) => ({
      optionId: IOMMU_OPTION_HUGE_PAGES,
      op: IOMMU_OPTION_OP_GET,
      objectId: ioasId,
    }),
    done(_self, { val64 }) {
      assertEq(val64, 1n, "HUGE_PAGES");
    },
  }),
  row("vfio_ioas", IOMMU_VFIO_IOAS, IommuVfioIoas, {
    last: "reserved",
    replies: true,
    reserved: ["reserved"],
    choices: { op: IOMMU_VFIO_IOAS_CLEAR + 1 },
    async values({ io, ioasId }) {
      await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
      return { op: IOMMU_VFIO_IOAS_GET };
    },
    done(self, { ioasId }) {
      assertEq(ioasId, self.ioasId, "compatibility IOAS");
    },
  }),
];

/** The selftest module's ioctl. All of its struct is the operation's. */
const TEST_ROW: StructRow = {
  name: "test_cmd",
  cmd: IOMMU_TEST_CMD,
  needs: [],
  replies: false,
  sizes(revision) {
    const { size, minSize } = testCmdForm(revision);
    return { size, min: minSize };
  },
  bits: [],
  choices: [{ name: "op", field: TestCheckRefs.fields.op, unknown: 100 }],
  prepare({ io }) {
    return Promise.resolve({
      bytes: encodeTestCmd(
        io.revision,
        TestCheckRefs,
        IOMMU_TEST_OP_MD_CHECK_REFS,
        { uptr: BigInt(io.buffer), length: io.page, refs: 0 },
      ),
      done: () => Promise.resolve(),
    });
  },
};

/** The ioctls that came later. */
const HWPT_ROWS: readonly StructRow[] = [
  row("hwpt_alloc", IOMMU_HWPT_ALLOC, IommuHwptAlloc, {
    last: "reserved",
    since: "6.6",
    needs: ["hwpt"],
    replies: true,
    reserved: ["reserved"],
    // hw_pagetable.c does not look at it.
    ignored: ["reserved2"],
    // A fault queue is another matter: its id is looked up.
    flags: ({ attach, hwpt }) =>
      IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
      (attach.hasPasids ? IOMMU_HWPT_ALLOC_PASID : 0) |
      (hwpt.pagingTakesFaultQueue ? IOMMU_HWPT_FAULT_ID_VALID : 0),
    flagsAfterIds: true,
    values: ({ ioasId, idevId }) => ({ devId: idevId, ptId: ioasId }),
    done: ({ io }, { outHwptId }) => io.destroy(outHwptId),
  }),
  row("get_hw_info", IOMMU_GET_HW_INFO, IommuHwInfo, {
    // The last byte of `__reserved[3]`.
    last: "reserved2",
    since: "6.6",
    needs: ["hwpt"],
    replies: true,
    reserved: ["reserved", "reserved1", "reserved2"],
    flags: ({ hwpt }) =>
      hwpt.hwInfoTakesType ? IOMMU_HW_INFO_FLAG_INPUT_TYPE : 0,
    values: ({ idevId }) => ({ devId: idevId }),
    done(_self, { dataLen }) {
      assertEq(dataLen, 8, "bytes of information");
    },
  }),
  row("hwpt_invalidate", IOMMU_HWPT_INVALIDATE, IommuHwptInvalidate, {
    last: "reserved",
    since: "6.8",
    needs: ["hwpt"],
    replies: true,
    reserved: ["reserved"],
    values: ({ nestedId }) => ({
      hwptId: nestedId,
      dataType: IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
    }),
  }),
  row(
    "hwpt_set_dirty_tracking",
    IOMMU_HWPT_SET_DIRTY_TRACKING,
    IommuHwptSetDirtyTracking,
    {
      last: "reserved",
      since: "6.7",
      needs: ["hwpt", "dirty"],
      flags: () => IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
      // hw_pagetable.c does not look at it.
      ignored: ["reserved"],
      values: ({ hwptId }) => ({ hwptId }),
    },
  ),
  row(
    "hwpt_get_dirty_bitmap",
    IOMMU_HWPT_GET_DIRTY_BITMAP,
    IommuHwptGetDirtyBitmap,
    {
      last: "data",
      since: "6.7",
      needs: ["hwpt", "dirty"],
      reserved: ["reserved"],
      flags: () => IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR,
      values: ({ io, hwptId }) => ({
        hwptId,
        iova: io.page,
        length: io.page,
        pageSize: io.page,
        data: BigInt(io.scratch),
      }),
    },
  ),
  row("fault_queue_alloc", IOMMU_FAULT_QUEUE_ALLOC, IommuFaultAlloc, {
    last: "outFaultFd",
    since: "6.11",
    needs: ["faults"],
    replies: true,
    flags: () => 0,
    values: () => ({}),
    async done({ io }, { outFaultId, outFaultFd }) {
      const ret = await io.process.close(outFaultFd);
      assertEq(ret, 0, "close the fault queue");
      await io.destroy(outFaultId);
    },
  }),
];

/** The ioctls about memory that came later. */
const FILE_ROWS: readonly StructRow[] = [
  row("ioas_map_file", IOMMU_IOAS_MAP_FILE, IommuIoasMapFile, {
    last: "iova",
    since: "7.3",
    needs: ["map_file"],
    replies: true,
    flags: () => MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA,
    async values({ io, ioasId }) {
      const { fd } = await memfdMmap(io, io.context.pageSize);
      return { flags: MAP_RW, ioasId, fd, length: io.page };
    },
    async done({ io, ioasId }, { fd, iova, length }) {
      assertEq(await io.unmap(ioasId, iova, length), length, "bytes mapped");
      assertEq(await io.process.close(fd), 0, "close the file");
    },
  }),
  row(
    "ioas_change_process",
    IOMMU_IOAS_CHANGE_PROCESS,
    IommuIoasChangeProcess,
    {
      last: "reserved",
      since: "7.3",
      needs: ["map_file"],
      reserved: ["reserved"],
      values: () => ({}),
    },
  ),
];

/** The ioctls of virtual IOMMUs. */
const VIOMMU_ROWS: readonly StructRow[] = [
  row("viommu_alloc", IOMMU_VIOMMU_ALLOC, IommuViommuAlloc, {
    last: "outViommuId",
    since: "7.3",
    needs: ["hwpt", "viommu"],
    replies: true,
    ignored: ["reserved"],
    flags: () => 0,
    choices: { type: 1 },
    values: ({ idevId, hwptId }) => ({
      type: IOMMU_VIOMMU_TYPE_SELFTEST,
      devId: idevId,
      hwptId,
    }),
    done: ({ io }, { outViommuId }) => io.destroy(outViommuId),
  }),
  row("vdevice_alloc", IOMMU_VDEVICE_ALLOC, IommuVdeviceAlloc, {
    last: "virtId",
    since: "7.3",
    needs: ["hwpt", "viommu"],
    replies: true,
    values: async ({ io, idevId, hwptId }) => ({
      viommuId: await viommuAlloc(io, idevId, hwptId),
      devId: idevId,
      virtId: 2n ** 64n - 1n,
    }),
    async done({ io }, { outVdeviceId, viommuId }) {
      await io.destroy(outVdeviceId);
      await io.destroy(viommuId);
    },
  }),
  row("veventq_alloc", IOMMU_VEVENTQ_ALLOC, IommuVeventqAlloc, {
    last: "outVeventqFd",
    since: "7.3",
    needs: ["hwpt", "viommu"],
    replies: true,
    reserved: ["reserved"],
    flags: () => 0,
    values: async ({ io, idevId, hwptId }) => ({
      viommuId: await viommuAlloc(io, idevId, hwptId),
      type: 1,
      veventqDepth: 1,
    }),
    async done({ io }, { outVeventqFd, outVeventqId, viommuId }) {
      assertEq(await io.process.close(outVeventqFd), 0, "close the queue");
      await io.destroy(outVeventqId);
      await io.destroy(viommuId);
    },
  }),
  row("hw_queue_alloc", IOMMU_HW_QUEUE_ALLOC, IommuHwQueueAlloc, {
    last: "length",
    since: "7.3",
    needs: ["hwpt", "viommu"],
    replies: true,
    flags: () => 0,
    choices: { type: 1 },
    async values(self) {
      const { io, idevId, hwptId } = self;
      const iova = await mapPage(self);
      return {
        viommuId: await viommuAlloc(io, idevId, hwptId),
        type: IOMMU_HW_QUEUE_TYPE_SELFTEST,
        nestingParentIova: iova,
        length: io.page,
      };
    },
    async done({ io, ioasId }, answer) {
      await io.destroy(answer.outHwQueueId);
      await io.destroy(answer.viommuId);
      await io.unmap(ioasId, answer.nestingParentIova, io.page);
    },
  }),
];

/** All ioctls of all revisions. */
export const STRUCT_ROWS: readonly StructRow[] = [
  ...IOAS_ROWS,
  TEST_ROW,
  ...HWPT_ROWS,
  ...FILE_ROWS,
  ...VIOMMU_ROWS,
];

/** Makes the objects that a row's calls need. */
export async function structSelf(
  io: Iommufd,
  { needs }: StructRow,
): Promise<StructSelf> {
  const ioasId = await io.ioasAlloc();
  if (!needs.includes("hwpt")) {
    return { io, ioasId, idevId: 0, hwptId: 0, nestedId: 0 };
  }
  const { idevId } = await io.mock.domain(ioasId);
  const dirty = needs.includes("dirty") ? IOMMU_HWPT_ALLOC_DIRTY_TRACKING : 0;
  const hwptId = await hwptAlloc(io, {
    devId: idevId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_NEST_PARENT | dirty,
  });
  const nestedId = await nestedAlloc(io, idevId, hwptId);
  return { io, ioasId, idevId, hwptId, nestedId };
}
