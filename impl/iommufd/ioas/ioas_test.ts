// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type ByVersion, valueIn } from "../../uapi/revision/versions.ts";
import {
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_UNMAP,
  IommuIoasAlloc,
  IommuIoasAllowIovas,
  IommuIoasCopy,
  IommuIoasIovaRanges,
  type IommuIoasMap,
  IommuIoasUnmap,
  IommuIovaRange,
} from "../../uapi/iommufd.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { REVISION_NAMES, type RevisionName } from "../../uapi/revision.ts";
import { FIXED_RW, IOVA, Machine, PAGE, RW } from "../testing/machine.ts";

const MAX = 2n ** 64n - 1n;

/** What an ioctl answers, or what it answers in each revision. */
type Expected =
  | string
  | number
  | ByVersion<string | number>;

function expected(name: RevisionName, value: Expected): string | number {
  return typeof value === "object" ? valueIn(name, value)! : value;
}

/** Writes ranges to memory of the process; returns their address. */
function putRanges(
  machine: Machine,
  ranges: readonly [bigint, bigint][],
): bigint {
  const address = machine.memory(1);
  for (const [i, [start, last]] of ranges.entries()) {
    machine.process.poke(
      address + 16 * i,
      IommuIovaRange.encode({ start, last }),
    );
  }
  return BigInt(address);
}

function allow(
  machine: Machine,
  ioasId: number,
  ranges: readonly [bigint, bigint][],
): string | number {
  return machine.call(IOMMU_IOAS_ALLOW_IOVAS, IommuIoasAllowIovas, {
    ioasId,
    numIovas: ranges.length,
    allowedIovas: putRanges(machine, ranges),
  }).ret;
}

/**
 * Maps that fail, in Linux's order of checks: each entry also has what the
 * entries after it complain about, so that the order is proved too.
 */
const BAD_MAPS: {
  readonly what: string;
  readonly values: Partial<IommuIoasMap>;
  readonly ret: Expected;
}[] = [
  {
    what: "an unknown flag",
    values: { flags: 8, iova: MAX, ioasId: 99 },
    ret: "EOPNOTSUPP",
  },
  {
    what: "a reserved field",
    values: { reserved: 1, iova: MAX, ioasId: 99 },
    ret: "EOPNOTSUPP",
  },
  {
    what: "an IOVA of 2^64-1 that is not used",
    values: { flags: 0, iova: MAX, ioasId: 99 },
    ret: "EOVERFLOW",
  },
  {
    what: "a length of 2^64-1",
    values: { flags: 0, length: MAX, ioasId: 99 },
    ret: "EOVERFLOW",
  },
  {
    what: "no permission",
    values: { flags: 0, ioasId: 99 },
    ret: { v3: "ENOENT", "6.2": "EINVAL" },
  },
  { what: "no IOAS", values: { ioasId: 99, length: 0n }, ret: "ENOENT" },
  { what: "length 0", values: { length: 0n }, ret: "EINVAL" },
  {
    what: "a length of 2^64-2",
    values: { length: MAX - 1n },
    ret: { v3: "EINVAL", "6.13": "EOVERFLOW" },
  },
  {
    what: "a length of 2^64-2 from 0 on",
    values: { userVa: 0n, length: MAX - 1n },
    ret: "EINVAL",
  },
  {
    what: "an end of memory that wraps",
    values: { flags: RW, userVa: MAX - PAGE, length: 2n * PAGE },
    ret: { v3: 0, "6.3": "EOVERFLOW" },
  },
  {
    what: "an end of IOVA that wraps",
    values: { iova: MAX - PAGE + 1n, length: 2n * PAGE },
    ret: "EOVERFLOW",
  },
  {
    what: "an IOVA that is mapped",
    values: { iova: IOVA },
    ret: { v3: "EADDRINUSE", "6.2": "EEXIST" },
  },
  {
    what: "more than any hole has",
    values: { flags: RW, length: 1n << 63n },
    ret: "EOVERFLOW",
  },
];

