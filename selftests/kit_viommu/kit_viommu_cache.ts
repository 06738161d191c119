// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of the fixture `kit_viommu`: what is invalidated through a virtual
 * IOMMU, which is the cache that each mock device has of its own.
 *
 * @module
 */

import {
  E2BIG,
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_INVALIDATE,
  IommuHwptInvalidate,
} from "../../impl/uapi/iommufd.ts";
import { MAP_PRIVATE } from "../../impl/uapi/mman.ts";
import {
  devCheckCache,
  devCheckCacheAll,
  IOMMU_TEST_DEV_CACHE_DEFAULT,
  IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
  vdeviceAlloc,
  viommuInvalidate,
  ViommuInvalidateSelftest,
} from "../ioctls/viommu_ioctls.ts";
import type { ViommuFixture, ViommuSelf } from "./kit_viommu.ts";

/** The number of the device. */
const NUMBER = 0x99;
/** What a word of the cache is at first. */
const FULL = IOMMU_TEST_DEV_CACHE_DEFAULT;
/** Bytes of a request. */
const REQUEST = ViommuInvalidateSelftest.size;
/** Clears all words. */
const ALL = 1;

/** The device is known to the virtual IOMMU. */
async function withDevice(self: ViommuSelf): Promise<ViommuSelf> {
  await vdeviceAlloc(self.io, self.viommuId, self.device.idevId, NUMBER);
  return self;
}

/** A request for a word of the device's cache. */
function clear(
  cacheId: number,
  values: Partial<ViommuInvalidateSelftest> = {},
): Partial<ViommuInvalidateSelftest> {
  return { vdevId: NUMBER, cacheId, ...values };
}

/** Adds the tests. */
export function registerViommuCache(f: ViommuFixture): void {
  registerRequests(f);
  registerLengths(f);
}

function registerRequests(f: ViommuFixture): void {
  f.table("invalidate_requests", {
    description:
      "Requests are carried out in order up to the first that is wrong; those that were are counted",
    rules: ["V5.1"],
  }, (t) => {
    type Request = Partial<ViommuInvalidateSelftest>;
    type Row = [string, Request[], number, Errno | undefined, number[]];
    const rows: Row[] = [
      ["one word", [clear(2)], 1, undefined, [FULL, FULL, 0, FULL]],
      ["all words", [clear(3, { flags: ALL })], 1, undefined, [0, 0, 0, 0]],
      ["two", [clear(0), clear(3)], 2, undefined, [0, FULL, FULL, 0]],
      ["a flag", [clear(0, { flags: 2 })], 0, EOPNOTSUPP, [
        FULL,
        FULL,
        FULL,
        FULL,
      ]],
      [
        "a flag of the second",
        [clear(1), clear(0, { flags: 3 })],
        1,
        EOPNOTSUPP,
        [FULL, 0, FULL, FULL],
      ],
      ["a word that is not there", [clear(0), clear(4)], 1, EINVAL, [
        0,
        FULL,
        FULL,
        FULL,
      ]],
      ["not there, and all", [clear(4, { flags: ALL })], 0, EINVAL, [
        FULL,
        FULL,
        FULL,
        FULL,
      ]],
      [
        "no such device",
        [clear(1), clear(0, { vdevId: 1 }), clear(2)],
        1,
        EINVAL,
        [FULL, 0, FULL, FULL],
      ],
    ];
    for (const [what, requests, handled, errno, cache] of rows) {
      t.case(what, async (self) => {
        const { io, ioasId, viommuId } = self;
        const device = await io.mock.domain(ioasId);
        const id = await vdeviceAlloc(io, viommuId, device.idevId, NUMBER);
        await viommuInvalidate(io, viommuId, requests, handled, errno);
        await devCheckCacheAll(io, device.idevId, cache);
        await io.destroy(id);
        await io.mock.destroyDomain(device);
      });
    }
  });

  f.test("invalidate_device", {
    description:
      "A request names a device by its number with the virtual IOMMU, as long as it has that",
    rules: ["V5.1"],
  }, async (self) => {
    const { io, ioasId, device, viommuId } = self;
    const other = await io.mock.domain(ioasId);
    const id = await vdeviceAlloc(io, viommuId, device.idevId, 1);
    await vdeviceAlloc(io, viommuId, other.idevId, 2n ** 32n + 1n);
    await viommuInvalidate(io, viommuId, [{ vdevId: 1, flags: ALL }], 1);
    await devCheckCacheAll(io, device.idevId, [0, 0, 0, 0]);
    await devCheckCacheAll(io, other.idevId);
    await io.destroy(id);
    await viommuInvalidate(io, viommuId, [{ vdevId: 1 }], 0, EINVAL);
    await viommuInvalidate(io, 999, [{ vdevId: 1 }], 0, ENOENT);
  });

  f.table("check_cache", {
    description: "The test operation sees one word of one device",
    rules: ["V5.1"],
  }, (t) => {
    type Row = [string, number, number, Errno | undefined];
    const rows: Row[] = [
      ["the first word", 0, FULL, undefined],
      ["the last word", 3, FULL, undefined],
      ["another value", 3, 0, EINVAL],
      ["a word that is not there", 4, FULL, EINVAL],
      ["the highest word", 0xffffffff, FULL, EINVAL],
    ];
    for (const [what, cacheId, cache, errno] of rows) {
      t.case(
        what,
        ({ io, device }) =>
          devCheckCache(io, device.idevId, cacheId, cache, errno),
      );
    }
    t.case(
      "no device",
      ({ io, ioasId }) => devCheckCache(io, ioasId, 0, FULL, ENOENT),
    );
  });
}

