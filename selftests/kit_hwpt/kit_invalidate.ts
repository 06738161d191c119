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
import { MAP_PRIVATE } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { addSteps } from "../harness/table.ts";
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
  f.table("errno_order", {
    description:
      "Arguments are checked in Linux's order, and then no request was carried out",
    rules: ["C2.25"],
    async prepare(self) {
      await place(self, self.pages, [{ iotlbId: 9 }]);
      return self;
    },
    async finish(self) {
      const { io, nested, pages } = self;
      await invalidate(self, { entryNum: 1 }, 0, EINVAL);
      await checkIotlb(io, nested, [FULL, FULL, FULL, FULL]);
      await place(self, pages, [{ iotlbId: 3 }]);
      await invalidate(self, { entryNum: 1 }, 1);
      await checkIotlb(io, nested, [FULL, FULL, FULL, 0]);
    },
  }, (t, _variant, { objects: { invalidateOtherErrno: OTHER } }) => {
    const wrong = {
      reserved: 1,
      dataUptr: 0n,
      entryNum: 3,
      hwptId: 999,
      dataType: 1,
    };
    addSteps<InvalidateSelf, Partial<IommuHwptInvalidate>>(t, wrong, [
      ["a reserved field", EOPNOTSUPP, () => ({ reserved: 0 })],
      ["requests at 0", EINVAL, () => ({ dataUptr: 1n, entryLen: 0 })],
      [
        "requests without length",
        EINVAL,
        ({ io }) => ({ entryLen: io.context.pageSize + 1 }),
      ],
      [
        "requests longer than a page",
        EINVAL,
        () => ({ entryLen: 0xffffffff }),
      ],
      [
        "the longest requests",
        EINVAL,
        () => ({ entryLen: REQUEST, entryNum: MAX_REQUESTS + 1 }),
      ],
      ["one request too many", EINVAL, () => ({ entryNum: 0xffffffff })],
      [
        "the most requests",
        EINVAL,
        ({ io }) => ({ entryNum: 1, entryLen: io.context.pageSize }),
      ],
      ["an id of nothing", ENOENT, ({ parent }) => ({ hwptId: parent })],
      ["a HWPT of an IOAS", OTHER, ({ ioasId }) => ({ hwptId: ioasId })],
      ["an IOAS", OTHER, ({ idevId }) => ({ hwptId: idevId })],
      ["a device", OTHER, ({ nested }) => ({ hwptId: nested })],
      // The driver's checks.
      [
        "a type that the driver lacks",
        EINVAL,
        () => ({ dataType: IOMMU_HWPT_INVALIDATE_DATA_SELFTEST, entryLen: 7 }),
      ],
      ["a length of 7 bytes", EINVAL, () => ({ entryLen: REQUEST })],
      [
        "requests that are not there",
        EFAULT,
        ({ pages }) => ({ dataUptr: BigInt(pages) }),
      ],
    ], (self, values, errno) => invalidate(self, values, 0, errno));
  });

  f.table("entry_length", {
    description:
      "A request must have the length that the driver knows: longer is refused even with a zero tail",
    rules: ["C3.12"],
    async prepare(self) {
      const { io, pages } = self;
      await io.process.poke(pages, new Uint8Array(io.context.pageSize));
      return self;
    },
    async finish(self) {
      const { io, nested } = self;
      await checkIotlb(io, nested, [FULL, FULL, FULL, FULL]);
      await invalidate(self, { entryNum: 1 }, 1);
      await checkIotlb(io, nested, [0, FULL, FULL, FULL]);
    },
  }, (t) => {
    for (const entryLen of [1, 4, 7, 9, 12, 16]) {
      t.case(
        `${entryLen} bytes`,
        (self) => invalidate(self, { entryLen, entryNum: 1 }, 0, EINVAL),
      );
    }
    t.case("a page", (self) => {
      const entryLen = self.io.context.pageSize;
      return invalidate(self, { entryLen, entryNum: 1 }, 0, EINVAL);
    });
  });

  f.table("no_entries", {
    description:
      "No request at all asks whether the type is known; address and length do not matter",
    rules: ["C2.25"],
    finish: ({ io, nested }) =>
      checkIotlb(io, nested, [FULL, FULL, FULL, FULL]),
  }, (t, _variant, { objects: { invalidateOtherErrno } }) => {
    type Values = Partial<IommuHwptInvalidate>;
    const rows: [string, Errno | undefined, Values][] = [
      ["all right", undefined, {}],
      ["at 0, without length", undefined, { dataUptr: 0n, entryLen: 0 }],
      [
        "at 1, with the longest length",
        undefined,
        { dataUptr: 1n, entryLen: 0xffffffff },
      ],
      ["type 0", EINVAL, { dataType: 0 }],
      ["another type", EINVAL, { dataType: 0xdeadbeee }],
    ];
    for (const [what, errno, values] of rows) {
      t.case(what, (self) => invalidate(self, values, 0, errno));
    }
    t.case(
      "a HWPT of an IOAS",
      (self) =>
        invalidate(self, { hwptId: self.parent }, 0, invalidateOtherErrno),
    );
  });
}

