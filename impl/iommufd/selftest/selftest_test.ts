// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoName } from "../../uapi/errno.ts";
import { IOMMU_HWPT_ALLOC, IommuHwptAlloc } from "../../uapi/iommufd.ts";
import {
  encodeTestOp,
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_ADD_RESERVED,
  IOMMU_TEST_OP_DEV_CHECK_CACHE,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  MOCK_FLAGS_DEVICE_PASID,
  TestAddReserved,
  TestCheckMap,
  TestCheckRefs,
  TestCmd,
  TestDevCheckCache,
  TestMemoryLimit,
  TestMockDomain,
  TestMockDomainFlags,
  TestMockDomainReplace,
} from "../../uapi/selftest.ts";
import {
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../uapi/mman.ts";
import { IOMMU_TEST_DEV_CACHE_DEFAULT } from "../../uapi/selftest_viommu.ts";
import { TEST_OPS } from "../../uapi/ioctls.ts";
import { REVISION_NAMES, type RevisionName } from "../../uapi/revision.ts";
import { existsIn } from "../../uapi/revision/versions.ts";
import { Bench } from "../testing/bench.ts";
import { IOVA, Machine, PAGE } from "../testing/machine.ts";

const MAX = 2n ** 64n - 1n;

function reserve(
  machine: Machine,
  values: Partial<TestAddReserved>,
): string | number {
  return machine.test(IOMMU_TEST_OP_ADD_RESERVED, TestAddReserved, values).ret;
}

function checkMap(
  machine: Machine,
  values: Partial<TestCheckMap>,
): string | number {
  return machine.test(IOMMU_TEST_OP_MD_CHECK_MAP, TestCheckMap, values).ret;
}

function checkRefs(
  machine: Machine,
  values: Partial<TestCheckRefs>,
): string | number {
  return machine.test(IOMMU_TEST_OP_MD_CHECK_REFS, TestCheckRefs, values).ret;
}

/** The ids of all objects of the context. */
function ids(machine: Machine): number[] {
  return [...machine.ctx.objects].map((object) => object.id);
}

/** A machine with two pages mapped at 16 MiB in an IOAS with a mock domain. */
function mapped(name: RevisionName): {
  machine: Machine;
  ioasId: number;
  uptr: bigint;
  hwpt: number;
  stdev: number;
} {
  const machine = new Machine(name);
  const ioasId = machine.ioas();
  const { hwpt, stdev } = machine.mockDomain(ioasId);
  const uptr = BigInt(machine.memory(4));
  machine.map({ ioasId, userVa: uptr, length: 2n * PAGE });
  return { machine, ioasId, uptr, hwpt, stdev };
}

for (const name of REVISION_NAMES) {
  const v3 = name === "v3";

  describe(`test ioctl [${name}]`, () => {
    it("knows the revision's operations by their numbers", () => {
      const machine = new Machine(name);
      const { selftest: { firstOp } } = machine.kernel.revision;
      const ops = TEST_OPS.filter(({ op }) => existsIn(name, op)).length;
      const size = TestCmd.sizeIn(name);
      const call = (op: number): string => {
        const bytes = TestCmd.encode({ size, op }).subarray(0, size);
        return errnoName(
          machine.process.ioctlStruct(machine.fd, IOMMU_TEST_CMD, bytes),
        );
      };
      for (let op = firstOp; op < firstOp + ops; op++) {
        if (op - firstOp < 9) assert(call(op) !== "EOPNOTSUPP", `op ${op}`);
      }
      for (const op of [firstOp - 1, firstOp + ops, 99]) {
        assertEquals(call(op >>> 0), "EOPNOTSUPP");
      }
      machine.end();
    });

    it("ADD_RESERVED reserves IOVA that nothing is in", () => {
      const { machine, ioasId, uptr } = mapped(name);
      const id = ioasId;
      assertEquals(
        reserve(machine, { id: 99, start: 0n, length: 1n }),
        "ENOENT",
      );
      assertEquals(
        reserve(machine, { id, start: IOVA, length: 1n }),
        "EADDRINUSE",
      );
      assertEquals(reserve(machine, { id, start: 5n, length: 0n }), "EINVAL");
      const wraps = reserve(machine, { id, start: MAX, length: 2n });
      assertEquals(wraps, v3 ? "EINVAL" : "EOVERFLOW");
      const start = IOVA + 8n * PAGE;
      assertEquals(reserve(machine, { id, start, length: PAGE }), 0);
      const inUse = machine.map({ ioasId, userVa: uptr, iova: start });
      assertEquals(inUse.ret, v3 ? "ENOENT" : "EINVAL");
      machine.end();
    });

    it("SET_TEMP_MEMORY_LIMIT sets the limit of the kernel", () => {
      const machine = new Machine(name);
      const set = (limit: number) =>
        machine.test(IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT, TestMemoryLimit, {
          limit,
        }).ret;
      assertEquals(set(11), v3 ? 0 : "EINVAL");
      assertEquals(machine.kernel.tempMemoryLimit, v3 ? 11 : 65536);
      assertEquals(set(12), 0);
      assertEquals(machine.kernel.tempMemoryLimit, 12);
      machine.end();
    });

    it("mapping and pinning end under any limit, whichever step fails", () => {
      for (const limit of v3 ? [0, 1, 8, 12] : [12]) {
        const machine = new Machine(name);
        const ioasId = machine.ioas();
        assertEquals(machine.mockDomain(ioasId).ret, 0);
        const userVa = BigInt(machine.memory(4));
        machine.test(IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT, TestMemoryLimit, {
          limit,
        });
        for (let nth = 1; nth < 20; nth++) {
          machine.process.setFailNth(nth);
          machine.map({ ioasId, userVa, length: 4n * PAGE });
          machine.process.setFailNth(0);
          // It is mapped also where just the answer failed.
          machine.unmap({ ioasId, iova: IOVA, length: 4n * PAGE });
        }
        machine.end();
      }
    });

    it("unmapping goes on under any limit", () => {
      const machine = new Machine(name);
      const ioasId = machine.ioas();
      assertEquals(machine.mockDomain(ioasId).ret, 0);
      // As many pages as need more than the batch that Linux has on its stack.
      const length = 32n * PAGE;
      const userVa = BigInt(machine.memory(32));
      assertEquals(machine.map({ ioasId, userVa, length }).ret, 0);
      const limit = v3 ? 0 : 12;
      const answer = machine.test(
        IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
        TestMemoryLimit,
        { limit },
      );
      assertEquals(answer.ret, 0);
      const unmapped = machine.unmap({ ioasId, iova: IOVA, length });
      assertEquals(unmapped.ret, 0);
      assertEquals(unmapped.length, length);
      machine.end();
    });

    it("MD_CHECK_MAP compares every 2 KiB", () => {
      const { machine, uptr, hwpt, ioasId } = mapped(name);
      const good = { id: hwpt, iova: IOVA, length: 2n * PAGE, uptr };
      const half = {
        ...good,
        iova: IOVA + 2048n,
        uptr: uptr + 2048n,
        length: PAGE,
      };
      assertEquals(checkMap(machine, good), 0);
      assertEquals(checkMap(machine, half), 0);
      assertEquals(checkMap(machine, { ...good, length: 0n, uptr: 0n }), 0);
      const bad: [Partial<TestCheckMap>, string][] = [
        [{ iova: IOVA + 1n }, "EINVAL"],
        [{ length: 2047n }, "EINVAL"],
        [{ uptr: uptr + 1n }, "EINVAL"],
        [{ id: 99 }, "ENOENT"],
        [{ id: ioasId }, "ENOENT"],
        [{ iova: IOVA + 2048n, length: 2048n }, "EINVAL"],
        [{ iova: IOVA + PAGE, length: PAGE }, "EINVAL"],
        [{ uptr: uptr + PAGE }, "EINVAL"],
        [{ length: 3n * PAGE }, "EINVAL"],
        [{ uptr: 0n }, "EFAULT"],
        [{ uptr: 2n ** 63n }, "EFAULT"],
        [{ uptr: 2n ** 64n - 4096n, length: PAGE }, v3 ? "EFAULT" : "EINVAL"],
        [
          { uptr: 2n ** 64n - 4096n, length: 2048n },
          v3 ? "EFAULT" : "EOVERFLOW",
        ],
      ];
      for (const [values, ret] of bad) {
        assertEquals(checkMap(machine, { ...good, ...values }), ret);
      }
      machine.end();
    });

    it("MD_CHECK_REFS counts the pins of every page", () => {
      const { machine, uptr, ioasId } = mapped(name);
      const good = { uptr, length: 2n * PAGE, refs: 1 };
      assertEquals(checkRefs(machine, good), 0);
      assertEquals(checkRefs(machine, { ...good, length: 3n * PAGE }), "EIO");
      assertEquals(checkRefs(machine, { ...good, refs: 0 }), "EIO");
      assertEquals(
        checkRefs(machine, { ...good, uptr: uptr + 2048n }),
        "EINVAL",
      );
      assertEquals(checkRefs(machine, { ...good, length: 1n }), "EINVAL");
      assertEquals(checkRefs(machine, { ...good, uptr: 0n }), "EFAULT");
      const wraps = { ...good, uptr: 2n ** 64n - PAGE, length: PAGE };
      assertEquals(checkRefs(machine, wraps), v3 ? "EFAULT" : "EINVAL");
      machine.map({ ioasId, userVa: uptr, iova: IOVA + 8n * PAGE });
      assertEquals(checkRefs(machine, { ...good, length: PAGE, refs: 2 }), 0);
      machine.end();
    });

    it("MD_CHECK_REFS skips huge pages", () => {
      const machine = new Machine(name);
      const huge = machine.process.mmap(
        0,
        2 ** 21,
        PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB,
      );
      const range = { uptr: BigInt(huge), length: 2n ** 21n };
      assertEquals(checkRefs(machine, { ...range, refs: 77 }), 0);
      machine.end();
    });

    it("MOCK_DOMAIN undoes everything at every step that can fail", () => {
      const machine = new Machine(name);
      const id = machine.ioas();
      machine.map({
        ioasId: id,
        userVa: BigInt(machine.memory(2)),
        length: 2n * PAGE,
      });
      let steps = 0;
      for (let nth = 1;; nth++) {
        machine.process.setFailNth(nth);
        const { ret, stdev, hwpt } = machine.mockDomain(id);
        const left = machine.process.failNthLeft();
        machine.process.setFailNth(0);
        if (left > 0) {
          assertEquals(ret, 0);
          assertEquals(machine.destroy(stdev), 0);
          if (v3) assertEquals(machine.destroy(hwpt), 0);
          break;
        }
        steps++;
        if (ret === 0) {
          // Some steps have a second way, as in Linux.
          assertEquals(machine.destroy(stdev), 0);
          if (v3) assertEquals(machine.destroy(hwpt), 0);
        }
        if (v3 && ret === "EFAULT" && ids(machine).length > 1) {
          // What v3 answers about is published: it stays.
          assertEquals(ids(machine), [1, 2, 3]);
          for (const left of [2, 3]) assertEquals(machine.destroy(left), 0);
        }
        assertEquals(ids(machine), [id]);
        assertEquals(machine.kernel.mock.devices.size, 0);
      }
      assert(steps > 5);
      machine.end();
    });

    it("MOCK_DOMAIN that cannot answer", () => {
      const machine = new Machine(name);
      const id = machine.ioas();
      const memory = machine.memory(1);
      const { revision } = machine.kernel;
      const bytes = encodeTestOp(TestMockDomain, revision, { id });
      machine.process.poke(memory, bytes);
      machine.process.mprotect(memory, PAGE_SIZE, PROT_READ);
      assertEquals(machine.callArg(IOMMU_TEST_CMD, memory), "EFAULT");
      // v3 had published its objects by then: they live until the close.
      assertEquals(ids(machine), v3 ? [1, 2, 3] : [1]);
      machine.end();
    });
  });
}

describe("MD_CHECK_MAP", () => {
  it("looks into domains of the mock only: EINVAL", () => {
    const bench = new Bench();
    const { machine } = bench;
    const idev = bench.bind(bench.a);
    const values = { devId: idev.id, ptId: machine.ioas() };
    const answer = machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, values);
    assertEquals(answer.ret, 0);
    assertEquals(checkMap(machine, { id: answer.outHwptId }), "EINVAL");
    idev.unbind();
    bench.end();
  });
});

