// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IOMMU_IOAS_COPY, IommuIoasCopy } from "../../uapi/iommufd.ts";
import {
  encodeTestOp,
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_ACCESS_PAGES,
  IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
  IOMMU_TEST_OP_ACCESS_RW,
  IOMMU_TEST_OP_CREATE_ACCESS,
  IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_FLAGS_ACCESS_SYZ,
  MOCK_FLAGS_ACCESS_WRITE,
  TestAccessPages,
  TestAccessReplaceIoas,
  TestAccessRw,
  TestCreateAccess,
  TestDestroyAccessPages,
} from "../../uapi/selftest.ts";
import { PAGE_SIZE, RLIMIT_NOFILE } from "../../uapi/mman.ts";
import {
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
} from "../../uapi/revision.ts";
import { FIXED_RW, IOVA, Machine, PAGE } from "../testing/machine.ts";

const SYZ = MOCK_FLAGS_ACCESS_SYZ;

/** A machine with four pages mapped at 16 MiB, and an access made for pinning. */
class Bench {
  readonly machine: Machine;
  readonly ioasId: number;
  readonly address: number;
  readonly fd: number;

  constructor(name: RevisionName) {
    this.machine = new Machine(name);
    this.ioasId = this.machine.ioas();
    this.address = this.machine.memory(4);
    this.machine.map({
      ioasId: this.ioasId,
      userVa: BigInt(this.address),
      length: 4n * PAGE,
    });
    this.fd = this.machine.access(this.ioasId);
  }

  pin(values: Partial<TestAccessPages> = {}): [string | number, number] {
    const answer = this.machine.test(
      IOMMU_TEST_OP_ACCESS_PAGES,
      TestAccessPages,
      {
        id: this.fd,
        flags: MOCK_FLAGS_ACCESS_WRITE,
        iova: IOVA,
        length: PAGE,
        uptr: BigInt(this.address),
        ...values,
      },
    );
    return [answer.ret, answer.outAccessPagesId];
  }

  unpin(accessPagesId: number, id = this.fd): string | number {
    return this.machine.test(
      IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
      TestDestroyAccessPages,
      { id, accessPagesId },
    ).ret;
  }

  rw(values: Partial<TestAccessRw>): string | number {
    return this.machine.test(IOMMU_TEST_OP_ACCESS_RW, TestAccessRw, {
      id: this.fd,
      iova: IOVA,
      length: 8n,
      uptr: BigInt(this.address),
      ...values,
    }).ret;
  }

  /** Pins of each page of the memory. */
  pins(): number[] {
    const { process, kernel } = this.machine;
    return [0, 1, 2, 3].map((page) =>
      kernel.frames.pins(process.mm.userPage(this.address + page * PAGE_SIZE))
    );
  }

  end(): void {
    this.machine.end();
  }
}

/** What a syz IOVA of area and offset looks like. */
function syz(area: number, offset: number): bigint {
  return BigInt(area) | (BigInt(offset) << 32n);
}

