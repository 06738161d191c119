// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelBug } from "../../kernel/warn.ts";
import { ENODEV } from "../../uapi/errno.ts";
import {
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  IommuHwptGetDirtyBitmap,
  IommuHwptSetDirtyTracking,
} from "../../uapi/iommufd.ts";
import { MOCK_FLAGS_DEVICE_HUGE_IOVA } from "../../uapi/selftest.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../uapi/mman.ts";
import { DirtyBench, GRANULE, MAPPED } from "../testing/dirty_bench.ts";
import { IOVA, Machine, PAGE } from "../testing/machine.ts";

const NO_CLEAR = IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR;
const KEEP = { flags: NO_CLEAR };

describe("SET_DIRTY_TRACKING", () => {
  it("turns tracking on and off, again and again", () => {
    const bench = new DirtyBench();
    for (const enable of [true, true, false, false, true]) {
      assertEquals(bench.set(enable), 0);
      assertEquals(bench.domain.tracksDirty, enable);
    }
    bench.end();
  });

  it("refuses unknown flags before it looks for the HWPT, and ignores the reserved field", () => {
    const bench = new DirtyBench();
    for (const flags of [2, 3, 2 ** 31]) {
      assertEquals(bench.set(true, { flags, hwptId: 99 }), "EOPNOTSUPP");
    }
    assertEquals(bench.set(true, { reserved: 0xffffffff }), 0);
    assertEquals(bench.domain.tracksDirty, true);
    bench.end();
  });

  it("wants a HWPT of an IOAS that can track: ENOENT, EOPNOTSUPP", () => {
    const bench = new DirtyBench();
    const nested = bench.nested(bench.parent());
    for (const hwptId of [0, 99, bench.ioas, bench.dev, nested]) {
      assertEquals(bench.set(true, { hwptId }), "ENOENT");
    }
    for (const enable of [true, false]) {
      assertEquals(bench.set(enable, { hwptId: bench.auto }), "EOPNOTSUPP");
    }
    bench.end();
  });

  it("forgets old writes when it turns tracking on, also if it is on", () => {
    const bench = new DirtyBench();
    const userVa = BigInt(bench.machine.memory(1));
    const iova = IOVA + 0x100000n;
    const values = { ioasId: bench.ioas, userVa, iova };
    assertEquals(bench.machine.map(values).ret, 0);
    assertEquals(bench.set(true), 0);
    bench.write([0, 5, 63]);
    bench.write([1], { iova, length: PAGE });
    assertEquals(bench.set(true), 0);
    assertEquals(bench.read(KEEP), []);
    assertEquals(bench.read({ ...KEEP, iova, length: PAGE }), []);

    bench.write([7]);
    assertEquals(bench.set(false), 0);
    assertEquals(bench.set(true), 0);
    assertEquals(bench.read(KEEP), []);
    bench.write([7]);
    assertEquals(bench.read(KEEP), [7]);
    bench.end();
  });

  it("does not look at an area in the making", () => {
    const bench = new DirtyBench();
    const { domain } = bench;
    const mapRange = domain.mapRange.bind(domain);
    const readAndClear = domain.readAndClearDirty.bind(domain);
    const seen: number[] = [];
    domain.mapRange = (...args) => {
      assertEquals(bench.set(true), 0);
      mapRange(...args);
    };
    domain.readAndClearDirty = (...args) => {
      seen.push(args[0]);
      readAndClear(...args);
    };
    const iova = IOVA + 0x100000n;
    const userVa = BigInt(bench.machine.memory(1));
    const map = { ioasId: bench.ioas, userVa, iova };
    assertEquals(bench.machine.map(map).ret, 0);
    assertEquals(seen, [Number(IOVA)]);
    assertEquals(bench.set(true), 0);
    assertEquals(seen, [Number(IOVA), Number(IOVA), Number(iova)]);
    bench.end();
  });

  it("fails as its driver does, with tracking as it was", () => {
    const bench = new DirtyBench();
    const { domain } = bench;
    const readAndClear = domain.readAndClearDirty.bind(domain);
    domain.readAndClearDirty = () => {
      throw ENODEV;
    };
    assertEquals(bench.set(true), "ENODEV");
    assertEquals(domain.tracksDirty, false);
    assertEquals(bench.set(false), 0);
    domain.readAndClearDirty = readAndClear;
    assertEquals(bench.set(true), 0);
    assertEquals(domain.tracksDirty, true);
    bench.end();
  });
});

