// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_viommu`: virtual IOMMUs and all that is made on them. This file
 * has VIOMMU_ALLOC, nested HWPTs of a virtual IOMMU, and who holds whom.
 *
 * @module
 */

import {
  EBUSY,
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_DATA_NONE,
  IOMMU_HWPT_FAULT_ID_VALID,
  type IommuHwptAlloc,
} from "../../impl/uapi/iommufd.ts";
import { IOMMU_HWPT_DATA_SELFTEST } from "../../impl/uapi/selftest.ts";
import { MAP_PRIVATE, PROT_READ } from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { addSteps } from "../harness/table.ts";
import { hwptAlloc, nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import type { MockDomain } from "../ioctls/mock_ioctls.ts";
import {
  IOMMU_VEVENTQ_ALLOC,
  IommuVeventqAlloc,
  veventqAlloc,
} from "../ioctls/vevent_ioctls.ts";
import {
  hwQueueAlloc,
  IOMMU_HW_QUEUE_ALLOC,
  IOMMU_HW_QUEUE_TYPE_SELFTEST,
  IOMMU_VDEVICE_ALLOC,
  IOMMU_VIOMMU_ALLOC,
  IOMMU_VIOMMU_TYPE_SELFTEST,
  IommuHwQueueAlloc,
  IommuVdeviceAlloc,
  IommuViommuAlloc,
  vdeviceAlloc,
  viommuAlloc,
  viommuAllocWithData,
  ViommuSelftest,
} from "../ioctls/viommu_ioctls.ts";
import { registerViommuCache } from "./kit_viommu_cache.ts";
import { registerVdevices } from "./kit_viommu_device.ts";
import { registerVevents } from "./kit_viommu_events.ts";
import { registerViommuMmap } from "./kit_viommu_mmap.ts";
import { registerHwQueues } from "./kit_viommu_queue.ts";

/** What the tests share. */
export interface ViommuSelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** An IOAS. */
  readonly ioasId: number;
  /** A mock device on the IOAS, with an automatic HWPT. */
  readonly device: MockDomain;
  /** A HWPT of the IOAS that others can be nested in. */
  readonly parent: number;
  /** A virtual IOMMU on it, without data. */
  readonly viommuId: number;
}

/** The fixture as the files of its tests see it. */
export type ViommuFixture = Fixture<undefined, ViommuSelf>;

/** Adds the fixture's tests to `registry`. */
export function registerKitViommu(registry: Test[]): void {
  const f: ViommuFixture = fixture(registry, "kit_viommu", {
    since: "7.3",
    upstream: false,
    needs: () => ["hwpt", "viommu"],
    setup,
    teardown: ({ io }) => io.teardown(),
  });
  registerAlloc(f);
  registerNested(f);
  registerLives(f);
  registerVdevices(f);
  registerVevents(f);
  registerHwQueues(f);
  registerViommuMmap(f);
  registerViommuCache(f);
}

async function setup(context: Context): Promise<ViommuSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  const device = await io.mock.domain(ioasId);
  const parent = await hwptAlloc(io, {
    devId: device.idevId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
  });
  const viommuId = await viommuAlloc(io, device.idevId, parent);
  return { io, ioasId, device, parent, viommuId };
}

/** Bytes of the driver's data. */
const DATA_SIZE = ViommuSelftest.size;

