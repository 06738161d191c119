// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_hwpt`: what HWPT_ALLOC refuses, and in which order.
 *
 * @module
 */

import {
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
  IommuHwptAlloc,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_IOTLB_DEFAULT,
} from "../../impl/uapi/selftest.ts";
import { MAP_PRIVATE } from "../../impl/uapi/mman.ts";
import { assertEq, assertTrue } from "../harness/harness.ts";
import { addSteps } from "../harness/table.ts";
import {
  checkIotlb,
  hwptAlloc,
  hwptData,
  HwptSelftest,
  hwptSelftestSize,
  MOCK_IOMMUPT_DEFAULT,
  MOCK_IOMMUPT_HUGE,
  nestedAlloc,
} from "../ioctls/hwpt_ioctls.ts";
import { type HwptFixture, type HwptSelf, parentAlloc } from "./kit_hwpt.ts";

const NEST_PARENT = IOMMU_HWPT_ALLOC_NEST_PARENT;
const DIRTY = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
const FAULT = IOMMU_HWPT_FAULT_ID_VALID;
const PASID = IOMMU_HWPT_ALLOC_PASID;

/** What a table shares that uses no id up: the next one. */
async function expectId(self: HwptSelf): Promise<HwptSelf & { next: number }> {
  return { ...self, next: await self.io.nextId() };
}

/** Allocates a parent that tracks, which gets the next id. */
async function allocExpected(
  { io, ioasId, idevId, next }: HwptSelf & { next: number },
): Promise<void> {
  const flags = DIRTY | NEST_PARENT;
  const id = await hwptAlloc(io, { devId: idevId, ptId: ioasId, flags });
  assertEq(id, next, "id");
}

/** Adds the tests to the fixture. */
export function registerErrnos(f: HwptFixture): void {
  registerOrder(f);
  registerData(f);
}