describe("GET_DIRTY_BITMAP", () => {
  it("gives each write once, or again and again with NO_CLEAR", () => {
    const bench = new DirtyBench();
    bench.set(true);
    assertEquals(bench.write([0, 1, 40, 63]).outNrDirty, 4n);
    assertEquals(bench.read(KEEP), [0, 1, 40, 63]);
    assertEquals(bench.read(), [0, 1, 40, 63]);
    assertEquals(bench.read(), []);
    bench.end();
  });

  it("reads the range that is asked for, from bit 0 on", () => {
    const bench = new DirtyBench();
    bench.set(true);
    bench.write([0, 9, 10, 19, 20, 63]);
    const values = { iova: IOVA + 10n * GRANULE, length: 10n * GRANULE };
    assertEquals(bench.read(values), [0, 9]);
    assertEquals(bench.read(), [0, 9, 20, 63]);
    bench.end();
  });

  it("adds to the bits that are there", () => {
    const bench = new DirtyBench();
    bench.set(true);
    bench.write([2]);
    bench.machine.process.poke(bench.bitmap, new Uint8Array([1, 0xf0]));
    assertEquals(bench.get(), 0);
    assertEquals(bench.bits(), [0, 2, 12, 13, 14, 15]);
    bench.end();
  });

  it("takes any page size that the range is a multiple of", () => {
    const bench = new DirtyBench();
    bench.set(true);
    bench.write([4, 5, 63]);
    const read = (pageSize: bigint) => bench.read({ ...KEEP, pageSize });
    assertEquals(read(4096n), [2, 31]);
    assertEquals(read(BigInt(MAPPED) * GRANULE), [0]);
    assertEquals(read(1024n), [8, 9, 10, 11, 126, 127]);
    assertEquals(read(512n).length, 12);
    assertEquals(read(1n).length, 3 * 2048);
    // Not a power of two: the lowest bit counts where bits are set, and all of them where the range is checked.
    assertEquals(read(2048n + 4096n + 8192n), [4, 5, 63]);
    assertEquals(read(1n + (1n << 20n)).length, 3 * 2048);
    assertEquals(bench.get({ pageSize: 3n * 65536n + 2048n }), "EINVAL");
    bench.end();
  });

  it("goes through all areas of the range, and on where they do not begin with an IO page's bit", () => {
    const bench = new DirtyBench();
    const end = IOVA + BigInt(MAPPED) * GRANULE;
    const userVa = BigInt(bench.machine.memory(4)) + GRANULE;
    const map = { ioasId: bench.ioas, userVa, iova: end, length: 3n * GRANULE };
    assertEquals(bench.machine.map(map).ret, 0);
    const second = {
      ...map,
      userVa: userVa + GRANULE,
      iova: end + 3n * GRANULE,
    };
    assertEquals(bench.machine.map(second).ret, 0);
    bench.set(true);
    const range = { length: BigInt(MAPPED + 6) * GRANULE };
    bench.write([62, 65, 67, 69], range);
    const coarse = { ...range, ...KEEP, pageSize: 4096n };
    assertEquals(bench.read(coarse), [31, 32, 33, 34]);
    assertEquals(bench.read(range), [62, 65, 67, 69]);
    bench.end();
  });

  it("counts in 1 MiB where the domain has such pages", () => {
    const bench = new DirtyBench(MOCK_FLAGS_DEVICE_HUGE_IOVA, "6.12");
    const { machine } = bench;
    const size = 2 ** 21;
    const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB;
    const protection = PROT_READ | PROT_WRITE;
    const userVa = BigInt(machine.process.mmap(0, size, protection, flags));
    const iova = IOVA + BigInt(2 * size);
    const range = { iova, length: BigInt(size) };
    const map = { ioasId: bench.ioas, userVa, ...range };
    assertEquals(machine.map(map).ret, 0);
    bench.set(true);
    bench.write([700], range);
    const whole = Array.from({ length: 512 }, (_, i) => 512 + i);
    assertEquals(bench.read({ ...range, ...KEEP }), whole);
    assertEquals(bench.read({ ...range, ...KEEP, pageSize: 1n << 20n }), [1]);
    assertEquals(bench.read(range), whole);
    assertEquals(bench.read(range), []);
    // In the middle of a page: 1 MiB from there on, past the bitmap's one byte.
    bench.write([700], range);
    const part = { iova: iova + 800n * GRANULE, length: 4n * GRANULE };
    assertEquals(bench.read(part), Array.from({ length: 512 }, (_, i) => i));
    bench.end();
  });

  it("writes to the memory of the process that calls", () => {
    const bench = new DirtyBench();
    bench.set(true);
    bench.write([3]);
    const { machine, bitmap } = bench;
    const { process } = machine;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    process.mmap(bitmap, PAGE_SIZE, PROT_READ | PROT_WRITE, flags);
    const child = process.fork();
    const values = {
      hwptId: bench.hwpt,
      iova: IOVA,
      length: BigInt(MAPPED) * GRANULE,
      pageSize: GRANULE,
      data: BigInt(bitmap),
    };
    const cmd = IommuHwptGetDirtyBitmap.encode(values);
    const fd = machine.fd;
    assertEquals(child.ioctlStruct(fd, IOMMU_HWPT_GET_DIRTY_BITMAP, cmd), 0);
    assertEquals(child.peek(bitmap, 1), new Uint8Array([8]));
    assertEquals(process.peek(bitmap, 1), new Uint8Array([0]));
    child.exit();
    bench.end();
  });
});