/** Requests that fail after others. */
function registerPartial(f: InvalidateFixture): void {
  f.table("partial", {
    description:
      "Requests before one that fails are carried out and counted, those behind it are not",
    rules: ["C2.25"],
  }, (t) => {
    const bad: [string, Request, Errno][] = [
      ["entry 4", { iotlbId: 4 }, EINVAL],
      ["the highest entry", { iotlbId: 0xffffffff }, EINVAL],
      ["an unknown flag", { flags: 2 }, EOPNOTSUPP],
      [
        "an unknown and a known flag",
        { flags: (0x80000000 | ALL) >>> 0 },
        EOPNOTSUPP,
      ],
      // Flags come first, and ALL still wants an entry that there is.
      ["an unknown flag for entry 4", { flags: 2, iotlbId: 4 }, EOPNOTSUPP],
      ["ALL for entry 4", { flags: ALL, iotlbId: 4 }, EINVAL],
    ];
    for (const [what, request, errno] of bad) {
      for (let at = 0; at <= GOOD.length; at++) {
        t.case(`${what} after ${at}`, async (self) => {
          const { io, idevId, parent, pages } = self;
          const nested = await nestedAlloc(io, idevId, parent);
          await place(self, pages, GOOD.toSpliced(at, 0, request));
          const values = { hwptId: nested, entryNum: GOOD.length + 1 };
          await invalidate(self, values, at, errno);
          await checkIotlb(io, nested, afterGood(at));
          await io.destroy(nested);
        });
      }
    }
  });

  f.table("partial_efault", {
    description:
      "Requests before one that cannot be read are carried out and counted",
    rules: ["C3.12"],
  }, (t) => {
    for (const cut of [0, 1, 4, 7]) {
      for (let count = 0; count <= GOOD.length; count++) {
        t.case(`${count} requests and ${cut} bytes`, async (self) => {
          const { io, idevId, parent, pages } = self;
          const end = pages + 2 * io.context.pageSize;
          const nested = await nestedAlloc(io, idevId, parent);
          const at = end - count * REQUEST - cut;
          await place(self, at, GOOD.slice(0, count));
          const values = { hwptId: nested, dataUptr: BigInt(at), entryNum: 4 };
          await invalidate(self, values, count, EFAULT);
          await checkIotlb(io, nested, afterGood(count));
          await io.destroy(nested);
        });
      }
    }
  });

  f.table("reply_efault", {
    description:
      "A count that cannot be told is EFAULT, whatever else happened; the requests were carried out",
    rules: ["C2.25"],
  }, (t) => {
    const rows: [string, Partial<IommuHwptInvalidate>, handled: boolean][] = [
      ["a request", { entryNum: 1 }, true],
      ["a request and a bad one", { entryNum: 2 }, true],
      ["a reserved field", { entryNum: 1, reserved: 1 }, false],
      ["an id of nothing", { entryNum: 1, hwptId: 999 }, false],
      ["a type that the driver lacks", { entryNum: 1, dataType: 1 }, false],
    ];
    for (const [what, more, handled] of rows) {
      t.case(what, async (self) => {
        const { io, idevId, parent, pages } = self;
        const nested = await nestedAlloc(io, idevId, parent);
        await place(self, pages, [{ iotlbId: 1 }, { iotlbId: 7 }]);
        const values = struct(self, { hwptId: nested, ...more });
        const bytes = IommuHwptInvalidate.encode(values);
        const cmd = IOMMU_HWPT_INVALIDATE;
        await io.ioctlReadOnly(cmd, bytes, EFAULT, "HWPT_INVALIDATE");
        await checkIotlb(io, nested, [FULL, handled ? 0 : FULL, FULL, FULL]);
        await io.destroy(nested);
      });
    }
  });
}

/** Requests that can be carried out. */
const GOOD: readonly Request[] = [
  { iotlbId: 0 },
  { iotlbId: 2 },
  { iotlbId: 3 },
];

/** What the IOTLB has after the first of them. */
function afterGood(count: number): number[] {
  const values = [FULL, FULL, FULL, FULL];
  for (const { iotlbId } of GOOD.slice(0, count)) values[iotlbId!] = 0;
  return values;
}

/** How many requests there may be. */
function registerLimits(f: InvalidateFixture): void {
  f.test("many", {
    description: "One call may have 2^19 requests, of any alignment",
    rules: ["C2.25"],
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
    rules: ["C2.23"],
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

  f.table("check_iotlb", {
    description:
      "MD_CHECK_IOTLB finds another value, an entry that there is not and a HWPT that has none",
    rules: ["C2.23"],
  }, (t) => {
    type Values = (self: InvalidateSelf) => Partial<TestCheckIotlb>;
    const rows: [string, Errno | undefined, Values][] = [
      ["the value", undefined, () => ({ iotlbId: 3 })],
      ["another value", EINVAL, () => ({ iotlbId: 3, iotlb: 0 })],
      ["entry 4", EINVAL, () => ({ iotlbId: 4 })],
      ["the highest entry", EINVAL, () => ({ iotlbId: 0xffffffff })],
      ["a HWPT of an IOAS", ENOENT, ({ parent }) => ({ id: parent })],
      ["an IOAS", ENOENT, ({ ioasId }) => ({ id: ioasId })],
      ["an id of nothing", ENOENT, () => ({ id: 999 })],
    ];
    for (const [what, errno, valuesOf] of rows) {
      t.case(what, (self) =>
        self.io.mock.call(
          "MD_CHECK_IOTLB",
          TestCheckIotlb,
          IOMMU_TEST_OP_MD_CHECK_IOTLB,
          { id: self.nested, iotlb: FULL, ...valuesOf(self) },
          errno,
        ));
    }
  });
}