function registerLengths(f: ViommuFixture): void {
  f.table("invalidate_lengths", {
    description:
      "Requests may be shorter than known, or longer if they end in zeroes",
    rules: ["V5.2"],
    prepare: withDevice,
  }, (t) => {
    /** Two requests of `entryLen` bytes each, for words 1 and 2. */
    const place = async ({ io }: ViommuSelf, entryLen: number) => {
      const bytes = new Uint8Array(2 * entryLen);
      for (const i of [0, 1]) {
        const request = ViommuInvalidateSelftest.encode(clear(i + 1));
        bytes.set(request.subarray(0, entryLen), i * entryLen);
      }
      await io.process.poke(io.scratch, bytes);
    };
    const options = (entryLen: number) => ({ entryLen, entryNum: 2 });
    for (const entryLen of [5, 8, 11, 12, 13, 16, 64]) {
      t.case(`${entryLen} bytes each`, async (self) => {
        const { io, viommuId } = self;
        await place(self, entryLen);
        await viommuInvalidate(
          io,
          viommuId,
          [],
          2,
          undefined,
          options(entryLen),
        );
      });
    }
    t.case("4 bytes each, so that there is no device", async (self) => {
      await place(self, 4);
      const { io, viommuId } = self;
      await viommuInvalidate(io, viommuId, [], 0, EINVAL, options(4));
    });
    t.case("longer, and not zero", async (self) => {
      const { io, viommuId } = self;
      await place(self, 16);
      await io.process.poke(io.scratch + 2 * 16 - 1, Uint8Array.of(1));
      await viommuInvalidate(io, viommuId, [], 0, E2BIG, options(16));
    });
    t.case("a page each", async (self) => {
      const { io, viommuId } = self;
      const { pageSize } = io.context;
      const pages = await io.mmap(2 * pageSize, MAP_PRIVATE);
      const request = ViommuInvalidateSelftest.encode(clear(0));
      for (const i of [0, 1]) {
        await io.process.poke(pages + i * pageSize, request);
      }
      await viommuInvalidate(io, viommuId, [], 2, undefined, {
        ...options(pageSize),
        dataUptr: BigInt(pages),
      });
      await io.munmap(pages, 2 * pageSize);
    });
  });

  f.test("invalidate_shorter", {
    description: "What a short request lacks is 0",
    rules: ["V5.2"],
  }, async (self) => {
    const { io, viommuId, device } = await withDevice(self);
    const request = ViommuInvalidateSelftest.encode(clear(3));
    await io.process.poke(io.scratch, request);
    const options = { entryLen: 8, entryNum: 1 };
    await viommuInvalidate(io, viommuId, [], 1, undefined, options);
    await devCheckCacheAll(io, device.idevId, [0, FULL, FULL, FULL]);
  });

  f.table("invalidate_arrays", {
    description:
      "All requests are read before the first is carried out; none at all asks for the type",
    rules: ["V5.1"],
    prepare: withDevice,
    finish: ({ io, device }) => devCheckCacheAll(io, device.idevId),
  }, (t) => {
    const type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST;
    type Row = [string, Errno | undefined, Partial<IommuHwptInvalidate>];
    const rows: Row[] = [
      ["none", undefined, { dataUptr: 0n, entryLen: 0 }],
      ["none of another type", EINVAL, { dataType: 1 }],
      ["one of another type", EINVAL, { dataType: 1, entryNum: 1 }],
      ["at 0", EINVAL, { entryNum: 1, dataUptr: 0n }],
      ["without length", EINVAL, { entryNum: 1, entryLen: 0 }],
      ["longer than a page", EINVAL, { entryNum: 1, entryLen: 4097 }],
      ["too many", EINVAL, { entryNum: 2 ** 19 + 1 }],
      ["nowhere", EFAULT, { entryNum: 1, dataUptr: 1n }],
      ["nowhere, and longer", EFAULT, {
        entryNum: 1,
        dataUptr: 1n,
        entryLen: 16,
      }],
      ["a reserved field", EOPNOTSUPP, { reserved: 1 }],
    ];
    for (const [what, errno, values] of rows) {
      t.case(what, async ({ io, viommuId }) => {
        const { entryNum } = await io.call(
          IommuHwptInvalidate,
          IOMMU_HWPT_INVALIDATE,
          {
            hwptId: viommuId,
            dataUptr: BigInt(io.scratch),
            dataType: type,
            entryLen: REQUEST,
            ...values,
          },
          errno,
        );
        if (entryNum !== 0) throw new Error(`${entryNum} requests handled`);
      });
    }
    t.case("the second nowhere", async ({ io, viommuId }) => {
      const { pageSize } = io.context;
      const page = await io.mmap(2 * pageSize, MAP_PRIVATE);
      await io.munmap(page + pageSize, pageSize);
      const last = page + pageSize - REQUEST;
      await io.process.poke(last, ViommuInvalidateSelftest.encode(clear(0)));
      await viommuInvalidate(io, viommuId, [], 0, EFAULT, {
        dataUptr: BigInt(last),
        entryNum: 2,
      });
      await io.munmap(page, pageSize);
    });
  });

  f.test("invalidate_many", {
    description: "A quarter of a million requests are carried out at once",
    rules: ["C2.25"],
  }, (self) => invalidateMany(self, 2 ** 18));

  f.test("invalidate_most", {
    description: "As many requests are carried out as a call may have",
    rules: ["C2.25"],
    knownBug: () => "warns_of_most_invalidations",
  }, (self) => invalidateMany(self, 2 ** 19));
}

/** Clears word 0 again and again; device 0 is the one. */
async function invalidateMany(
  { io, viommuId, device }: ViommuSelf,
  count: number,
): Promise<void> {
  await vdeviceAlloc(io, viommuId, device.idevId, 0);
  // Fresh memory: requests of zeroes, for word 0 of device 0.
  const length = count * REQUEST;
  const memory = await io.mmap(length, MAP_PRIVATE);
  await viommuInvalidate(io, viommuId, [], count, undefined, {
    dataUptr: BigInt(memory),
    entryNum: count,
  });
  await devCheckCacheAll(io, device.idevId, [0, FULL, FULL, FULL]);
  await io.munmap(memory, length);
}
