// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { File } from "../kernel/files/file.ts";
import { errnoName } from "../uapi/errno.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_MAP,
  IommuDestroy,
  IommuIoasAlloc,
  IommuIoasMap,
} from "../uapi/iommufd.ts";
import { IOMMU_TEST_CMD, TestCmd } from "../uapi/selftest.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import { NEWEST, REVISION_NAMES, REVISIONS } from "../uapi/revision.ts";
import { existsIn } from "../uapi/revision/versions.ts";
import { ACCOUNT_MM, ACCOUNT_USER } from "./pages/accounting.ts";
import { Access } from "./access/access.ts";
import { IOCTL_OPS } from "./ioctl_table.ts";
import { ioctlTable, iommufdCtxFromFd, iommufdCtxFromFile } from "./main.ts";
import { Machine, outcome, PAGE } from "./testing/machine.ts";
import { ioctlOp, Ucmd } from "./objects/ucmd.ts";

/** The result of an ioctl whose argument is an address, by name of the errno. */
function raw(machine: Machine, cmd: number, address: number | bigint): string {
  return errnoName(machine.process.ioctl(machine.fd, cmd, address));
}

/** The result of an ioctl on bytes that are followed by an unmapped page. */
function withBytes(machine: Machine, cmd: number, bytes: number[]): string {
  const all = Uint8Array.from(bytes);
  return errnoName(machine.process.ioctlStruct(machine.fd, cmd, all));
}

function u32(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >> shift) & 0xff);
}

for (const name of REVISION_NAMES) {
  describe(`dispatch [${name}]`, () => {
    const short = REVISIONS[name].objects.shortStructErrno.name;

    it("sends numbers outside of the table to VFIO, without reading a size", () => {
      const machine = new Machine(name);
      for (const cmd of [0x3b7f, 0x3b00, 0x3bff, 0x3ba1]) {
        assertEquals(raw(machine, cmd, 0), "ENOTTY");
      }
      machine.end();
    });

    it("reads the size before it looks at the command: EFAULT before ENOTTY", () => {
      const machine = new Machine(name);
      const memory = machine.memory(1);
      for (const cmd of [0x3b9f, 0x3b96, 0x1234_3b80, 0x0080]) {
        assertEquals(raw(machine, cmd, 0), "EFAULT", cmd.toString(16));
        assertEquals(raw(machine, cmd, memory), "ENOTTY", cmd.toString(16));
      }
      assertEquals(raw(machine, IOMMU_DESTROY, 0), "EFAULT");
      machine.end();
    });

    it("takes any address that no process has as a bad one", () => {
      const machine = new Machine(name);
      for (const address of [2n ** 64n - 1n, 2 ** 47, -1, 2n ** 63n, NaN]) {
        assertEquals(raw(machine, IOMMU_DESTROY, address), "EFAULT");
      }
      machine.end();
    });

    it("refuses a short struct before it reads it", () => {
      const machine = new Machine(name);
      assertEquals(withBytes(machine, IOMMU_DESTROY, u32(7)), short);
      assertEquals(withBytes(machine, IOMMU_DESTROY, u32(0)), short);
      assertEquals(withBytes(machine, IOMMU_DESTROY, u32(8)), "EFAULT");
      machine.end();
    });

    it("wants every byte that it does not know to be zero: E2BIG", () => {
      const machine = new Machine(name);
      const header = [...u32(12), ...u32(0)];
      const cases: [number[], string][] = [
        [[0, 0, 0, 0], "ENOENT"],
        [[1, 0, 0, 0], "E2BIG"],
        [[0, 0, 0, 1], "E2BIG"],
        [[0, 0], "EFAULT"],
        [[1], "E2BIG"],
      ];
      for (const [tail, expected] of cases) {
        const bytes = [...header, ...tail];
        assertEquals(withBytes(machine, IOMMU_DESTROY, bytes), expected);
      }
      machine.end();
    });

    it("sees a byte that is not zero before a page that is not there", () => {
      const machine = new Machine(name);
      const memory = machine.memory(2);
      machine.process.munmap(memory + PAGE_SIZE, PAGE_SIZE);
      const bytes = IommuDestroy.encode({ size: 2 * PAGE_SIZE });
      machine.process.poke(memory, bytes);
      assertEquals(raw(machine, IOMMU_DESTROY, memory), "EFAULT");
      machine.process.poke(memory + PAGE_SIZE - 1, Uint8Array.of(1));
      assertEquals(raw(machine, IOMMU_DESTROY, memory), "E2BIG");
      machine.end();
    });

    it("maps nothing that no driver offers", () => {
      const machine = new Machine(name);
      const { hasMmap } = REVISIONS[name].objects;
      const ret = machine.process.mmap(0, PAGE_SIZE, 1, 1, machine.fd);
      assertEquals(errnoName(ret), hasMmap ? "ENXIO" : "ENODEV");
      machine.end();
    });

    it("does not scan a size that reaches beyond all user addresses: EFAULT", () => {
      const machine = new Machine(name);
      const top = machine.process.mmap(
        2 ** 47 - 2 * PAGE_SIZE,
        PAGE_SIZE,
        3,
        0x31,
      );
      machine.process.poke(top, IommuDestroy.encode({ size: 0xffff_ffff }));
      machine.process.poke(top + 16, Uint8Array.of(1));
      assertEquals(raw(machine, IOMMU_DESTROY, top), "EFAULT");
      machine.end();
    });

    it("writes back no more than the caller provides", () => {
      const machine = new Machine(name);
      const memory = machine.memory(1);
      const bytes = new Uint8Array(32).fill(0xaa);
      bytes.fill(0, 12, 20);
      bytes.set(IommuIoasAlloc.encode({ size: 20 }));
      machine.process.poke(memory, bytes);
      assertEquals(
        machine.process.ioctl(machine.fd, IOMMU_IOAS_ALLOC, memory),
        0,
      );
      const after = machine.process.peek(memory, 32);
      assertEquals(IommuIoasAlloc.decode(after).outIoasId, 1);
      assertEquals(after.subarray(20), bytes.subarray(20));
      machine.end();
    });

    it("has the test ioctl at the size of its struct", () => {
      const machine = new Machine(name);
      const size = TestCmd.sizeIn(name);
      const minSize = size - 4;
      const unknown = u32(999);
      const call = (length: number): string => {
        const bytes = new Array<number>(length).fill(0);
        bytes.splice(0, 8, ...u32(length), ...unknown);
        return withBytes(machine, IOMMU_TEST_CMD, bytes);
      };
      assertEquals(call(minSize - 1), short);
      assertEquals(call(minSize), "EOPNOTSUPP");
      assertEquals(call(size), "EOPNOTSUPP");
      assertEquals(call(size + 8), "EOPNOTSUPP");
      machine.end();
    });

    it("fails one ioctl without touching the next", () => {
      const machine = new Machine(name);
      assertEquals(machine.destroy(5), "ENOENT");
      const ioasId = machine.ioas();
      assertEquals(machine.map({ flags: 1 << 20, ioasId }).ret, "EOPNOTSUPP");
      assertEquals(machine.destroy(ioasId), 0);
      machine.end();
    });
  });
}