describe("DEV_CHECK_CACHE", () => {
  it("looks into devices of the mock only: EINVAL", () => {
    const bench = new Bench();
    const { machine } = bench;
    const idev = bench.bind(bench.a);
    const check = (id: number, cache = IOMMU_TEST_DEV_CACHE_DEFAULT) =>
      machine.test(IOMMU_TEST_OP_DEV_CHECK_CACHE, TestDevCheckCache, {
        id,
        cache,
      }).ret;
    const id = machine.ioas();
    const { outIdevId: mock } = machine.test(
      IOMMU_TEST_OP_MOCK_DOMAIN,
      TestMockDomain,
      { id },
    );
    assertEquals([check(mock), check(mock, 0)], [0, "EINVAL"]);
    assertEquals([check(idev.id), check(99)], ["EINVAL", "ENOENT"]);
    idev.unbind();
    bench.end();
  });
});

describe("MOCK_DOMAIN with a device", () => {
  it("allocates the ids of selftest object, device and HWPT in this order", () => {
    const machine = new Machine();
    const id = machine.ioas();
    const ask = (ptId: number): (number | string)[] => {
      const a = machine.test(IOMMU_TEST_OP_MOCK_DOMAIN, TestMockDomain, {
        id: ptId,
      });
      return [a.ret, a.outStdevId, a.outIdevId, a.outHwptId];
    };
    assertEquals(ask(id), [0, 2, 3, 4]);
    assertEquals(ask(id), [0, 5, 6, 4]);
    assertEquals(ask(4), [0, 7, 8, 4]);
    assertEquals(ask(99)[0], "ENOENT");
    assertEquals(ask(3)[0], "EINVAL");
    assertEquals(machine.destroy(3), "EBUSY");
    for (const stdev of [2, 5]) assertEquals(machine.destroy(stdev), 0);
    assertEquals(ids(machine), [1, 4, 7, 8]);
    assertEquals(machine.destroy(7), 0);
    assertEquals(ids(machine), [1]);
    machine.end();
  });

  it("knows the device flags of its revision", () => {
    const machine = new Machine("6.12");
    const id = machine.ioas();
    const ask = (devFlags: number) =>
      machine.test(IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, TestMockDomainFlags, {
        id,
        devFlags,
      });
    assertEquals(ask(8).ret, "EINVAL");
    assertEquals(ids(machine), [1]);
    assertEquals(ask(MOCK_FLAGS_DEVICE_HUGE_IOVA).ret, 0);
    assertEquals(ask(MOCK_FLAGS_DEVICE_PASID).ret, "EINVAL");
    machine.end();
    const newest = new Machine();
    const [huge, pasid] = [
      MOCK_FLAGS_DEVICE_HUGE_IOVA,
      MOCK_FLAGS_DEVICE_PASID,
    ].map((devFlags) =>
      newest.test(IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, TestMockDomainFlags, {
        id: newest.ioas(),
        devFlags,
      }).ret
    );
    assertEquals([huge, pasid], ["EINVAL", 0]);
    newest.end();
  });

  it("REPLACE moves it, and the old HWPT goes", () => {
    const machine = new Machine();
    const [id, other] = [machine.ioas(), machine.ioas()];
    const { stdev, hwpt } = machine.mockDomain(id);
    const replace = (ptId: number): [string | number, number] => {
      const a = machine.test(
        IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
        TestMockDomainReplace,
        { id: stdev, ptId },
      );
      return [a.ret, a.ptId];
    };
    const [ret, next] = replace(other);
    assertEquals([ret, next], [0, 6]);
    assertEquals(machine.destroy(hwpt), "ENOENT");
    assertEquals(replace(99)[0], "ENOENT");
    assertEquals(replace(stdev)[0], "EINVAL");
    assertEquals(
      machine.test(IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, TestMockDomainReplace, {
        id: other,
        ptId: id,
      }).ret,
      "ENOENT",
    );
    assertEquals(machine.destroy(other), "EBUSY");
    assertEquals(machine.destroy(stdev), 0);
    assertEquals(machine.destroy(other), 0);
    machine.end();
  });
});

describe("MOCK_DOMAIN without a device", () => {
  it("makes a HWPT each time, which outlives the selftest object", () => {
    const machine = new Machine("v3");
    const id = machine.ioas();
    assertEquals(machine.mockDomain(id), { ret: 0, stdev: 2, hwpt: 3 });
    assertEquals(machine.mockDomain(id), { ret: 0, stdev: 4, hwpt: 5 });
    assertEquals(machine.mockDomain(3).ret, "ENOENT");
    assertEquals(machine.destroy(3), "EBUSY");
    assertEquals(machine.destroy(2), 0);
    assertEquals(machine.destroy(3), 0);
    assertEquals(machine.destroy(id), "EBUSY");
    machine.end();
  });

  it("has no operations that came later", () => {
    const machine = new Machine("v3");
    const id = machine.ioas();
    for (
      const op of [
        IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
        IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
      ]
    ) {
      assertEquals(machine.test(op, TestMockDomain, { id }).ret, "EOPNOTSUPP");
    }
    machine.end();
  });
});
