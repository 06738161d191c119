// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_hwpt`: HWPT_ALLOC, on an IOAS and nested. Errnos in the kernel's
 * order, driver data, who may be a parent, what a HWPT holds and what holds it.
 *
 * @module
 */

import {
  EADDRINUSE,
  EBUSY,
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
  IOMMU_HWPT_FAULT_ID_VALID,
  IommuHwptAlloc,
} from "../../impl/uapi/iommufd.ts";
import {
  HwptSelftest,
  IOMMU_HWPT_DATA_SELFTEST,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import { MAP_PRIVATE, PROT_READ } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertTrue,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { checkIotlb, hwptAlloc, nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { registerReplace } from "./kit_hwpt_replace.ts";
import type { MockDomain } from "../ioctls/mock_ioctls.ts";

/** What the tests share. */
export interface HwptSelf extends MockDomain {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** An IOAS, to which a mock device is attached. */
  readonly ioasId: number;
}

/** The fixture as the files of its tests see it. */
export type HwptFixture = Fixture<undefined, HwptSelf>;

const IOVA = BigInt(MOCK_APERTURE_START);
const NEST_PARENT = IOMMU_HWPT_ALLOC_NEST_PARENT;
const DIRTY = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
const FAULT = IOMMU_HWPT_FAULT_ID_VALID;

/** Adds the fixture's tests to `registry`. */
export function registerKitHwpt(registry: Test[]): void {
  const f: HwptFixture = fixture(registry, "kit_hwpt", {
    since: "6.8",
    upstream: false,
    needs: () => ["hwpt"],
    setup: async (context: Context) => {
      const io = await Iommufd.open(context);
      const ioasId = await io.ioasAlloc();
      return { io, ioasId, ...await io.mock.domain(ioasId) };
    },
    teardown: ({ io }) => io.teardown(),
  });
  registerErrnos(f);
  registerData(f);
  registerFill(f);
  registerUsers(f);
  registerReplace(f);
}

/** A HWPT that others can be nested in; its id. */
export function parentAlloc({ io, ioasId, idevId }: HwptSelf): Promise<number> {
  const values = { devId: idevId, ptId: ioasId, flags: NEST_PARENT };
  return hwptAlloc(io, values);
}

/**
 * Allocates with all that is wrong; each step asserts how that fails and makes
 * one thing right. Returns what the last step, without errno, allocated.
 */
async function allocStepwise(
  io: Iommufd,
  wrong: Partial<IommuHwptAlloc>,
  steps: readonly [Errno, Partial<IommuHwptAlloc>][],
): Promise<number> {
  let values = wrong;
  for (const [errno, better] of steps) {
    await hwptAlloc(io, values, errno);
    values = { ...values, ...better };
  }
  return await hwptAlloc(io, values);
}

/** What is refused, and in which order. */
function registerErrnos(f: HwptFixture): void {
  f.test("alloc_order", {
    description:
      "HWPT_ALLOC on an IOAS checks in Linux's order, and a refusal uses no id up",
    reference: "hw_pagetable.c iommufd_hwpt_alloc; C2.9, C2.20",
  }, async ({ io, ioasId, idevId, stdevId }) => {
    const expected = await io.nextId();
    const id = await allocStepwise(io, {
      reserved: 1,
      dataType: 1,
      devId: 999,
      ptId: 999,
      flags: 1 << 3,
    }, [
      [EOPNOTSUPP, { reserved: 0 }],
      [EINVAL, { dataType: 0, dataLen: 4 }],
      [EINVAL, { dataLen: 0 }],
      [ENOENT, { devId: stdevId }],
      [ENOENT, { devId: idevId }],
      [EINVAL, { ptId: stdevId }],
      [EINVAL, { ptId: ioasId }],
      [EOPNOTSUPP, { flags: FAULT }],
      [EOPNOTSUPP, { flags: FAULT | NEST_PARENT }],
      [EOPNOTSUPP, { flags: DIRTY | NEST_PARENT }],
    ]);
    assertEq(id, expected, "id");
    // Without FAULT_ID_VALID nobody looks at the fault queue's id.
    await hwptAlloc(io, { devId: idevId, ptId: ioasId, faultId: 999 });
  });

  f.test("nested_order", {
    description:
      "HWPT_ALLOC on a HWPT checks in Linux's order, and a refusal uses no id up",
    reference: "hw_pagetable.c iommufd_hwpt_nested_alloc; C2.21, C2.23",
  }, async (self) => {
    const { io, ioasId, idevId, hwptId } = self;
    const onIoas = { devId: idevId, ptId: ioasId };
    const plain = await hwptAlloc(io, onIoas);
    const tracking = await hwptAlloc(io, { ...onIoas, flags: DIRTY });
    const parent = await parentAlloc(self);
    await io.process.poke(io.scratch, HwptSelftest.encode({ iotlb: 7 }));
    const expected = await io.nextId();
    const id = await allocStepwise(io, {
      devId: idevId,
      ptId: hwptId,
      flags: NEST_PARENT,
      dataType: 1,
      dataLen: 1,
    }, [
      [EOPNOTSUPP, { flags: DIRTY }],
      [EOPNOTSUPP, { flags: 1 << 3 }],
      [EOPNOTSUPP, { flags: FAULT | DIRTY }],
      // No data.
      [EOPNOTSUPP, { flags: 0, dataType: 0, dataLen: 0 }],
      [EOPNOTSUPP, { dataType: 1, dataLen: 1 }],
      // An automatic HWPT, and those that were not allocated as parents.
      [EINVAL, { ptId: plain }],
      [EINVAL, { ptId: tracking }],
      [EINVAL, { ptId: parent, flags: FAULT, faultId: 999 }],
      // The driver's checks: its type, its length, the address.
      [EOPNOTSUPP, { dataType: IOMMU_HWPT_DATA_SELFTEST }],
      [EINVAL, { dataLen: 4 }],
      [EFAULT, { dataUptr: BigInt(io.scratch) }],
      // The fault queue comes last.
      [ENOENT, { faultId: ioasId }],
      [ENOENT, { flags: 0 }],
    ]);
    assertEq(id, expected, "id");
    await hwptAlloc(io, {
      devId: idevId,
      ptId: id,
      dataType: IOMMU_HWPT_DATA_SELFTEST,
      dataLen: 4,
      dataUptr: BigInt(io.scratch),
    }, EINVAL);
  });

  f.test("other_context", {
    description: "Devices, IOAS and HWPTs of another context are unknown",
    reference: "main.c iommufd_get_object; C3.3",
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

  f.test("reply_efault", {
    description: "An id that cannot be told is not used: EFAULT",
    reference: "hw_pagetable.c iommufd_hwpt_alloc",
  }, async (self) => {
    const { io, ioasId, idevId } = self;
    const { pageSize } = io.context;
    const parent = await parentAlloc(self);
    const expected = await io.nextId();
    const data = await io.mmap(pageSize, MAP_PRIVATE);
    const onHwpt = {
      dataType: IOMMU_HWPT_DATA_SELFTEST,
      dataLen: HwptSelftest.size,
      dataUptr: BigInt(data),
      ptId: parent,
    };
    for (const values of [{ ptId: ioasId }, onHwpt]) {
      const page = await io.mmap(pageSize, MAP_PRIVATE);
      const bytes = IommuHwptAlloc.encode({ devId: idevId, ...values });
      await io.process.poke(page, bytes);
      const ret = await io.process.mprotect(page, pageSize, PROT_READ);
      assertEq(ret, 0, "mprotect");
      await io.ioctlArg(IOMMU_HWPT_ALLOC, page, EFAULT, "read-only HWPT_ALLOC");
      assertEq(await io.nextId(), expected, "lowest free id");
      await io.munmap(page, pageSize);
    }
    // No user was left either.
    await io.destroy(parent);
  });
}

/** Driver data. */
function registerData(f: HwptFixture): void {
  f.test("data_length", {
    description:
      "Driver data must have the length that the driver knows: longer is refused even with a zero tail",
    reference: "include/linux/iommu.h __iommu_copy_struct_from_user; C3.11",
  }, async (self) => {
    const { io, idevId } = self;
    const parent = await parentAlloc(self);
    const { size } = HwptSelftest;
    for (const dataLen of [1, 2, 3, 5, 8, 12, 4096, 0xffffffff]) {
      await nestedAlloc(io, idevId, parent, { dataLen }, EINVAL);
    }
    await nestedAlloc(io, idevId, parent, { dataLen: 0 }, EINVAL);
    await nestedAlloc(io, idevId, parent, { dataType: 0 }, EINVAL);
    for (const dataType of [1, 0xdeae, 0xffffffff]) {
      await nestedAlloc(io, idevId, parent, { dataType }, EOPNOTSUPP);
    }
    await nestedAlloc(io, idevId, parent, { dataLen: size });
  });

  f.test("data_on_ioas", {
    description: "The mock takes no data for a HWPT of an IOAS",
    reference: "selftest.c mock_domain_alloc_user; C2.23",
  }, async ({ io, ioasId, idevId }) => {
    await nestedAlloc(io, idevId, ioasId, {}, EOPNOTSUPP);
    await nestedAlloc(io, idevId, ioasId, { dataUptr: 0n }, EOPNOTSUPP);
    await hwptAlloc(io, { devId: idevId, ptId: ioasId });
  });

  f.test("data_address", {
    description:
      "Driver data may lie anywhere, also where memory ends behind them",
    reference: "copy_struct_from_user; C3.11",
  }, async (self) => {
    const { io, idevId } = self;
    const { pageSize } = io.context;
    const parent = await parentAlloc(self);
    const { size } = HwptSelftest;
    const pages = await io.mmap(3 * pageSize, MAP_PRIVATE);
    await io.munmap(pages + 2 * pageSize, pageSize);
    const end = pages + 2 * pageSize;
    for (const [at, iotlb] of [[end - size, 1], [end - pageSize - 2, 2]]) {
      await io.process.poke(at!, HwptSelftest.encode({ iotlb: iotlb! }));
      const dataUptr = BigInt(at!);
      const id = await nestedAlloc(io, idevId, parent, { dataUptr });
      await checkIotlb(io, id, [iotlb!, iotlb!, iotlb!, iotlb!]);
      await io.destroy(id);
    }
    const nowhere = [0n, BigInt(end - size + 1), BigInt(end), 2n ** 47n - 4n];
    for (const dataUptr of [...nowhere, 2n ** 63n, 2n ** 64n - 4n]) {
      await nestedAlloc(io, idevId, parent, { dataUptr }, EFAULT);
    }
    await io.munmap(pages, 2 * pageSize);
  });
}

/** What a HWPT maps. */
function registerFill(f: HwptFixture): void {
  f.test("fill", {
    description:
      "A HWPT has what its IOAS has, from its allocation on; the pages are pinned once",
    reference: "hw_pagetable.c iommufd_hwpt_paging_alloc; C2.20, S16",
  }, async (self) => {
    const { io, ioasId, idevId, hwptId: auto } = self;
    const { page, buffer } = io;
    await io.mapFixed(ioasId, buffer, 2n * page, IOVA);
    const id = await hwptAlloc(io, { devId: idevId, ptId: ioasId });
    const both = [id, auto];
    const above = IOVA + 4n * page;
    await io.mapFixed(ioasId, BigInt(buffer) + 4n * page, page, above);
    for (const hwpt of both) {
      await io.mock.checkMap(hwpt, IOVA, 2n * page, buffer);
      const uptr = BigInt(buffer) + 4n * page;
      await io.mock.checkMap(hwpt, above, page, uptr);
    }
    await io.mock.checkRefs(buffer, 2n * page, 1);
    await io.unmap(ioasId, IOVA, 2n * page);
    for (const hwpt of both) {
      await io.mock.checkMap(hwpt, IOVA, page, buffer, EINVAL);
    }
    await io.destroy(id);
    const uptr = BigInt(buffer) + 4n * page;
    await io.mock.checkMap(auto, above, page, uptr);
    await io.mock.checkRefs(uptr, page, 1);
  });

  f.test("fill_errno", {
    description:
      "A HWPT that cannot have what its IOAS has is not allocated, and the IOAS is as before",
    reference: "io_pagetable.c iopt_table_add_domain; C2.20, P09",
  }, async ({ io, idevId }) => {
    const { page, buffer } = io;
    const ioasId = await io.ioasAlloc();
    const values = { devId: idevId, ptId: ioasId };
    await io.mapFixed(ioasId, buffer, page, 0n);
    await hwptAlloc(io, values, EADDRINUSE);
    await io.unmap(ioasId, 0n, page);

    const memory = await io.mmap(2n * page, MAP_PRIVATE);
    await io.mapFixed(ioasId, buffer, page, IOVA);
    await io.mapFixed(ioasId, memory, 2n * page, IOVA + page);
    await io.munmap(memory + Number(page), page);
    await hwptAlloc(io, values, EFAULT);
    await io.mock.checkRefs(buffer, page, 0);
    await io.mock.checkRefs(memory, page, 0);
    await io.unmap(ioasId, IOVA + page, 2n * page);
    const id = await hwptAlloc(io, values);
    await io.mock.checkMap(id, IOVA, page, buffer);
    await io.mock.checkRefs(buffer, page, 1);
    // What the aperture does not have is reserved as long as the HWPT lives.
    await io.mapFixed(ioasId, buffer, page, 0n, EINVAL);
    await io.destroy(id);
    await io.mapFixed(ioasId, buffer, page, 0n);
  });

  f.test("nested_maps_nothing", {
    description:
      "A nested HWPT has no map of its own: operations on maps do not know it",
    reference: "selftest.c get_md_pagetable, get_md_pagetable_nested; C2.1",
  }, async (self) => {
    const { io, idevId, hwptId: auto } = self;
    const parent = await parentAlloc(self);
    const nested = await nestedAlloc(io, idevId, parent);
    await io.mock.checkMap(parent, IOVA, 0, 0);
    await io.mock.checkMap(nested, IOVA, 0, 0, ENOENT);
    for (const id of [parent, auto, 999]) {
      await checkIotlb(io, id, [0, 0, 0, 0], ENOENT);
    }
    await io.unmap(nested, 0n, io.page, ENOENT);
  });
}

/** Who holds whom. */
function registerUsers(f: HwptFixture): void {
  f.test("destroy_order", {
    description:
      "A HWPT holds its IOAS, a nested one its parent, a device its HWPT",
    reference: "hw_pagetable.c; C2.1, C2.20",
  }, async (self) => {
    const { io, ioasId, idevId, stdevId, hwptId: auto } = self;
    const parent = await parentAlloc(self);
    const nested = await nestedAlloc(io, idevId, parent);
    const second = await nestedAlloc(io, idevId, parent);
    await io.mock.replaceDomain(stdevId, nested);
    // The automatic HWPT went with its device.
    await io.destroy(auto, ENOENT);
    for (const id of [ioasId, parent, nested, idevId]) {
      await io.destroy(id, EBUSY);
    }
    await io.destroy(stdevId);
    await io.destroy(idevId, ENOENT);
    await io.destroy(parent, EBUSY);
    await io.destroy(nested);
    await io.destroy(parent, EBUSY);
    await io.destroy(second);
    await io.destroy(ioasId, EBUSY);
    await io.destroy(parent);
    await io.destroy(ioasId);
  });

  f.test("close_all", {
    description:
      "Closing the descriptor frees nested HWPTs, parents and devices in an order that works",
    reference: "main.c iommufd_fops_release",
  }, async (self) => {
    const { io, ioasId, idevId } = self;
    await io.mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
    const parent = await parentAlloc(self);
    for (let i = 0; i < 3; i++) {
      const nested = await nestedAlloc(io, idevId, parent);
      await io.mock.domain(nested);
      await nestedAlloc(io, idevId, parent);
    }
    await io.mock.domain(parent);
    await io.mock.checkRefs(io.buffer, io.bufferSize, 1);
  });

  f.test("attach_by_id", {
    description:
      "Devices attach to the HWPT that they name, and each of them holds it",
    reference: "device.c iommufd_device_change_pt, iommufd_hw_pagetable_attach",
  }, async (self) => {
    const { io, idevId } = self;
    const parent = await parentAlloc(self);
    const nested = await nestedAlloc(io, idevId, parent);
    for (const id of [parent, nested]) {
      const first = await io.mock.domain(id);
      const second = await io.mock.domain(id);
      assertEq(first.hwptId, id, "HWPT of the first device");
      assertEq(second.hwptId, id, "HWPT of the second device");
      await io.destroy(first.stdevId);
      await io.destroy(id, EBUSY);
      await io.destroy(second.stdevId);
    }
    await io.destroy(nested);
    await io.destroy(parent);
  });

  f.test("auto_apart", {
    description:
      "A device that attaches to an IOAS shares automatic HWPTs only; they go with their last device",
    reference: "device.c iommufd_device_auto_get_domain; P12",
  }, async ({ io, ioasId, idevId, stdevId, hwptId: auto }) => {
    const manual = await hwptAlloc(io, { devId: idevId, ptId: ioasId });
    const second = await io.mock.domain(ioasId);
    assertEq(second.hwptId, auto, "the automatic HWPT");
    await io.destroy(auto, EBUSY);
    await io.destroy(second.stdevId);
    await io.mock.checkMap(auto, IOVA, 0, 0);
    await io.destroy(stdevId);
    await io.mock.checkMap(auto, IOVA, 0, 0, ENOENT);
    const third = await io.mock.domain(ioasId);
    assertTrue(third.hwptId !== manual, "a HWPT of its own");
    await io.destroy(third.stdevId);
    await io.mock.checkMap(manual, IOVA, 0, 0);
    await io.destroy(ioasId, EBUSY);
    await io.destroy(manual);
    await io.destroy(ioasId);
  });
}