describe("command buffer", () => {
  it("reads what the caller does not provide as zero, whatever was there", () => {
    const machine = new Machine();
    const { process, ctx } = machine;
    const memory = machine.memory(1);
    process.poke(memory, new Uint8Array(64).fill(0xff));
    const ucmd = new Ucmd(ctx, IommuIoasMap, () => {});
    ucmd.load(process, memory, IommuIoasMap.size);
    assertEquals(ucmd.cmd.iova, 2n ** 64n - 1n);
    ucmd.load(process, memory, 28);
    assertEquals(ucmd.cmd.length, 0xffff_ffffn);
    assertEquals(ucmd.cmd.iova, 0n);
    machine.end();
  });
});

describe("ioctl table", () => {
  it("has every ioctl at a place of its own", () => {
    for (const name of REVISION_NAMES) {
      const revision = REVISIONS[name];
      const table = ioctlTable(IOCTL_OPS, revision);
      for (const op of IOCTL_OPS) {
        const { ioctl } = op.struct;
        const expected = existsIn(name, ioctl) ? op : undefined;
        assertStrictEquals(table[(ioctl.number & 0xff) - 0x80], expected);
      }
    }
  });

  it("leaves out an ioctl that came later than the revision", () => {
    const ioctl = { name: "LATER", number: 0x3b9f, since: NEWEST };
    const op = ioctlOp({ ...IommuDestroy, ioctl }, () => {});
    assertEquals(ioctlTable([op], REVISIONS[NEWEST])[0x1f], op);
    assertEquals(ioctlTable([op], REVISIONS.v3)[0x1f], undefined);
  });
});

