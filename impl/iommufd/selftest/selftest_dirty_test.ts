// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_DIRTY,
  TestDirty,
} from "../../uapi/selftest.ts";
import type { Iova } from "../../lib/brands.ts";
import { EFAULT } from "../../uapi/errno.ts";
import { PAGE_SIZE, PROT_READ } from "../../uapi/mman.ts";
import { DirtyBench, GRANULE, MAPPED } from "../testing/dirty_bench.ts";
import { IOVA, Machine } from "../testing/machine.ts";

const KEEP = { flags: 1 };
/** A revision whose mock has a flat page table. */
const FLAT = "6.12";

describe("test operation DIRTY", () => {
  it("marks what is mapped at each IOVA, and returns how many bits are set", () => {
    const bench = new DirtyBench();
    bench.set(true);
    assertEquals(bench.write([1, 2]).outNrDirty, 2n);
    assertEquals(bench.write([2, 3]).outNrDirty, 2n);
    const length = BigInt(MAPPED + 2) * GRANULE;
    assertEquals(bench.write([63, 64, 65], { length }).outNrDirty, 3n);
    assertEquals(bench.read(), [1, 2, 3, 63]);
    assertEquals(bench.write([0, 31], { pageSize: 4096n }).outNrDirty, 2n);
    assertEquals(bench.read(), [0, 62]);
    // Behind the end of the IOVA space it goes on at its beginning.
    const place = { iova: 2n ** 64n - IOVA, pageSize: IOVA, length: 4n * IOVA };
    assertEquals(bench.write([0, 1, 2], place).outNrDirty, 3n);
    assertEquals(bench.read(), [0]);
    bench.end();
  });

  it("returns how many IO pages are mapped and marked, marked before or not", () => {
    const bench = new DirtyBench(0, FLAT);
    bench.set(true);
    assertEquals(bench.write([1, 2]).outNrDirty, 2n);
    assertEquals(bench.write([2, 3]).outNrDirty, 2n);
    const length = BigInt(MAPPED + 2) * GRANULE;
    assertEquals(bench.write([63, 64, 65], { length }).outNrDirty, 1n);
    assertEquals(bench.read(KEEP), [1, 2, 3, 63]);
    bench.end();
  });

  it("ignores its flags and the bits behind the range", () => {
    const bench = new DirtyBench();
    bench.set(true);
    const length = 3n * GRANULE;
    const { ret, outNrDirty } = bench.write([2, 3, 4], { length, flags: 99 });
    assertEquals([ret, outNrDirty], [0, 1n]);
    assertEquals(bench.read(), [2]);
    bench.end();
  });

  it("counts entries in page sizes, which hits other IOVA unless that is 2 KiB", () => {
    const bench = new DirtyBench(0, FLAT);
    bench.set(true);
    // Entry n for page n: 4 KiB pages are looked for at half their IOVA.
    const pageSize = 4096n;
    const iova = IOVA * 2n;
    const values = { iova, pageSize, length: 64n * pageSize };
    assertEquals(bench.write([0, 33], values).outNrDirty, 2n);
    assertEquals(bench.read(), [0, 33]);
    assertEquals(bench.write([0], { pageSize }).outNrDirty, 0n);
    // 1 KiB pages, at twice their IOVA.
    const small = { iova: IOVA / 2n, pageSize: 1024n, length: 4096n };
    assertEquals(bench.write([3], small).outNrDirty, 1n);
    // A page size that is no power of two.
    const odd = { iova: 8195n * 3n, pageSize: 3n, length: 9n };
    assertEquals(bench.write([0, 2], odd).outNrDirty, 2n);
    assertEquals(bench.read(), [3, 5]);
    bench.end();
  });

  it("goes on at entry 0 behind the end of the IOVA space", () => {
    const bench = new DirtyBench(0, FLAT);
    bench.set(true);
    const { domain } = bench;
    domain.mapPages(0 as Iova, 0, 2048, 2, 3);
    const marked = (bit: number, values: Partial<TestDirty>) =>
      bench.write([bit], values).outNrDirty;
    const even = { iova: 2n ** 64n - 2n * GRANULE, length: 8n * GRANULE };
    assertEquals(
      [0, 1, 2, 3, 4].map((bit) => marked(bit, even)),
      [0n, 0n, 1n, 1n, 0n],
    );
    // Here the last page before the end is not whole.
    const pageSize = 3n * GRANULE;
    const last = 2n ** 64n - 2n ** 64n % pageSize;
    const odd = { iova: last, length: 4n * pageSize, pageSize };
    assertEquals(
      [0, 1, 2, 3].map((bit) => marked(bit, odd)),
      [0n, 1n, 1n, 0n],
    );
    domain.unmapPages(0 as Iova, 2048, 2);
    bench.end();
  });

  it("fails in Linux's order: each call has all faults from one on", () => {
    const bench = new DirtyBench();
    const huge = 2n ** 27n + 1n;
    const faults: [string, Partial<TestDirty>][] = [
      ["EINVAL", { pageSize: 0n }],
      ["EINVAL", { length: 0n }],
      ["EINVAL", { iova: IOVA + 1n }],
      ["EINVAL", { length: GRANULE + 1n }],
      ["EINVAL", { uptr: 0n }],
      ["EOVERFLOW", { length: huge * GRANULE }],
      ["ENOENT", { id: 99 }],
      // It cannot track.
      ["EINVAL", { id: bench.auto }],
      // Tracking is off.
      ["EINVAL", { uptr: 4096n }],
    ];
    for (const [first, [errno]] of faults.entries()) {
      const rest = faults.slice(first).map(([, values]) => values);
      const values = Object.assign({}, ...rest.toReversed());
      assertEquals(bench.write([0], values).ret, errno, `fault ${first}`);
    }
    bench.set(true);
    assertEquals(bench.write([0], { uptr: 4096n }).ret, "EFAULT");
    assertEquals(bench.write([0]).ret, 0);
    bench.end();
  });

  it("takes 16 Mi bytes of bits, and no nested HWPT", () => {
    const bench = new DirtyBench();
    bench.set(true);
    const nested = bench.nested(bench.parent());
    for (const id of [nested, bench.ioas, bench.dev]) {
      assertEquals(bench.write([0], { id }).ret, "ENOENT");
    }
    const pages = 2 ** 24 / PAGE_SIZE;
    const memory = bench.machine.memory(pages + 1);
    bench.machine.process.munmap(memory + 2 ** 24, PAGE_SIZE);
    const uptr = BigInt(memory);
    const most = { uptr, length: 2n ** 27n * GRANULE };
    assertEquals(bench.write([], most).ret, 0);
    const beyond = { ...most, length: most.length + 8n * GRANULE };
    assertEquals(bench.write([], beyond).ret, "EOVERFLOW");
    assertEquals(bench.write([], { ...most, uptr: uptr + 1n }).ret, "EFAULT");
    bench.end();
  });

  it("keeps what it marked when the answer cannot be written: EFAULT", () => {
    const bench = new DirtyBench();
    const { process, fd } = bench.machine;
    bench.set(true);
    process.poke(bench.place, new Uint8Array([0x10]));
    const place = bench.machine.memory(1);
    const cmd = TestDirty.encode({
      op: IOMMU_TEST_OP_DIRTY,
      id: bench.hwpt,
      iova: IOVA,
      length: 8n * GRANULE,
      pageSize: GRANULE,
      uptr: BigInt(bench.place),
    });
    process.poke(place, cmd);
    process.mprotect(place, PAGE_SIZE, PROT_READ);
    assertEquals(process.ioctl(fd, IOMMU_TEST_CMD, place), -EFAULT.code);
    assertEquals(bench.read(), [4]);
    bench.end();
  });

  it("does not exist in v3: EOPNOTSUPP", () => {
    const machine = new Machine("v3");
    const values = { pageSize: GRANULE, length: GRANULE, uptr: 1n };
    const answer = machine.test(IOMMU_TEST_OP_DIRTY, TestDirty, values);
    assertEquals(answer.ret, "EOPNOTSUPP");
    machine.end();
  });
});