for (const name of REVISION_NAMES) {
  const v3 = name === "v3";

  describe(`test accesses [${name}]`, () => {
    it("are descriptors; the lowest free one is told", () => {
      const bench = new Bench(name);
      assertEquals(bench.fd, bench.machine.fd + 1);
      assertEquals(bench.machine.access(bench.ioasId), bench.fd + 1);
      assertEquals(bench.machine.callArg(IOMMU_TEST_CMD, 0), "EFAULT");
      bench.end();
    });

    it("are not created without IOAS, descriptor, or way to answer", () => {
      const bench = new Bench(name);
      const { machine } = bench;
      const create = (values: Partial<TestCreateAccess>) =>
        machine.test(IOMMU_TEST_OP_CREATE_ACCESS, TestCreateAccess, values).ret;
      const before = [...machine.ctx.objects].length;
      assertEquals(create({ id: 99 }), "ENOENT");
      assertEquals(create({ id: 99, flags: 2 }), v3 ? "ENOENT" : "EOPNOTSUPP");
      machine.process.setrlimit(RLIMIT_NOFILE, BigInt(bench.fd + 1));
      assertEquals(create({ id: 99 }), "ENOMEM");
      machine.process.setrlimit(RLIMIT_NOFILE, 64n);
      const memory = machine.memory(1);
      const { revision } = machine.kernel;
      const values = { id: bench.ioasId };
      const bytes = encodeTestOp(TestCreateAccess, revision, values);
      machine.process.poke(memory, bytes);
      machine.process.mprotect(memory, PAGE_SIZE, 1);
      assertEquals(machine.callArg(IOMMU_TEST_CMD, memory), "EFAULT");
      assertEquals([...machine.ctx.objects].length, before);
      assertEquals(machine.access(bench.ioasId), bench.fd + 1);
      bench.end();
    });

    it("number their pins from 0 and give back each on its own", () => {
      const bench = new Bench(name);
      assertEquals(bench.pin(), [0, 0]);
      assertEquals(bench.pin({ length: 2n * PAGE }), [0, 1]);
      assertEquals(bench.pins(), [1, 1, 0, 0]);
      assertEquals(bench.unpin(0), 0);
      assertEquals(bench.pins(), [1, 1, 0, 0]);
      assertEquals(bench.unpin(0), "ENOENT");
      assertEquals(bench.unpin(1), 0);
      assertEquals(bench.pins(), [0, 0, 0, 0]);
      assertEquals(bench.pin(), [0, 2]);
      bench.end();
    });

    it("let go of what is unmapped, and of everything when closed", () => {
      const bench = new Bench(name);
      const { machine, ioasId } = bench;
      bench.pin();
      machine.map({ ioasId, userVa: BigInt(bench.address), iova: 0n });
      bench.pin({ iova: 0n });
      assertEquals(machine.unmap({ ioasId, iova: 0n, length: PAGE }).ret, 0);
      assertEquals(bench.unpin(1), "ENOENT");
      assertEquals(bench.pins(), [1, 0, 0, 0]);
      machine.process.close(bench.fd);
      assertEquals(bench.pins(), [0, 0, 0, 0]);
      assertEquals(machine.destroy(ioasId), 0);
      bench.end();
    });

    it("compare what they pin with user memory, unless that is null", () => {
      const bench = new Bench(name);
      const next = BigInt(bench.address) + PAGE;
      assertEquals(bench.pin({ uptr: next })[0], "EBADE");
      assertEquals(bench.pin({ uptr: 1n })[0], "EFAULT");
      assertEquals(bench.pins(), [0, 0, 0, 0]);
      assertEquals(bench.pin({ uptr: 0n })[0], 0);
      bench.end();
    });

    it("refuse what they do not know", () => {
      const bench = new Bench(name);
      const huge = 16n * 1024n * 1024n + 1n;
      assertEquals(bench.pin({ id: bench.machine.fd })[0], "EBADFD");
      assertEquals(bench.pin({ id: 99 })[0], "EBADFD");
      assertEquals(bench.pin({ id: 2 ** 32 - 1 })[0], "EBADFD");
      assertEquals(bench.unpin(0, 99), "EBADFD");
      assertEquals(bench.pin({ flags: 2, id: 99 })[0], "EOPNOTSUPP");
      assertEquals(bench.pin({ length: 0n })[0], "EINVAL");
      assertEquals(
        bench.pin({ length: huge, id: 99 })[0],
        v3 ? "EBADFD" : "ENOMEM",
      );
      assertEquals(bench.pin({ length: 2n ** 63n })[0], "ENOMEM");
      const all = { iova: 0n, length: 2n ** 64n - 2n };
      bench.machine.map({
        ioasId: bench.ioasId,
        userVa: BigInt(bench.address),
        iova: 0n,
      });
      assertEquals(bench.pin(all)[0], "ENOMEM");
      assertEquals(bench.pins(), [0, 0, 0, 0]);
      bench.machine.unmap({ ioasId: bench.ioasId, iova: 0n, length: PAGE });
      assertEquals(bench.pin({ iova: 2n ** 64n - 1n })[0], "EOVERFLOW");
      assertEquals(bench.rw({ id: 99 }), "EBADFD");
      assertEquals(bench.rw({ length: 0n }), "EINVAL");
      assertEquals(
        bench.rw({ length: huge, id: 99 }),
        v3 ? "EBADFD" : "ENOMEM",
      );
      assertEquals(bench.rw({ length: 2n ** 63n }), "ENOMEM");
      assertEquals(
        bench.rw({ flags: 64, id: 99 }),
        v3 ? "EBADFD" : "EOPNOTSUPP",
      );
      assertEquals(bench.rw({ uptr: 0n }), "EFAULT");
      assertEquals(bench.rw({ uptr: 0n, iova: 0n, flags: 1 }), "EFAULT");
      assertEquals(bench.rw({ iova: 0n }), "ENOENT");
      bench.end();
    });

    it("need to be made for pinning where the revision says so", () => {
      const bench = new Bench(name);
      const fd = bench.machine.access(bench.ioasId, 0);
      assertEquals(bench.pin({ id: fd })[0], v3 ? 0 : "EOPNOTSUPP");
      assertEquals(bench.rw({ id: fd }), 0);
      bench.end();
    });

    it("copy in both directions, on both paths", () => {
      const bench = new Bench(name);
      const { process } = bench.machine;
      const buffer = bench.machine.memory(1);
      for (const path of [0, MOCK_ACCESS_RW_SLOW_PATH]) {
        process.poke(
          bench.address + PAGE_SIZE - 4,
          Uint8Array.of(1, 2, 3, 4, 5),
        );
        const range = {
          iova: IOVA + PAGE - 4n,
          length: 5n,
          uptr: BigInt(buffer),
        };
        assertEquals(bench.rw({ ...range, flags: path }), 0);
        assertEquals([...process.peek(buffer, 5)], [1, 2, 3, 4, 5]);
        process.poke(buffer, Uint8Array.of(9, 9, 9, 9, 9));
        assertEquals(
          bench.rw({ ...range, flags: path | MOCK_ACCESS_RW_WRITE }),
          0,
        );
        assertEquals([...process.peek(bench.address + PAGE_SIZE - 4, 5)], [
          9,
          9,
          9,
          9,
          9,
        ]);
      }
      bench.end();
    });

    it("undo a pin at every step that can fail", () => {
      const bench = new Bench(name);
      const { process } = bench.machine;
      let steps = 0;
      for (let nth = 1;; nth++) {
        process.setFailNth(nth);
        const [ret, item] = bench.pin({ length: 3n * PAGE });
        const left = process.failNthLeft();
        process.setFailNth(0);
        if (ret === 0) assertEquals(bench.unpin(item), 0);
        assertEquals(bench.pins(), [0, 0, 0, 0]);
        if (left > 0) break;
        steps++;
      }
      assert(steps > 3);
      bench.end();
    });

    it("know the syz form of an IOVA only where the revision has it", () => {
      const bench = new Bench(name);
      const { machine, ioasId } = bench;
      const second = IOVA + 8n * PAGE;
      const userVa = BigInt(bench.address) + PAGE;
      machine.map({ ioasId, userVa, iova: second, length: 2n * PAGE });
      const copy = (srcIova: bigint, dstIova: bigint) =>
        machine.call(IOMMU_IOAS_COPY, IommuIoasCopy, {
          flags: FIXED_RW | SYZ,
          srcIoasId: ioasId,
          dstIoasId: ioasId,
          srcIova,
          dstIova,
          length: PAGE,
        }).ret;
      const pin = { flags: SYZ, iova: syz(1, PAGE_SIZE), uptr: userVa + PAGE };
      if (v3) {
        assertEquals(bench.pin(pin)[0], "EOPNOTSUPP");
        assertEquals(bench.rw({ flags: SYZ, iova: syz(1, 8) }), "ENOENT");
        assertEquals(copy(syz(1, 0), 0n), "EOPNOTSUPP");
      } else {
        assertEquals(bench.pin(pin)[0], 0);
        assertEquals(
          bench.pin({ ...pin, iova: syz(0, PAGE_SIZE) })[0],
          "EBADE",
        );
        assertEquals(bench.pin({ ...pin, iova: syz(2, 0) })[0], "ENOENT");
        assertEquals(bench.rw({ flags: SYZ, iova: syz(1, 8) }), 0);
        assertEquals(copy(syz(1, 0), 0n), 0);
        assertEquals(copy(syz(9, 0), PAGE), 0);
        assertEquals(copy(syz(2, 0), 0n), "EEXIST");
      }
      bench.end();
    });
  });
}

describe("ACCESS_REPLACE_IOAS", () => {
  it("moves an access", () => {
    const bench = new Bench(NEWEST);
    const { machine, fd } = bench;
    const other = machine.ioas();
    const replace = (values: Partial<TestAccessReplaceIoas>) =>
      machine.test(IOMMU_TEST_OP_ACCESS_REPLACE_IOAS, TestAccessReplaceIoas, {
        id: fd,
        ...values,
      }).ret;
    bench.pin();
    assertEquals(replace({ ioasId: 99 }), "ENOENT");
    assertEquals(replace({ id: 99, ioasId: other }), "EBADFD");
    assertEquals(bench.pins(), [1, 0, 0, 0]);
    assertEquals(replace({ ioasId: other }), 0);
    assertEquals(bench.pins(), [0, 0, 0, 0]);
    assertEquals(bench.unpin(0), "ENOENT");
    assertEquals(machine.destroy(bench.ioasId), 0);
    assertEquals(machine.destroy(other), "EBUSY");
    bench.end();
  });
});