/** Copies that fail, likewise. Areas: 2 pages at 16 MiB, 1 read-only page after them. */
const BAD_COPIES: {
  readonly what: string;
  readonly values: Partial<IommuIoasCopy>;
  readonly ret: Expected;
}[] = [
  {
    what: "an unknown flag",
    values: { flags: 8, length: MAX, srcIoasId: 99 },
    ret: "EOPNOTSUPP",
  },
  {
    what: "a length of 2^64-1",
    values: { length: MAX, srcIoasId: 99 },
    ret: "EOVERFLOW",
  },
  {
    what: "a source of 2^64-1",
    values: { srcIova: MAX, srcIoasId: 99 },
    ret: { v3: "ENOENT", "6.2": "EOVERFLOW" },
  },
  {
    what: "a destination of 2^64-1",
    values: { dstIova: MAX, srcIoasId: 99 },
    ret: { v3: "ENOENT", "6.2": "EOVERFLOW" },
  },
  {
    what: "no permission",
    values: { flags: IOMMU_IOAS_MAP_FIXED_IOVA, srcIoasId: 99 },
    ret: { v3: "ENOENT", "6.2": "EINVAL" },
  },
  {
    what: "no source",
    values: { srcIoasId: 99, length: 0n, dstIoasId: 99 },
    ret: "ENOENT",
  },
  { what: "length 0", values: { length: 0n, dstIoasId: 99 }, ret: "EINVAL" },
  {
    what: "a source that wraps",
    values: { srcIova: MAX - 1n, length: PAGE, dstIoasId: 99 },
    ret: "EOVERFLOW",
  },
  {
    what: "a source that starts before an area",
    values: { srcIova: IOVA - PAGE, length: 2n * PAGE },
    ret: "ENOENT",
  },
  {
    what: "a source that ends behind the areas",
    values: { srcIova: IOVA + 2n * PAGE, length: 2n * PAGE },
    ret: "ENOENT",
  },
  { what: "no destination", values: { dstIoasId: 99 }, ret: "ENOENT" },
  {
    what: "writing what is read-only",
    values: { srcIova: IOVA + 2n * PAGE },
    ret: "EPERM",
  },
  {
    what: "a destination that is mapped",
    values: { dstIova: IOVA },
    ret: { v3: "EADDRINUSE", "6.2": "EEXIST" },
  },
];

const BAD_UNMAPS: {
  readonly what: string;
  readonly values: Partial<IommuIoasUnmap>;
  readonly ret: Expected;
}[] = [
  {
    what: "no IOAS",
    values: { ioasId: 99, iova: MAX, length: 0n },
    ret: "ENOENT",
  },
  {
    what: "an IOVA of 2^64-1",
    values: { iova: MAX, length: 0n },
    ret: "EOVERFLOW",
  },
  {
    what: "a length of 2^64-1 that is not everything",
    values: { iova: 1n, length: MAX },
    ret: "EOVERFLOW",
  },
  { what: "length 0", values: { iova: IOVA, length: 0n }, ret: "EINVAL" },
  {
    what: "an end that wraps",
    values: { iova: MAX - 1n, length: PAGE },
    ret: "EOVERFLOW",
  },
  { what: "an empty range", values: { iova: 0n, length: PAGE }, ret: "ENOENT" },
  { what: "half an area", values: { iova: IOVA, length: PAGE }, ret: "ENOENT" },
];