/** What is refused, and in which order. */
function registerOrder(f: HwptFixture): void {
  f.table("alloc_order", {
    description:
      "HWPT_ALLOC on an IOAS checks in Linux's order, and a refusal uses no id up",
    rules: ["C2.9", "C2.20"],
    prepare: expectId,
    finish: allocExpected,
  }, (t, _, { attach, hwpt }) => {
    const wrong = {
      reserved: 1,
      dataType: 1,
      devId: 999,
      ptId: 999,
      flags: 1 << 4,
      faultId: 999,
    };
    type Steps = Parameters<
      typeof addSteps<HwptSelf, Partial<IommuHwptAlloc>>
    >[2];
    const queue: Steps = hwpt.pagingTakesFaultQueue
      ? [
        [
          "an id of nothing as fault queue",
          ENOENT,
          ({ ioasId }) => ({ faultId: ioasId }),
        ],
        ["an IOAS as fault queue", ENOENT, () => ({})],
      ]
      : [["a fault queue", EOPNOTSUPP, () => ({ flags: PASID })]];
    const pasid: Steps = attach.hasPasids
      ? []
      : [["a HWPT for PASIDs", EOPNOTSUPP, () => ({ flags: 0 })]];
    addSteps<HwptSelf, Partial<IommuHwptAlloc>>(t, wrong, [
      ["a reserved field", EOPNOTSUPP, () => ({ reserved: 0 })],
      [
        "a type of data without length",
        EINVAL,
        () => ({ dataType: 0, dataLen: 4 }),
      ],
      ["a length without type", EINVAL, () => ({ dataLen: 0 })],
      ["an id of nothing", ENOENT, ({ stdevId }) => ({ devId: stdevId })],
      ["no device", ENOENT, ({ idevId }) => ({ devId: idevId })],
      [
        "an id of nothing as parent",
        EINVAL,
        ({ stdevId }) => ({ ptId: stdevId }),
      ],
      ["neither IOAS nor HWPT", EINVAL, ({ ioasId }) => ({ ptId: ioasId })],
      [
        "an unknown flag",
        EOPNOTSUPP,
        () => ({ flags: FAULT | NEST_PARENT }),
      ],
      ["a fault queue of a parent", EOPNOTSUPP, () => ({ flags: FAULT })],
      ...queue,
      ...pasid,
    ], ({ io }, values, errno) => hwptAlloc(io, values, errno));
    // Without FAULT_ID_VALID nobody looks at the fault queue's id.
    t.case("a fault queue's id without its flag", async (self) => {
      const { io, ioasId, idevId } = self;
      const values = { devId: idevId, ptId: ioasId, faultId: 999 };
      await io.destroy(await hwptAlloc(io, values));
    });
  });

  f.table("alloc_flags", {
    description: "HWPT_ALLOC takes its flags in every combination that it has",
    rules: ["C2.20"],
    prepare: expectId,
    finish: allocExpected,
  }, (t, _, { attach }) => {
    const known = DIRTY | NEST_PARENT | (attach.hasPasids ? PASID : 0);
    for (let flags = 0; flags <= known; flags++) {
      if (flags & ~known) continue;
      t.case(`flags ${flags}`, async ({ io, ioasId, idevId }) => {
        const values = { devId: idevId, ptId: ioasId, flags };
        await io.destroy(await hwptAlloc(io, values));
      });
    }
  });

  registerNestedOrder(f);

  f.test("other_context", {
    description: "Devices, IOAS and HWPTs of another context are unknown",
    rules: ["C3.3"],
  }, async (self) => {
    const { io, ioasId, idevId } = self;
    const parent = await parentAlloc(self);
    const other = await io.reopen();
    await other.ioasAlloc();
    await hwptAlloc(other, { devId: idevId, ptId: 1 }, ENOENT);
    const { idevId: devId } = await other.mock.domain(1);
    assertTrue(parent > devId, "the other context has fewer objects");
    await nestedAlloc(other, devId, parent, {}, EINVAL);
    await nestedAlloc(io, idevId, parent);
    await hwptAlloc(io, { devId: idevId, ptId: ioasId });
    assertEq(await io.process.close(other.fd), 0, "close the other context");
  });

  f.table("reply_efault", {
    description: "An id that cannot be told is not used: EFAULT",
    rules: ["C2.9"],
    async prepare(self) {
      const parent = await parentAlloc(self);
      return { ...self, parent, next: await self.io.nextId() };
    },
    async finish({ io, parent, next }) {
      assertEq(await io.nextId(), next, "lowest free id");
      // No user was left either.
      await io.destroy(parent);
    },
  }, (t) => {
    t.case("of a HWPT of an IOAS", ({ io, idevId, ioasId }) => {
      const bytes = IommuHwptAlloc.encode({ devId: idevId, ptId: ioasId });
      return io.ioctlReadOnly(IOMMU_HWPT_ALLOC, bytes, EFAULT, "HWPT_ALLOC");
    });
    t.case("of a nested HWPT", async ({ io, idevId, parent }) => {
      const bytes = IommuHwptAlloc.encode({
        devId: idevId,
        ptId: parent,
        ...await hwptData(io, {}),
      });
      await io.ioctlReadOnly(IOMMU_HWPT_ALLOC, bytes, EFAULT, "HWPT_ALLOC");
    });
  });
}