/** VIOMMU_ALLOC, and the data that its driver takes. */
function registerAlloc(f: ViommuFixture): void {
  interface AllocState extends ViommuSelf {
    readonly nested: number;
    readonly next: number;
  }

  f.table<AllocState>("alloc_order", {
    description:
      "VIOMMU_ALLOC checks its arguments in Linux's order, and then nothing was made",
    rules: ["V1.1"],
    async prepare(self) {
      const { io, device, parent } = self;
      const nested = await nestedAlloc(io, device.idevId, parent);
      return { ...self, nested, next: await io.nextId() };
    },
    async finish({ io, device, parent, next }) {
      const id = await viommuAlloc(io, device.idevId, parent);
      assertEq(id, next, "id after failed calls");
    },
  }, (t) => {
    const wrong = {
      flags: 1,
      type: 0,
      devId: 999,
      hwptId: 999,
      dataLen: DATA_SIZE,
      dataUptr: 0n,
    };
    addSteps<AllocState, Partial<IommuViommuAlloc>>(t, wrong, [
      ["a flag", EOPNOTSUPP, () => ({ flags: 0 })],
      ["no type", EOPNOTSUPP, () => ({ type: 1 })],
      ["no device", ENOENT, ({ ioasId }) => ({ devId: ioasId })],
      ["an IOAS as the device", ENOENT, ({ device }) => ({
        devId: device.idevId,
      })],
      ["a type of another driver", EOPNOTSUPP, () => ({
        type: IOMMU_VIOMMU_TYPE_SELFTEST,
      })],
      ["no HWPT", ENOENT, ({ ioasId }) => ({ hwptId: ioasId })],
      ["an IOAS as the HWPT", ENOENT, ({ nested }) => ({ hwptId: nested })],
      ["a nested HWPT", ENOENT, ({ device }) => ({ hwptId: device.hwptId })],
      ["a HWPT that is no parent", EINVAL, ({ parent }) => ({
        hwptId: parent,
        dataLen: 7,
      })],
      ["data that are too short", EINVAL, () => ({ dataLen: DATA_SIZE + 1 })],
      ["data that are too long", EINVAL, () => ({ dataLen: DATA_SIZE })],
      ["data that are nowhere", EFAULT, () => ({ dataUptr: 1n })],
    ], ({ io }, values, errno) => viommuAlloc(io, 0, 0, values, errno));
  });

  f.table("data", {
    description:
      "The driver answers in as many bytes of its data as there are, and touches none behind",
    rules: ["V1.2"],
  }, (t) => {
    for (let length = 8; length <= DATA_SIZE; length++) {
      t.case(`${length} bytes`, async ({ io, device, parent }) => {
        const before = new Uint8Array(DATA_SIZE + 8).fill(0xaa);
        before.set(ViommuSelftest.encode({ inData: 0xbeef }).subarray(0, 4));
        await io.process.poke(io.scratch, before);
        const id = await viommuAlloc(io, device.idevId, parent, {
          dataLen: length,
          dataUptr: BigInt(io.scratch),
        });
        const answer = ViommuSelftest.encode({
          inData: 0xbeef,
          outData: 0xbeef,
          outMmapOffset: io.page,
          outMmapLength: 2n * io.page,
        });
        before.set(answer.subarray(0, length));
        const after = await io.process.peek(io.scratch, before.length);
        assertBytes(after, before, `data of ${length} bytes`);
        await io.destroy(id);
      });
    }
  });

  f.test("data_unanswered", {
    description:
      "A driver that cannot answer makes nothing, and its memory is free again: EFAULT",
    rules: ["V1.2"],
  }, async ({ io, device, parent }) => {
    const { pageSize } = io.context;
    const next = await io.nextId();
    const page = await io.mmap(pageSize, MAP_PRIVATE);
    await io.process.poke(page, ViommuSelftest.encode({ inData: 1 }));
    const ret = await io.process.mprotect(page, pageSize, PROT_READ);
    assertEq(ret, 0, "mprotect");
    const values = { dataLen: DATA_SIZE, dataUptr: BigInt(page) };
    await viommuAlloc(io, device.idevId, parent, values, EFAULT);
    const made = await viommuAllocWithData(io, device.idevId, parent, 2);
    assertEq(made.viommuId, next, "id after the failed call");
    assertEq(made.outMmapOffset, io.page, "offset after the failed call");
    await io.munmap(page, pageSize);
  });
}