describe("the errnos of GET_DIRTY_BITMAP", () => {
  it("come in Linux's order: each call has all faults from one on", () => {
    const bench = new DirtyBench();
    const faults: [string, Partial<IommuHwptGetDirtyBitmap>][] = [
      ["EOPNOTSUPP", { flags: 2 }],
      ["EOPNOTSUPP", { reserved: 1 }],
      ["ENOENT", { hwptId: 99 }],
      ["EOVERFLOW", { iova: 2n ** 64n - 1n }],
      ["EINVAL", { iova: IOVA + 1n }],
      ["EINVAL", { length: GRANULE + 1n }],
      ["EINVAL", { pageSize: 0n }],
      ["EINVAL", { pageSize: 1n << 25n }],
      ["EOPNOTSUPP", { hwptId: bench.auto }],
    ];
    for (const [first, [errno]] of faults.entries()) {
      const rest = faults.slice(first).map(([, values]) => values);
      const values = Object.assign({}, ...rest.toReversed());
      assertEquals(bench.get(values), errno, `fault ${first}`);
    }
    // EINVAL for length 0 comes before anything about the rest of the range.
    const empty = { length: 0n, iova: 2n ** 64n - 1n };
    assertEquals(bench.get(empty), "EINVAL");
    assertEquals(bench.get({ ...empty, length: 1n }), "EINVAL");
    assertEquals(bench.get({ ...empty, length: 2n }), "EOVERFLOW");
    assertEquals(bench.get(), 0);
    bench.end();
  });

  it("are ENOENT for whatever is no HWPT of an IOAS", () => {
    const bench = new DirtyBench();
    const nested = bench.nested(bench.parent());
    for (const hwptId of [0, bench.ioas, bench.dev, bench.stdev, nested]) {
      assertEquals(bench.get({ hwptId }), "ENOENT");
    }
    bench.end();
  });

  it("are about the alignment of both ends, for IOAS and page size", () => {
    const bench = new DirtyBench();
    const cases: [string | number, Partial<IommuHwptGetDirtyBitmap>][] = [
      ["EINVAL", { iova: IOVA + 1024n, length: 3072n, pageSize: 1024n }],
      ["EINVAL", { length: 3072n, pageSize: 1024n }],
      ["EINVAL", { iova: IOVA + GRANULE, length: 4096n, pageSize: 4096n }],
      ["EINVAL", { length: GRANULE, pageSize: 4096n }],
      [0, { iova: IOVA + GRANULE, length: 4096n }],
      [0, { iova: 2n ** 64n - 4096n, length: 4096n, pageSize: 4096n }],
      [0, { iova: 2n ** 63n, length: 2n ** 63n, pageSize: 2n ** 63n }],
      ["EINVAL", { iova: 0n, length: 2n ** 64n - 1n, pageSize: 1n }],
      [0, { iova: 0n, length: 2n ** 64n - GRANULE, pageSize: 1n }],
    ];
    for (const [result, values] of cases) {
      assertEquals(bench.get(values), result);
    }
    bench.end();
  });

  it("do not exist in v3: there is no such ioctl", () => {
    const machine = new Machine("v3");
    const get = machine.call(
      IOMMU_HWPT_GET_DIRTY_BITMAP,
      IommuHwptGetDirtyBitmap,
    );
    assertEquals(get.ret, "ENOTTY");
    const set = machine.call(
      IOMMU_HWPT_SET_DIRTY_TRACKING,
      IommuHwptSetDirtyTracking,
    );
    assertEquals(set.ret, "ENOTTY");
    machine.end();
  });

  it("include ENOMEM, and then no write is lost", () => {
    const bench = new DirtyBench();
    const { faults } = bench.machine.process;
    bench.set(true);
    bench.write([3]);
    const errnos: (string | number)[] = [];
    for (let nth = 1;; nth++) {
      faults.nth = nth;
      errnos.push(bench.get());
      if (faults.nth > 0) break;
      assertEquals(bench.bits(), []);
    }
    faults.nth = 0;
    // The last step that can fail is the allocation of the bitmap.
    assertEquals(errnos.slice(-2), ["ENOMEM", 0]);
    assertEquals(bench.bits(), [3]);
    bench.end();
  });
});