describe("context", () => {
  it("does not lose a command when a driver's callback makes the same ioctl", () => {
    for (const name of REVISION_NAMES) {
      const machine = new Machine(name);
      const uptr = BigInt(machine.memory(3));
      const ioasId = machine.ioas();
      const other = machine.ioas();
      for (const id of [ioasId, other]) {
        machine.map({ ioasId: id, userVa: uptr, length: 2n * PAGE });
      }
      const inner: unknown[] = [];
      const ops = {
        needsPinPages: true,
        unmap: (iova: bigint, length: bigint): void => {
          inner.push(machine.unmap({ ioasId: other, iova, length: PAGE }).ret);
          inner.push(machine.unmap({ ioasId: other, iova, length }).length);
          access.unpinPages(iova, length);
          ops.unmap = () => {};
        },
      };
      const { ctx } = machine;
      const access = Access.create(ctx, ops);
      access.attach(ioasId);
      access.pinPages(1n << 24n, 2n * PAGE, new Int32Array(2), 1);

      const outer = machine.unmap({ ioasId, iova: 0n, length: 2n ** 64n - 1n });
      assertEquals(inner, ["ENOENT", 2n * PAGE]);
      assertEquals([outer.ret, outer.length, outer.ioasId], [
        0,
        2n * PAGE,
        ioasId,
      ]);
      access.release();
      machine.end();
    }
  });

  it("is found by file and by descriptor, with a reference", () => {
    const machine = new Machine();
    const { ctx, process, fd } = machine;
    assertStrictEquals(iommufdCtxFromFile(ctx), ctx);
    assertStrictEquals(iommufdCtxFromFd(process, fd), ctx);
    assertEquals(ctx.refs, 3);
    ctx.put();
    ctx.put();
    assertEquals(outcome(() => iommufdCtxFromFd(process, 77)), "EBADF");
    assertEquals(outcome(() => iommufdCtxFromFd(process, 0)), "EBADFD");
    class Plain extends File {}
    assertEquals(outcome(() => iommufdCtxFromFile(new Plain())), "EBADFD");
    machine.end();
  });

  it("lives as long as somebody holds it", () => {
    const machine = new Machine();
    const ctx = iommufdCtxFromFd(machine.process, machine.fd);
    machine.ioas();
    machine.process.close(machine.fd);
    assertEquals(ctx.objects.isEmpty, false);
    ctx.put();
    assertEquals(ctx.objects.isEmpty, true);
    machine.end();
  });

  it("that is never released is a problem of the kernel", () => {
    const machine = new Machine();
    machine.ctx.get();
    machine.process.exit();
    assertEquals(machine.kernel.audit(), [
      "1 iommufd contexts were not released.",
    ]);
  });

  it("charges per user, or per process when opened as VFIO container", () => {
    const machine = new Machine();
    const fd = machine.process.open("/dev/vfio/vfio");
    const vfio = iommufdCtxFromFd(machine.process, fd);
    assertEquals(machine.ctx.accountMode, ACCOUNT_USER);
    assertEquals(vfio.accountMode, ACCOUNT_MM);
    vfio.put();
    machine.end();
    const v3 = new Machine("v3");
    assertEquals(errnoName(v3.process.open("/dev/vfio/vfio")), "ENOENT");
    v3.end();
  });

  it("cannot be opened without memory", () => {
    const machine = new Machine();
    const errnos = [1, 2, 3, 4].map((nth) => {
      machine.process.setFailNth(nth);
      return errnoName(machine.process.open("/dev/iommu"));
    });
    // The path and its copy, the file, the context.
    assertEquals(errnos, ["ENOMEM", "EFAULT", "ENOMEM", "ENOMEM"]);
    machine.end();
  });
});

describe("an ioctl under fault injection", () => {
  it("undoes everything at every step", () => {
    const machine = new Machine();
    const userVa = BigInt(machine.memory(4));
    const ioasId = machine.ioas();
    let steps = 0;
    for (let nth = 1;; nth++) {
      machine.process.setFailNth(nth);
      const { ret } = machine.call(IOMMU_IOAS_MAP, IommuIoasMap, {
        ioasId,
        flags: 6,
        userVa,
        length: 4n * PAGE,
      });
      const left = machine.process.failNthLeft();
      machine.process.setFailNth(0);
      if (left > 0) break;
      steps++;
      assertEquals(typeof ret, "string");
      // The last step is the answer: as in Linux the map is there by then.
      assertEquals(
        machine.unmap({ ioasId, length: 2n ** 64n - 1n }).length,
        steps === 5 ? 4n * PAGE : 0n,
      );
    }
    assertEquals(steps, 5);
    machine.end();
  });
});