/** Nested HWPTs that are allocated on a virtual IOMMU. */
function registerNested(f: ViommuFixture): void {
  f.table("hwpt_order", {
    description:
      "HWPT_ALLOC on a virtual IOMMU checks its arguments in Linux's order",
    rules: ["V1.4"],
    prepare: async (self) => ({ ...self, next: await self.io.nextId() }),
    async finish({ io, device, viommuId, next }) {
      const id = await nestedAlloc(io, device.idevId, viommuId);
      assertEq(id, next, "id after failed calls");
    },
  }, (t) => {
    const none = IOMMU_HWPT_DATA_NONE;
    const wrong = {
      reserved: 1,
      dataType: none,
      dataLen: 3,
      devId: 999,
      dataUptr: 0n,
      flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
      faultId: 999,
    };
    addSteps<ViommuSelf, Partial<IommuHwptAlloc>>(
      t,
      wrong,
      [
        ["a reserved field", EOPNOTSUPP, () => ({ reserved: 0 })],
        ["data without a type", EINVAL, () => ({ dataLen: 0 })],
        ["no device", ENOENT, ({ device }) => ({ devId: device.idevId })],
        ["a flag of parents", EOPNOTSUPP, () => ({
          flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
        })],
        ["a flag of dirty tracking", EOPNOTSUPP, () => ({
          flags: IOMMU_HWPT_FAULT_ID_VALID,
        })],
        ["no data", EOPNOTSUPP, () => ({ dataType: 0x77, dataLen: 3 })],
        ["a type of another driver", EOPNOTSUPP, () => ({
          dataType: IOMMU_HWPT_DATA_SELFTEST,
        })],
        ["data that are too short", EINVAL, () => ({ dataLen: 4 })],
        ["data that are nowhere", EFAULT, ({ io }) => ({
          dataUptr: BigInt(io.scratch),
        })],
        ["no fault queue", ENOENT, () => ({ flags: 0 })],
      ],
      ({ io, viommuId }, values, errno) =>
        nestedAlloc(io, 0, viommuId, values, errno),
    );
  });

  f.test("hwpt_holds_viommu", {
    description:
      "A nested HWPT of a virtual IOMMU holds that, which holds the parent",
    rules: ["V1.3"],
  }, async ({ io, device, parent, viommuId }) => {
    const nested = await nestedAlloc(io, device.idevId, viommuId);
    await io.destroy(viommuId, EBUSY);
    await io.destroy(parent, EBUSY);
    await io.destroy(nested);
    await io.destroy(parent, EBUSY);
    await io.destroy(viommuId);
    await io.destroy(parent);
  });
}

/** All kinds of objects on a virtual IOMMU, by what they are. */
type Everything = Readonly<
  Record<"nested" | "vdevice" | "veventq" | "queue" | "viommu", number>
>;

/** Makes one object of each kind; the queue of events has its descriptor closed. */
async function makeEverything(self: ViommuSelf): Promise<Everything> {
  const { io, ioasId, device, viommuId } = self;
  const iova = await io.map(ioasId, io.buffer, io.page);
  const vdevice = await vdeviceAlloc(io, viommuId, device.idevId, 7);
  const { veventqId, veventqFd } = await veventqAlloc(io, viommuId, 2);
  assertEq(await io.process.close(veventqFd), 0, "close the queue of events");
  const place = { index: 0, iova, length: io.page };
  return {
    viommu: viommuId,
    nested: await nestedAlloc(io, device.idevId, viommuId),
    vdevice,
    veventq: veventqId,
    queue: await hwQueueAlloc(io, viommuId, place),
  };
}