describe("a walk that fails", () => {
  it("is a success with the bits before the hole", () => {
    const bench = new DirtyBench();
    const userVa = BigInt(bench.machine.memory(2)) + GRANULE;
    const behind = IOVA + BigInt(MAPPED) * GRANULE + PAGE;
    const map = { ioasId: bench.ioas, userVa, iova: behind };
    assertEquals(bench.machine.map(map).ret, 0);
    bench.set(true);
    bench.write([1, 63]);
    bench.write([0], { iova: behind, length: PAGE });
    const length = BigInt(MAPPED + 4) * GRANULE;
    assertEquals(bench.read({ length }), [1, 63]);
    assertEquals(bench.read({ length }), []);
    assertEquals(bench.read({ iova: behind, length: PAGE }), [0]);
    bench.end();
  });

  it("is a success without bits where the range begins with a hole", () => {
    const bench = new DirtyBench();
    bench.set(true);
    bench.write([0]);
    assertEquals(bench.read({ iova: IOVA - PAGE }), []);
    assertEquals(bench.read(), [0]);
    bench.end();
  });

  it("is a success while tracking is off, with bits if the driver has them", () => {
    for (const [revision, bits] of [["6.12", []], ["7.3", [5]]] as const) {
      const bench = new DirtyBench(0, revision);
      assertEquals(bench.read(), []);
      bench.set(true);
      bench.write([5]);
      bench.set(false);
      assertEquals(bench.read(), [...bits]);
      assertEquals(bench.read(), []);
      bench.end();
    }
  });

  it("is a success with the bits of the areas before the one where the driver fails", () => {
    const bench = new DirtyBench();
    const iova = IOVA + BigInt(MAPPED) * GRANULE;
    const userVa = BigInt(bench.machine.memory(2)) + GRANULE;
    const map = { ioasId: bench.ioas, userVa, iova };
    assertEquals(bench.machine.map(map).ret, 0);
    bench.set(true);
    const range = { length: BigInt(MAPPED + 2) * GRANULE };
    bench.write([4, 64], range);
    const { domain } = bench;
    const readAndClear = domain.readAndClearDirty.bind(domain);
    let thrown: unknown = ENODEV;
    domain.readAndClearDirty = (...args) => {
      if (args[0] === Number(iova)) throw thrown;
      readAndClear(...args);
    };
    assertEquals(bench.read(range), [4]);
    thrown = new KernelBug("not an errno");
    assertThrows(() => bench.read(range), KernelBug);
    domain.readAndClearDirty = readAndClear;
    assertEquals(bench.read(range), [64]);
    bench.end();
  });

  it("is a success where the bitmap is bad, and those writes are lost", () => {
    const bench = new DirtyBench();
    bench.set(true);
    bench.write([0, 20, 63]);
    for (const data of [0n, 1n << 47n, 2n ** 64n - 1n]) {
      assertEquals(bench.get({ ...KEEP, data }), 0);
    }
    // The bitmap's second byte, and all after it, is in a page that is gone.
    const { process } = bench.machine;
    process.munmap(bench.bitmap + PAGE_SIZE, PAGE_SIZE);
    const data = BigInt(bench.bitmap + PAGE_SIZE - 1);
    assertEquals(bench.get({ data }), 0);
    assertEquals(process.peek(Number(data), 1), new Uint8Array([1]));
    const place = BigInt(bench.place);
    process.poke(bench.place, new Uint8Array(8));
    assertEquals(bench.get({ data: place }), 0);
    assertEquals(process.peek(bench.place, 8), new Uint8Array(8));
    bench.end();
  });
});
