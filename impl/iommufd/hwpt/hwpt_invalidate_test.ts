// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  IOMMU_HWPT_INVALIDATE,
  IommuHwptInvalidate,
} from "../../uapi/iommufd.ts";
import {
  HwptInvalidateSelftest,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
} from "../../uapi/selftest.ts";
import { PAGE_SIZE, PROT_READ, PROT_WRITE } from "../../uapi/mman.ts";
import { errnoName } from "../../uapi/errno.ts";
import { HwptBench, IOTLB } from "../testing/hwpt_bench.ts";

const ONE = [{ iotlbId: 0 }];

/** A nested HWPT, and what its cache holds: `.` for an invalid entry, `x` for one that is valid. */
function nested(): { bench: HwptBench; id: number; cache: () => string } {
  const bench = new HwptBench();
  const id = bench.nested(bench.parent());
  const symbol = (entry: number) => {
    if (bench.checkIotlb(id, entry, IOTLB) === 0) return "x";
    return bench.checkIotlb(id, entry, 0) === 0 ? "." : "?";
  };
  return { bench, id, cache: () => [0, 1, 2, 3].map(symbol).join("") };
}

describe("HWPT_INVALIDATE", () => {
  it("carries out requests in order", () => {
    const { bench, id, cache } = nested();
    assertEquals(cache(), "xxxx");
    const answer = bench.invalidate(id, [{ iotlbId: 2 }, { iotlbId: 0 }]);
    assertEquals([answer.ret, answer.entryNum], [0, 2]);
    assertEquals(cache(), ".x.x");
    const all = { flags: IOMMU_TEST_INVALIDATE_FLAG_ALL };
    assertEquals(bench.invalidate(id, [all]).entryNum, 1);
    assertEquals(cache(), "....");
    bench.end();
  });

  it("stops at the first that fails, and tells how many it carried out", () => {
    for (
      const [errno, bad] of [
        ["EOPNOTSUPP", { flags: 2 }],
        ["EOPNOTSUPP", { flags: 0x80000000 }],
        ["EINVAL", { iotlbId: 4 }],
        ["EINVAL", { iotlbId: 4, flags: IOMMU_TEST_INVALIDATE_FLAG_ALL }],
      ] as const
    ) {
      for (const before of [0, 1, 2]) {
        const { bench, id, cache } = nested();
        const good = [{ iotlbId: 1 }, { iotlbId: 3 }];
        const requests = [...good.slice(0, before), bad, { iotlbId: 0 }];
        const answer = bench.invalidate(id, requests);
        assertEquals([answer.ret, answer.entryNum], [errno, before]);
        assertEquals(cache(), ["xxxx", "x.xx", "x.x."][before]);
        bench.end();
      }
    }
  });

  it("stops at an entry that cannot be read: EFAULT", () => {
    const { bench, id, cache } = nested();
    const { process } = bench.machine;
    const memory = bench.machine.memory(2);
    process.munmap(memory + PAGE_SIZE, PAGE_SIZE);
    const uptr = memory + PAGE_SIZE - HwptInvalidateSelftest.size;
    process.poke(uptr, HwptInvalidateSelftest.encode({ iotlbId: 3 }));
    const values = { dataUptr: BigInt(uptr), entryNum: 2 };
    const answer = bench.invalidate(id, [], values);
    assertEquals([answer.ret, answer.entryNum], ["EFAULT", 1]);
    assertEquals(cache(), "xxx.");
    bench.end();
  });

  it("checks its arguments in Linux's order, and carries out nothing then", () => {
    const { bench, id, cache } = nested();
    const faults: [string, Partial<IommuHwptInvalidate>][] = [
      ["EOPNOTSUPP", { reserved: 1 }],
      ["EINVAL", { entryLen: 0 }],
      ["ENOENT", { hwptId: 99 }],
      ["EINVAL", { dataType: 1 }],
    ];
    for (const [i, [errno]] of faults.entries()) {
      const rest = faults.slice(i).map(([, values]) => values);
      const answer = bench.invalidate(id, ONE, Object.assign({}, ...rest));
      assertEquals([answer.ret, answer.entryNum], [errno, 0]);
    }
    assertEquals(cache(), "xxxx");
    assertEquals(bench.invalidate(id, ONE).ret, 0);
    bench.end();
  });

  it("bounds entries, but only if there are any", () => {
    const { bench, id } = nested();
    const bad: Partial<IommuHwptInvalidate>[] = [
      { dataUptr: 0n },
      { entryLen: 0 },
      { entryLen: PAGE_SIZE + 1 },
    ];
    for (const values of bad) {
      assertEquals(bench.invalidate(id, ONE, values).ret, "EINVAL");
      assertEquals(bench.invalidate(id, [], values).ret, 0);
    }
    // Up to 2^19 entries: the first one that cannot be read ends it.
    const many = (entryNum: number) => bench.invalidate(id, ONE, { entryNum });
    assertEquals([many(2 ** 19).ret, many(2 ** 19 + 1).ret], [
      "EFAULT",
      "EINVAL",
    ]);
    assertEquals(many(2 ** 19).entryNum, PAGE_SIZE / 8);
    bench.end();
  });

  it("tells by no entries at all whether a type is known", () => {
    const { bench, id } = nested();
    assertEquals(bench.invalidate(id, []).ret, 0);
    assertEquals(bench.invalidate(id, [], { dataType: 1 }).ret, "EINVAL");
    bench.end();
  });

  it("takes nested HWPTs only: EINVAL, and ENOENT without an object", () => {
    const { bench } = nested();
    for (const id of [bench.parent(), bench.auto, bench.ioas, bench.dev]) {
      assertEquals(bench.invalidate(id, ONE).ret, "EINVAL");
    }
    assertEquals(bench.invalidate(0, ONE).ret, "ENOENT");
    bench.end();
  });

  it("is EFAULT, whatever happened, if the answer cannot be written", () => {
    const { bench, id, cache } = nested();
    const { process, fd } = bench.machine;
    bench.invalidate(id, [{ iotlbId: 1 }, { iotlbId: 9 }]);
    const page = bench.machine.memory(1);
    const place = BigInt(bench.place);
    const call = (values: Partial<IommuHwptInvalidate>) => {
      const bytes = IommuHwptInvalidate.encode({
        hwptId: id,
        dataUptr: place,
        dataType: IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
        entryLen: HwptInvalidateSelftest.size,
        entryNum: 2,
        ...values,
      });
      process.mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE);
      process.poke(page, bytes);
      process.mprotect(page, PAGE_SIZE, PROT_READ);
      return errnoName(process.ioctl(fd, IOMMU_HWPT_INVALIDATE, page));
    };
    process.poke(bench.place, HwptInvalidateSelftest.encode({ iotlbId: 2 }));
    assertEquals(call({}), "EFAULT");
    assertEquals(cache(), "x..x");
    assertEquals(call({ reserved: 1 }), "EFAULT");
    assertEquals(call({ hwptId: 99 }), "EFAULT");
    bench.end();
  });
});

describe("MD_CHECK_IOTLB", () => {
  it("compares one entry of a nested HWPT", () => {
    const { bench, id } = nested();
    assertEquals(bench.checkIotlb(id, 3, IOTLB), 0);
    assertEquals(bench.checkIotlb(id, 3, IOTLB + 1), "EINVAL");
    assertEquals(bench.checkIotlb(id, 4, IOTLB), "EINVAL");
    assertEquals(bench.checkIotlb(bench.auto, 0, IOTLB), "ENOENT");
    assertEquals(bench.checkIotlb(99, 0, IOTLB), "ENOENT");
    bench.end();
  });
});