/** Who holds whom, and what is left behind. */
function registerLives(f: ViommuFixture): void {
  f.table("destroy_order", {
    description:
      "What is on a virtual IOMMU can go in any order, and it goes last",
    rules: ["V1.3"],
  }, (t) => {
    const kinds = ["nested", "vdevice", "veventq", "queue"] as const;
    for (const order of permutations(kinds)) {
      t.case(order.join(", "), async (self) => {
        const { io, parent, ioasId, viommuId } = self;
        const all = await makeEverything(self);
        for (const kind of order) {
          await io.destroy(viommuId, EBUSY);
          await io.destroy(all[kind]);
          await io.destroy(all[kind], ENOENT);
        }
        await io.destroy(parent, EBUSY);
        await io.destroy(viommuId);
        await io.destroy(parent);
        // As it was, for the next case.
        await io.unmap(ioasId, 0n, 2n ** 64n - 1n);
        const ids = await remake(self);
        assertEq(ids.parent, parent, "id of the parent");
        assertEq(ids.viommuId, viommuId, "id of the vIOMMU");
      });
    }
  });

  f.test("device_goes_first", {
    description:
      "A virtual IOMMU stays when the device goes that it was made for",
    rules: ["V1.3"],
  }, async (self) => {
    const { io, device, ioasId, parent, viommuId } = self;
    await io.destroy(device.stdevId);
    await viommuAlloc(io, device.idevId, parent, {}, ENOENT);
    const other = await io.mock.domain(ioasId);
    await vdeviceAlloc(io, viommuId, other.idevId, 1);
    await io.destroy(viommuId, EBUSY);
  });

  f.test("close_all", {
    description:
      "Closing the iommufd ends a virtual IOMMU with everything that is on it",
    rules: ["C2.13"],
  }, async (self) => {
    const { io, device, parent } = self;
    const { nested } = await makeEverything(self);
    await io.mock.replaceDomain(device.stdevId, nested);
    await viommuAllocWithData(io, device.idevId, parent, 3);
  });

  f.table("unanswered", {
    description: "What cannot be told of does not exist: EFAULT",
    rules: ["V1.5"],
    prepare: async (self) => ({
      ...self,
      iova: await self.io.map(self.ioasId, self.io.buffer, self.io.page),
      id: await self.io.nextId(),
      fd: await self.io.nextFd(),
    }),
    async finish({ io, parent, viommuId, id, fd }) {
      assertEq(await io.nextId(), id, "the next id");
      assertEq(await io.nextFd(), fd, "the next descriptor");
      await io.destroy(viommuId);
      await io.destroy(parent);
    },
  }, (t) => {
    type State = ViommuSelf & { readonly iova: bigint };
    const unanswered = (
      what: string,
      cmd: number,
      encode: (state: State) => Uint8Array,
    ) =>
      t.case(
        what,
        (state) => state.io.ioctlReadOnly(cmd, encode(state), EFAULT, what),
      );
    unanswered(
      "a vIOMMU",
      IOMMU_VIOMMU_ALLOC,
      ({ device, parent }) =>
        IommuViommuAlloc.encode({
          type: IOMMU_VIOMMU_TYPE_SELFTEST,
          devId: device.idevId,
          hwptId: parent,
        }),
    );
    unanswered(
      "a device",
      IOMMU_VDEVICE_ALLOC,
      ({ device, viommuId }) =>
        IommuVdeviceAlloc.encode({
          viommuId,
          devId: device.idevId,
          virtId: 1n,
        }),
    );
    unanswered(
      "events",
      IOMMU_VEVENTQ_ALLOC,
      ({ viommuId }) =>
        IommuVeventqAlloc.encode({ viommuId, type: 1, veventqDepth: 1 }),
    );
    unanswered(
      "a queue",
      IOMMU_HW_QUEUE_ALLOC,
      ({ io, iova, viommuId }) =>
        IommuHwQueueAlloc.encode({
          viommuId,
          type: IOMMU_HW_QUEUE_TYPE_SELFTEST,
          nestingParentIova: iova,
          length: io.page,
        }),
    );
  });
}

/** The parent and the virtual IOMMU once more. */
async function remake(
  { io, device, ioasId }: ViommuSelf,
): Promise<{ parent: number; viommuId: number }> {
  const parent = await hwptAlloc(io, {
    devId: device.idevId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
  });
  return { parent, viommuId: await viommuAlloc(io, device.idevId, parent) };
}

/** All orders of some things. */
function permutations<T>(things: readonly T[]): T[][] {
  if (things.length === 0) return [[]];
  return things.flatMap((first) =>
    permutations(things.filter((other) => other !== first)).map((rest) => [
      first,
      ...rest,
    ])
  );
}