for (const name of REVISION_NAMES) {
  describe(`IOAS ioctls [${name}]`, () => {
    it("ALLOC refuses flags, and gives the id back when it cannot answer", () => {
      const machine = new Machine(name);
      const bad = machine.call(IOMMU_IOAS_ALLOC, IommuIoasAlloc, { flags: 1 });
      assertEquals(bad.ret, "EOPNOTSUPP");
      const memory = machine.memory(1);
      machine.process.poke(memory, IommuIoasAlloc.encode());
      machine.process.mprotect(memory, PAGE_SIZE, 1);
      assertEquals(machine.callArg(IOMMU_IOAS_ALLOC, memory), "EFAULT");
      assertEquals(machine.ioas(), 1);
      machine.end();
    });

    for (const { what, values, ret } of BAD_MAPS) {
      it(`MAP with ${what} answers ${expected(name, ret)}`, () => {
        const machine = new Machine(name);
        const userVa = BigInt(machine.memory(2));
        const ioasId = machine.ioas();
        assertEquals(machine.map({ ioasId, userVa, length: 2n * PAGE }).ret, 0);
        const answer = machine.map({
          ioasId,
          userVa,
          iova: IOVA + 8n * PAGE,
          ...values,
        });
        assertEquals(answer.ret, expected(name, ret));
        machine.end();
      });
    }

    it("MAP chooses an IOVA without FIXED, and tells it", () => {
      const machine = new Machine(name);
      const ioasId = machine.ioas();
      const userVa = BigInt(machine.memory(1));
      const answer = machine.map({ ioasId, userVa, flags: RW });
      assertEquals([answer.ret, answer.iova], [0, PAGE]);
      machine.end();
    });

    for (const { what, values, ret } of BAD_COPIES) {
      it(`COPY with ${what} answers ${expected(name, ret)}`, () => {
        const machine = new Machine(name);
        const userVa = BigInt(machine.memory(3));
        const ioasId = machine.ioas();
        machine.map({ ioasId, userVa, length: 2n * PAGE });
        machine.map({
          ioasId,
          userVa: userVa + 2n * PAGE,
          iova: IOVA + 2n * PAGE,
          flags: IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        });
        const good = {
          flags: FIXED_RW,
          srcIoasId: ioasId,
          dstIoasId: ioasId,
          srcIova: IOVA,
          dstIova: IOVA + 8n * PAGE,
          length: PAGE,
        };
        const copy = (more: Partial<IommuIoasCopy>) =>
          machine.call(IOMMU_IOAS_COPY, IommuIoasCopy, { ...good, ...more });
        assertEquals(copy(values).ret, expected(name, ret));
        assertEquals(copy({}).ret, 0);
        machine.end();
      });
    }

    it("COPY takes a range across areas, and the source may go", () => {
      const machine = new Machine(name);
      const userVa = BigInt(machine.memory(2));
      const [from, to] = [machine.ioas(), machine.ioas()];
      machine.map({ ioasId: from, userVa });
      machine.map({ ioasId: from, userVa: userVa + PAGE, iova: IOVA + PAGE });
      const answer = machine.call(IOMMU_IOAS_COPY, IommuIoasCopy, {
        flags: FIXED_RW,
        srcIoasId: from,
        dstIoasId: to,
        srcIova: IOVA,
        dstIova: PAGE,
        length: 2n * PAGE,
      });
      assertEquals([answer.ret, answer.dstIova], [0, PAGE]);
      assertEquals(machine.destroy(from), 0);
      const all = machine.unmap({ ioasId: to, length: MAX });
      assertEquals([all.ret, all.length], [0, 2n * PAGE]);
      machine.end();
    });

    for (const { what, values, ret } of BAD_UNMAPS) {
      it(`UNMAP with ${what} answers ${expected(name, ret)}`, () => {
        const machine = new Machine(name);
        const userVa = BigInt(machine.memory(2));
        const ioasId = machine.ioas();
        machine.map({ ioasId, userVa, length: 2n * PAGE });
        const bad = machine.unmap({ ioasId, ...values });
        assertEquals(bad.ret, expected(name, ret));
        assertEquals(bad.length, values.length ?? 0n);
        const good = machine.unmap({ ioasId, iova: IOVA, length: 2n * PAGE });
        assertEquals([good.ret, good.length], [0, 2n * PAGE]);
        machine.end();
      });
    }

    it("UNMAP of everything succeeds when there is nothing", () => {
      const machine = new Machine(name);
      const answer = machine.unmap({ ioasId: machine.ioas(), length: MAX });
      assertEquals([answer.ret, answer.length], [0, 0n]);
      machine.end();
    });

    it("UNMAP cannot answer: the areas are gone all the same", () => {
      const machine = new Machine(name);
      const ioasId = machine.ioas();
      machine.map({ ioasId, userVa: BigInt(machine.memory(1)) });
      const memory = machine.memory(1);
      const all = IommuIoasUnmap.encode({ ioasId, length: MAX });
      machine.process.poke(memory, all);
      machine.process.mprotect(memory, PAGE_SIZE, 1);
      assertEquals(machine.callArg(IOMMU_IOAS_UNMAP, memory), "EFAULT");
      assertEquals(machine.unmap({ ioasId, length: MAX }).length, 0n);
      machine.end();
    });

    it("IOVA_RANGES answers also when the array is too short: EMSGSIZE", () => {
      const machine = new Machine(name);
      const ioasId = machine.ioas();
      const ask = (values: Partial<IommuIoasIovaRanges>) =>
        machine.call(IOMMU_IOAS_IOVA_RANGES, IommuIoasIovaRanges, {
          ioasId,
          ...values,
        });
      assertEquals(ask({ reserved: 1, ioasId: 99 }).ret, "EOPNOTSUPP");
      assertEquals(ask({ ioasId: 99 }).ret, "ENOENT");
      const short = ask({});
      assertEquals([short.ret, short.numIovas], ["EMSGSIZE", 1]);
      assertEquals(short.outIovaAlignment, 1n);
      const fault = ask({ numIovas: 1 });
      assertEquals([fault.ret, fault.numIovas], ["EFAULT", 1]);

      const address = machine.memory(1);
      machine.process.poke(address, new Uint8Array(48).fill(0xee));
      machine.mockDomain(ioasId);
      const array = { numIovas: 3, allowedIovas: BigInt(address) };
      const answer = ask(array);
      assertEquals([answer.ret, answer.numIovas], [0, 1]);
      assertEquals(answer.outIovaAlignment, 2048n);
      const bytes = machine.process.peek(address, 48);
      assertEquals(IommuIovaRange.decode(bytes), {
        start: 1n << 24n,
        last: 2n ** 31n - 1n,
      });
      assertEquals(bytes.subarray(16), new Uint8Array(32).fill(0xee));
      machine.end();
    });

    it("ALLOW_IOVAS takes disjoint ranges of two bytes or more", () => {
      const machine = new Machine(name);
      const ioasId = machine.ioas();
      assertEquals(allow(machine, 99, [[0n, 1n]]), "ENOENT");
      assertEquals(allow(machine, ioasId, [[5n, 5n]]), "EINVAL");
      assertEquals(allow(machine, ioasId, [[5n, 4n]]), "EINVAL");
      assertEquals(allow(machine, ioasId, [[0n, 9n], [9n, 12n]]), "EINVAL");
      assertEquals(allow(machine, ioasId, [[10n, 12n], [0n, 9n]]), 0);
      assertEquals(allow(machine, ioasId, [[0n, MAX]]), 0);
      const reserved = machine.call(
        IOMMU_IOAS_ALLOW_IOVAS,
        IommuIoasAllowIovas,
        {
          ioasId,
          reserved: 1,
        },
      );
      assertEquals(reserved.ret, name === "v3" ? 0 : "EOPNOTSUPP");
      const fault = machine.call(IOMMU_IOAS_ALLOW_IOVAS, IommuIoasAllowIovas, {
        ioasId,
        numIovas: 1,
      });
      assertEquals(fault.ret, "EFAULT");
      machine.end();
    });

    it("ALLOW_IOVAS keeps the old list when a range is reserved", () => {
      const machine = new Machine(name);
      const ioasId = machine.ioas();
      const userVa = BigInt(machine.memory(1));
      const list: [bigint, bigint][] = [[IOVA + PAGE, IOVA + 3n * PAGE - 1n]];
      machine.mockDomain(ioasId);
      assertEquals(allow(machine, ioasId, list), 0);
      assertEquals(allow(machine, ioasId, [[0n, PAGE]]), "EADDRINUSE");
      const places = [1, 2, 3].map(() => {
        const { ret, iova } = machine.map({ ioasId, userVa, flags: RW });
        return ret === 0 ? iova : ret;
      });
      assertEquals(places, [IOVA + PAGE, IOVA + 2n * PAGE, "ENOSPC"]);
      assertEquals(allow(machine, ioasId, []), 0);
      assertEquals(machine.map({ ioasId, userVa, flags: RW }).iova, IOVA);
      machine.end();
    });

    it("a read-only map gives read permission only", () => {
      const machine = new Machine(name);
      const ioasId = machine.ioas();
      const { ret } = machine.map({
        ioasId,
        userVa: BigInt(machine.memory(1)),
        flags: IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE,
      });
      assertEquals(ret, 0);
      machine.end();
    });

    it("cannot be destroyed while a HWPT or an access uses it", () => {
      const machine = new Machine(name);
      const ioasId = machine.ioas();
      machine.map({ ioasId, userVa: BigInt(machine.memory(1)) });
      const fd = machine.access(ioasId);
      assertEquals(machine.destroy(ioasId), "EBUSY");
      machine.process.close(fd);
      const { stdev } = machine.mockDomain(ioasId);
      assertEquals(machine.destroy(ioasId), "EBUSY");
      machine.destroy(stdev);
      machine.destroy(3);
      assertEquals(machine.destroy(ioasId), 0);
      machine.end();
    });
  });
}
