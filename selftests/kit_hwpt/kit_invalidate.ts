// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_invalidate`: HWPT_INVALIDATE. However it ends, it tells how many
 * requests were carried out, and that must be true.
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
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_INVALIDATE,
  IommuHwptInvalidate,
} from "../../impl/uapi/iommufd.ts";
import {
  HwptInvalidateSelftest,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  IOMMU_TEST_IOTLB_DEFAULT,
  IOMMU_TEST_OP_MD_CHECK_IOTLB,
  TestCheckIotlb,
} from "../../impl/uapi/selftest.ts";
import { MAP_PRIVATE, PROT_READ } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { checkIotlb, hwptAlloc, nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";

/** What the tests share. */
interface InvalidateSelf {
  readonly io: Iommufd;
  readonly ioasId: number;
  readonly idevId: number;
  readonly parent: number;
  /** A nested HWPT whose IOTLB has all its first values. */
  readonly nested: number;
  /** Two pages for requests, and nothing behind them. */
  readonly pages: number;
}

type InvalidateFixture = Fixture<undefined, InvalidateSelf>;

/** One request. */
type Request = Partial<HwptInvalidateSelftest>;

const { size: REQUEST } = HwptInvalidateSelftest;
/** Requests that one call may have. */
const MAX_REQUESTS = 1 << 19;
const FULL = IOMMU_TEST_IOTLB_DEFAULT;
const ALL = IOMMU_TEST_INVALIDATE_FLAG_ALL;

/** Adds the fixture's tests to `registry`. */
export function registerKitInvalidate(registry: Test[]): void {
  const f: InvalidateFixture = fixture(registry, "kit_invalidate", {
    since: "6.8",
    upstream: false,
    needs: () => ["hwpt"],
    setup,
    teardown: ({ io }) => io.teardown(),
  });
  registerOrder(f);
  registerPartial(f);
  registerLimits(f);
  registerIotlb(f);
}

async function setup(context: Context): Promise<InvalidateSelf> {
  const io = await Iommufd.open(context);
  const { pageSize } = context;
  const ioasId = await io.ioasAlloc();
  const { idevId } = await io.mock.domain(ioasId);
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  const parent = await hwptAlloc(io, { devId: idevId, ptId: ioasId, flags });
  const nested = await nestedAlloc(io, idevId, parent);
  const pages = await io.mmap(3 * pageSize, MAP_PRIVATE);
  await io.munmap(pages + 2 * pageSize, pageSize);
  return { io, ioasId, idevId, parent, nested, pages };
}

/** The struct for requests at `pages`. */
function struct(
  { nested, pages }: InvalidateSelf,
  values: Partial<IommuHwptInvalidate>,
): Partial<IommuHwptInvalidate> {
  return {
    hwptId: nested,
    dataUptr: BigInt(pages),
    dataType: IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
    entryLen: REQUEST,
    ...values,
  };
}

/** Places requests at an address. */
async function place(
  { io }: InvalidateSelf,
  at: number,
  requests: readonly Request[],
): Promise<void> {
  for (const [i, request] of requests.entries()) {
    const bytes = HwptInvalidateSelftest.encode(request);
    await io.process.poke(at + i * REQUEST, bytes);
  }
}

/** HWPT_INVALIDATE; asserts how many requests it says it carried out. */
async function invalidate(
  self: InvalidateSelf,
  values: Partial<IommuHwptInvalidate>,
  handled: number,
  errno?: Errno,
): Promise<void> {
  const all = struct(self, values);
  const cmd = IOMMU_HWPT_INVALIDATE;
  const reply = await self.io.call(IommuHwptInvalidate, cmd, all, errno);
  assertEq(reply.entryNum, handled, "requests carried out");
}

/** What is checked before any request. */
function registerOrder(f: InvalidateFixture): void {
  f.test("errno_order", {
    description:
      "Arguments are checked in Linux's order, and then no request was carried out",
    reference: "hw_pagetable.c iommufd_hwpt_invalidate; C2.25",
  }, async (self) => {
    const { io, ioasId, idevId, parent, nested } = self;
    await place(self, self.pages, [{ iotlbId: 9 }]);
    let values: Partial<IommuHwptInvalidate> = {
      reserved: 1,
      dataUptr: 0n,
      entryNum: 3,
      hwptId: 999,
      dataType: 1,
    };
    const steps: [Errno, Partial<IommuHwptInvalidate>][] = [
      [EOPNOTSUPP, { reserved: 0 }],
      [EINVAL, { dataUptr: 1n, entryLen: 0 }],
      [EINVAL, { entryLen: io.context.pageSize + 1 }],
      [EINVAL, { entryLen: 0xffffffff }],
      [EINVAL, { entryLen: REQUEST, entryNum: MAX_REQUESTS + 1 }],
      [EINVAL, { entryNum: 0xffffffff }],
      [EINVAL, { entryNum: 1, entryLen: io.context.pageSize }],
      [ENOENT, { hwptId: parent }],
      [ENOENT, { hwptId: ioasId }],
      [ENOENT, { hwptId: idevId }],
      [ENOENT, { hwptId: nested }],
      // The driver's checks.
      [EINVAL, { dataType: IOMMU_HWPT_INVALIDATE_DATA_SELFTEST, entryLen: 7 }],
      [EINVAL, { entryLen: REQUEST }],
      [EFAULT, { dataUptr: BigInt(self.pages) }],
    ];
    for (const [errno, better] of steps) {
      await invalidate(self, values, 0, errno);
      values = { ...values, ...better };
    }
    await invalidate(self, values, 0, EINVAL);
    await checkIotlb(io, nested, [FULL, FULL, FULL, FULL]);
    await place(self, self.pages, [{ iotlbId: 3 }]);
    await invalidate(self, values, 1);
    await checkIotlb(io, nested, [FULL, FULL, FULL, 0]);
  });

  f.test("entry_length", {
    description:
      "A request must have the length that the driver knows: longer is refused even with a zero tail",
    reference: "include/linux/iommu.h __iommu_copy_struct_from_user; C3.12",
  }, async (self) => {
    const { io, nested, pages } = self;
    await io.process.poke(pages, new Uint8Array(io.context.pageSize));
    for (const entryLen of [1, 4, 7, 9, 12, 16, io.context.pageSize]) {
      await invalidate(self, { entryLen, entryNum: 1 }, 0, EINVAL);
    }
    await checkIotlb(io, nested, [FULL, FULL, FULL, FULL]);
    await invalidate(self, { entryNum: 1 }, 1);
    await checkIotlb(io, nested, [0, FULL, FULL, FULL]);
  });

  f.test("no_entries", {
    description:
      "No request at all asks whether the type is known; address and length do not matter",
    reference: "hw_pagetable.c iommufd_hwpt_invalidate; C2.25",
  }, async (self) => {
    const { io, parent, nested } = self;
    await invalidate(self, {}, 0);
    await invalidate(self, { dataUptr: 0n, entryLen: 0 }, 0);
    await invalidate(self, { dataUptr: 1n, entryLen: 0xffffffff }, 0);
    await invalidate(self, { dataType: 0 }, 0, EINVAL);
    await invalidate(self, { dataType: 0xdeadbeee }, 0, EINVAL);
    await invalidate(self, { hwptId: parent }, 0, ENOENT);
    await checkIotlb(io, nested, [FULL, FULL, FULL, FULL]);
  });
}

/** Requests that fail after others. */
function registerPartial(f: InvalidateFixture): void {
  f.test("partial", {
    description:
      "Requests before one that fails are carried out and counted, those behind it are not",
    reference: "selftest.c mock_domain_cache_invalidate_user; C2.25",
  }, async (self) => {
    const { io, idevId, parent, pages } = self;
    const good: Request[] = [{ iotlbId: 0 }, { iotlbId: 2 }, { iotlbId: 3 }];
    const bad: [Request, Errno][] = [
      [{ iotlbId: 4 }, EINVAL],
      [{ iotlbId: 0xffffffff }, EINVAL],
      [{ flags: 2 }, EOPNOTSUPP],
      [{ flags: 0x80000000 | ALL }, EOPNOTSUPP],
      // Flags come first, and ALL still wants an entry that there is.
      [{ flags: 2, iotlbId: 4 }, EOPNOTSUPP],
      [{ flags: ALL, iotlbId: 4 }, EINVAL],
    ];
    for (const [request, errno] of bad) {
      for (let at = 0; at <= good.length; at++) {
        const nested = await nestedAlloc(io, idevId, parent);
        await place(self, pages, good.toSpliced(at, 0, request));
        const values = { hwptId: nested, entryNum: good.length + 1 };
        await invalidate(self, values, at, errno);
        const expected = [FULL, FULL, FULL, FULL];
        for (const { iotlbId } of good.slice(0, at)) expected[iotlbId!] = 0;
        await checkIotlb(io, nested, expected);
        await io.destroy(nested);
      }
    }
  });

  f.test("partial_efault", {
    description:
      "Requests before one that cannot be read are carried out and counted",
    reference: "include/linux/iommu.h; C3.12",
  }, async (self) => {
    const { io, idevId, parent, pages } = self;
    const end = pages + 2 * io.context.pageSize;
    for (const cut of [0, 1, 4, 7]) {
      for (let count = 0; count <= 3; count++) {
        const nested = await nestedAlloc(io, idevId, parent);
        const at = end - count * REQUEST - cut;
        await place(
          self,
          at,
          [{ iotlbId: 1 }, { iotlbId: 2 }, { iotlbId: 3 }].slice(0, count),
        );
        const values = { hwptId: nested, dataUptr: BigInt(at), entryNum: 4 };
        await invalidate(self, values, count, EFAULT);
        const expected = [FULL, FULL, FULL, FULL];
        expected.fill(0, 1, 1 + count);
        await checkIotlb(io, nested, expected);
        await io.destroy(nested);
      }
    }
  });

  f.test("reply_efault", {
    description:
      "A count that cannot be told is EFAULT, whatever else happened; the requests were carried out",
    reference: "hw_pagetable.c iommufd_hwpt_invalidate; C2.25",
  }, async (self) => {
    const { io, nested, pages } = self;
    const { pageSize } = io.context;
    const page = await io.mmap(pageSize, MAP_PRIVATE);
    await place(self, pages, [{ iotlbId: 1 }, { iotlbId: 7 }]);
    const calls: Partial<IommuHwptInvalidate>[] = [
      { entryNum: 1 },
      { entryNum: 2 },
      { reserved: 1 },
      { hwptId: 999 },
      { dataType: 1 },
    ];
    const { size } = IommuHwptInvalidate;
    for (const [i, values] of calls.entries()) {
      const bytes = IommuHwptInvalidate.encode(struct(self, values));
      await io.process.poke(page + i * size, bytes);
    }
    const ret = await io.process.mprotect(page, pageSize, PROT_READ);
    assertEq(ret, 0, "mprotect");
    for (const i of calls.keys()) {
      const what = `read-only HWPT_INVALIDATE ${i}`;
      await io.ioctlArg(IOMMU_HWPT_INVALIDATE, page + i * size, EFAULT, what);
    }
    await checkIotlb(io, nested, [FULL, 0, FULL, FULL]);
    await io.munmap(page, pageSize);
  });
}

/** How many requests there may be. */
function registerLimits(f: InvalidateFixture): void {
  f.test("many", {
    description: "One call may have 2^19 requests, of any alignment",
    reference:
      "hw_pagetable.c IOMMU_HWPT_INVALIDATE_ENTRY_NUM_MAX (a stable update); C2.25",
  }, async (self) => {
    const { io, nested, pages } = self;
    const length = MAX_REQUESTS * REQUEST;
    // Zeros: they are requests for entry 0.
    const zeros = await io.mmap(length, MAP_PRIVATE);
    const entryNum = MAX_REQUESTS;
    const last = zeros + length - REQUEST;
    await place(self, last, [{ iotlbId: 2 }]);
    await invalidate(self, { dataUptr: BigInt(zeros), entryNum }, entryNum);
    await checkIotlb(io, nested, [0, FULL, 0, FULL]);
    await io.munmap(zeros, length);

    const across = pages + io.context.pageSize - REQUEST - 3;
    await place(self, across, [{ iotlbId: 1 }, { iotlbId: 3 }]);
    await invalidate(self, { dataUptr: BigInt(across), entryNum: 2 }, 2);
    await checkIotlb(io, nested, [0, 0, 0, 0]);
  });
}

/** What the requests do, and the operation that looks. */
function registerIotlb(f: InvalidateFixture): void {
  f.test("apart", {
    description: "Requests change the HWPT that they name only",
    reference: "selftest.c mock_domain_cache_invalidate_user; C2.23",
  }, async (self) => {
    const { io, idevId, parent, nested, pages } = self;
    const other = await nestedAlloc(io, idevId, parent);
    await place(self, pages, [{ flags: ALL, iotlbId: 3 }]);
    await invalidate(self, { entryNum: 1 }, 1);
    await checkIotlb(io, nested, [0, 0, 0, 0]);
    await checkIotlb(io, other, [FULL, FULL, FULL, FULL]);
    // Again changes nothing, and is no error.
    await invalidate(self, { entryNum: 1 }, 1);
    await checkIotlb(io, nested, [0, 0, 0, 0]);
  });

  f.test("check_iotlb", {
    description:
      "MD_CHECK_IOTLB finds another value, an entry that there is not and a HWPT that has none",
    reference: "selftest.c iommufd_test_md_check_iotlb; C2.23",
  }, async ({ io, ioasId, parent, nested }) => {
    async function check(
      values: Partial<TestCheckIotlb>,
      errno?: Errno,
    ): Promise<void> {
      await io.mock.call(
        "MD_CHECK_IOTLB",
        TestCheckIotlb,
        IOMMU_TEST_OP_MD_CHECK_IOTLB,
        { id: nested, iotlb: FULL, ...values },
        errno,
      );
    }
    await check({ iotlbId: 3 });
    await check({ iotlbId: 3, iotlb: 0 }, EINVAL);
    await check({ iotlbId: 4 }, EINVAL);
    await check({ iotlbId: 0xffffffff }, EINVAL);
    for (const id of [parent, ioasId, 999]) await check({ id }, ENOENT);
  });
}