/** What a nested HWPT is refused for. */
function registerNestedOrder(f: HwptFixture): void {
  /** HWPTs of all kinds beside the automatic one. */
  interface NestedState extends HwptSelf {
    readonly plain: number;
    readonly tracking: number;
    readonly parent: number;
    readonly next: number;
  }
  f.table("nested_order", {
    description:
      "HWPT_ALLOC on a HWPT checks in Linux's order, and a refusal uses no id up",
    rules: ["C2.21", "C2.23"],
    async prepare(self): Promise<NestedState> {
      const { io, ioasId, idevId } = self;
      const onIoas = { devId: idevId, ptId: ioasId };
      const plain = await hwptAlloc(io, onIoas);
      const tracking = await hwptAlloc(io, { ...onIoas, flags: DIRTY });
      const parent = await parentAlloc(self);
      await hwptData(io, { iotlb: 7 });
      return { ...self, plain, tracking, parent, next: await io.nextId() };
    },
    async finish({ io, idevId, parent, next }) {
      const nested = await nestedAlloc(io, idevId, parent);
      assertEq(nested, next, "id");
      await nestedAlloc(io, idevId, nested, {}, EINVAL);
    },
  }, (t, _, { attach }) => {
    const wrong = { flags: NEST_PARENT, dataType: 1, dataLen: 1 };
    // Where it is known, it is no reason to refuse anything.
    const more = attach.hasPasids ? PASID : 0;
    addSteps<NestedState, Partial<IommuHwptAlloc>>(t, wrong, [
      ["a parent in a parent", EOPNOTSUPP, () => ({ flags: DIRTY })],
      ["one that tracks", EOPNOTSUPP, () => ({ flags: 1 << 4 })],
      ["an unknown flag", EOPNOTSUPP, () => ({ flags: FAULT | DIRTY })],
      [
        "one that tracks and has a fault queue",
        EOPNOTSUPP,
        () => ({ flags: more, dataType: 0, dataLen: 0 }),
      ],
      ["no data", EOPNOTSUPP, () => ({ dataType: 1, dataLen: 1 })],
      ["an automatic HWPT", EINVAL, ({ plain }) => ({ ptId: plain })],
      ["one that is no parent", EINVAL, ({ tracking }) => ({ ptId: tracking })],
      [
        "one that is no parent but tracks",
        EINVAL,
        ({ parent }) => ({ ptId: parent, flags: FAULT | more, faultId: 999 }),
      ],
      // The driver's checks.
      [
        "a type that the driver lacks",
        EOPNOTSUPP,
        () => ({ dataType: IOMMU_HWPT_DATA_SELFTEST }),
      ],
      ["a length of one byte", EINVAL, () => ({ dataLen: 4 })],
      ["data at 0", EFAULT, ({ io }) => ({ dataUptr: BigInt(io.scratch) })],
      // The fault queue comes last.
      [
        "an id of nothing as fault queue",
        ENOENT,
        ({ ioasId }) => ({ faultId: ioasId }),
      ],
      ["an IOAS as fault queue", ENOENT, () => ({ flags: more })],
    ], ({ io, idevId, hwptId }, values, errno) => {
      const all = { devId: idevId, ptId: hwptId, ...values };
      return hwptAlloc(io, all, errno);
    });
  });
}

/** Driver data. */
function registerData(f: HwptFixture): void {
  f.table("data_length", {
    description:
      "Driver data must have the length that the driver knows: longer is refused even with a zero tail",
    rules: ["C3.11"],
    prepare: async (self) => ({ ...self, parent: await parentAlloc(self) }),
    finish: ({ io, idevId, parent }) => nestedAlloc(io, idevId, parent),
  }, (t, _, revision) => {
    const known = hwptSelftestSize(revision);
    for (const dataLen of [0, 1, 2, 3, 5, 7, 8, 9, 12, 4096, 0xffffffff]) {
      t.case(`length ${dataLen}`, async ({ io, idevId, parent }) => {
        // From the end of its first field on the struct is whole enough.
        if (dataLen < 4 || dataLen > known) {
          await nestedAlloc(io, idevId, parent, { dataLen }, EINVAL);
          return;
        }
        const id = await nestedAlloc(io, idevId, parent, { dataLen });
        await checkIotlb(io, id, new Array(4).fill(IOMMU_TEST_IOTLB_DEFAULT));
        await io.destroy(id);
      });
    }
    for (const pagetableType of [MOCK_IOMMUPT_HUGE, 2, 0xffffffff]) {
      if (known === 4) break;
      // Only a HWPT of an IOAS has a page table to choose.
      const what = `page table type 0x${pagetableType.toString(16)}`;
      t.case(what, async ({ io, idevId, parent }) => {
        const data = await hwptData(io, { pagetableType });
        const values = { devId: idevId, ptId: parent, ...data };
        await io.destroy(await hwptAlloc(io, values));
      });
    }
    t.case(
      "type 0",
      ({ io, idevId, parent }) =>
        nestedAlloc(io, idevId, parent, { dataType: 0 }, EINVAL),
    );
    for (const dataType of [1, 0xdeae, 0xffffffff]) {
      const what = `type 0x${dataType.toString(16)}`;
      t.case(
        what,
        ({ io, idevId, parent }) =>
          nestedAlloc(io, idevId, parent, { dataType }, EOPNOTSUPP),
      );
    }
  });

  f.table("data_on_ioas", {
    description:
      "The mock takes data for a HWPT of an IOAS that choose its page table, or none",
    rules: ["C2.23"],
    prepare: expectId,
    finish: allocExpected,
  }, (t, _, revision) => {
    /** Allocates with data that have these values, and these lengths and places. */
    function row(
      what: string,
      errno: Errno | undefined,
      data: Partial<HwptSelftest>,
      values: Partial<IommuHwptAlloc> = {},
    ): void {
      const { pagingTakesData } = revision.mock;
      const expected = pagingTakesData ? errno : EOPNOTSUPP;
      t.case(what, async ({ io, ioasId, idevId }) => {
        const at = { devId: idevId, ptId: ioasId, ...await hwptData(io, data) };
        const id = await hwptAlloc(io, { ...at, ...values }, expected);
        if (!expected) await io.destroy(id);
      });
    }
    const huge = { pagetableType: MOCK_IOMMUPT_HUGE };
    const none = { pagetableType: 2, iotlb: 7 };
    row("data", undefined, { iotlb: 7, pagetableType: MOCK_IOMMUPT_DEFAULT });
    row("data of a page table for huge pages", undefined, huge);
    row("data of a page table that there is not", EOPNOTSUPP, none);
    row("data without page table", undefined, none, { dataLen: 4 });
    row("data of the highest page table", EOPNOTSUPP, {
      pagetableType: 0xffffffff,
    });
    row("data that are not there", EFAULT, {}, { dataUptr: 0n });
    row("data that are too short", EINVAL, {}, { dataLen: 3, dataUptr: 0n });
    row("data that are too long", EINVAL, {}, { dataLen: 9, dataUptr: 0n });
    row("data of another type", EOPNOTSUPP, {}, { dataType: 1, dataLen: 3 });
    row("data for a parent that tracks", undefined, {}, {
      flags: DIRTY | NEST_PARENT,
    });
    t.case("no data", async ({ io, ioasId, idevId }) => {
      await io.destroy(await hwptAlloc(io, { devId: idevId, ptId: ioasId }));
    });
  });

  f.table("data_address", {
    description:
      "Driver data may lie anywhere, also where memory ends behind them",
    rules: ["C3.11"],
    async prepare(self) {
      const { pageSize } = self.io.context;
      const pages = await self.io.mmap(3 * pageSize, MAP_PRIVATE);
      const end = pages + 2 * pageSize;
      await self.io.munmap(end, pageSize);
      return { ...self, end, parent: await parentAlloc(self) };
    },
  }, (t, _, revision) => {
    const size = hwptSelftestSize(revision);
    type At = (end: number, page: number) => number | bigint;
    const good: [string, At][] = [
      ["at the end of memory", (end) => end - size],
      ["across pages", (end, page) => end - page - 2],
    ];
    for (const [what, placeOf] of good) {
      t.case(what, async ({ io, idevId, end, parent }) => {
        const at = Number(placeOf(end, io.context.pageSize));
        const data = HwptSelftest.encode({ iotlb: 5 }).subarray(0, size);
        await io.process.poke(at, data);
        const values = { dataUptr: BigInt(at) };
        const id = await nestedAlloc(io, idevId, parent, values);
        await checkIotlb(io, id, [5, 5, 5, 5]);
        await io.destroy(id);
      });
    }
    const bad: [string, At][] = [
      ["at 0", () => 0n],
      ["not there in part", (end) => end - size + 1],
      ["not there", (end) => end],
      ["up to the kernel", () => 2n ** 47n - 4n],
      ["in the kernel", () => 2n ** 63n],
      ["up to 2^64", () => 2n ** 64n - 4n],
    ];
    for (const [what, placeOf] of bad) {
      t.case(what, ({ io, idevId, end, parent }) => {
        const dataUptr = BigInt(placeOf(end, io.context.pageSize));
        return nestedAlloc(io, idevId, parent, { dataUptr }, EFAULT);
      });
    }
  });
}
