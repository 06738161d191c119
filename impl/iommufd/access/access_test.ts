// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Pfn } from "../../lib/brands.ts";
import { KernelBug } from "../../kernel/warn.ts";
import {
  IOMMU_IOAS_IOVA_RANGES,
  IommuIoasIovaRanges,
} from "../../uapi/iommufd.ts";
import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
} from "../../uapi/iommufd.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import {
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
} from "../../uapi/revision.ts";
import { Access, type AccessOps } from "./access.ts";
import { cutIova } from "../ioas/split.ts";
import {
  IOMMUFD_ACCESS_RW_READ,
  IOMMUFD_ACCESS_RW_WRITE,
} from "../pages/source.ts";
import { IOVA, Machine, outcome, PAGE } from "../testing/machine.ts";

const MAX = 2n ** 64n - 1n;
const WRITE = IOMMUFD_ACCESS_RW_WRITE;
const READ = IOMMUFD_ACCESS_RW_READ;

/** A driver that remembers what it pinned and unpins what it is asked to. */
class Driver {
  readonly ops: AccessOps = {
    needsPinPages: true,
    unmap: (iova, length) => this.#unmap(iova, length),
  };
  /** The ranges that it was asked to unpin. */
  readonly asked: [bigint, bigint][] = [];
  access: Access | undefined;
  #pinned: [bigint, bigint][] = [];

  pin(iova: bigint, length: bigint, flags = WRITE): Int32Array {
    const pfns = new Int32Array(Number((length + PAGE - 1n) / PAGE));
    this.access!.pinPages(iova, length, pfns, flags);
    this.#pinned.push([iova, length]);
    return pfns;
  }

  #unmap(iova: bigint, length: bigint): void {
    this.asked.push([iova, length]);
    this.#unpin();
  }

  #unpin(): void {
    for (const [start, bytes] of this.#pinned) {
      this.access!.unpinPages(start, bytes);
    }
    this.#pinned = [];
  }
}

/** A machine with an IOAS and a driver's access on it; three pages are mapped at 16 MiB. */
function setup(name: RevisionName): {
  machine: Machine;
  driver: Driver;
  access: Access;
  ioasId: number;
  userVa: number;
} {
  const machine = new Machine(name);
  const ioasId = machine.ioas();
  const userVa = machine.memory(3);
  for (let i = 0; i < 3; i++) {
    const offset = BigInt(i) * PAGE;
    machine.map({
      ioasId,
      userVa: BigInt(userVa) + offset,
      iova: IOVA + offset,
    });
  }
  const driver = new Driver();
  driver.access = create(machine, ioasId, driver.ops);
  return { machine, driver, access: driver.access, ioasId, userVa };
}

function create(machine: Machine, ioasId: number, ops: AccessOps): Access {
  const access = Access.create(machine.ctx, ops);
  access.attach(ioasId);
  return access;
}

/** The frames of the process's memory. */
function frames(machine: Machine, userVa: number, count: number): number[] {
  return Array.from(
    { length: count },
    (_, i) => machine.process.mm.userPage(userVa + i * PAGE_SIZE),
  );
}

/** Ranges that cannot be pinned with `flags`; three readable and writable pages at 16 MiB, a read-only and a write-only one behind a gap. */
const BAD_RANGES: {
  readonly what: string;
  readonly iova: bigint;
  readonly length: bigint;
  readonly flags: number;
  readonly pin: string;
  readonly rw: string;
}[] = [
  {
    what: "length 0",
    iova: IOVA,
    length: 0n,
    flags: READ,
    pin: "EINVAL",
    rw: "EINVAL",
  },
  {
    what: "a range that wraps",
    iova: MAX,
    length: 2n,
    flags: READ,
    pin: "EOVERFLOW",
    rw: "EOVERFLOW",
  },
  {
    what: "a hole",
    iova: 0n,
    length: PAGE,
    flags: READ,
    pin: "ENOENT",
    rw: "ENOENT",
  },
  {
    what: "a range that starts in a hole",
    iova: IOVA - PAGE,
    length: 2n * PAGE,
    flags: READ,
    pin: "ENOENT",
    rw: "ENOENT",
  },
  {
    what: "a range that ends in a hole",
    iova: IOVA,
    length: 4n * PAGE,
    flags: READ,
    pin: "ENOENT",
    rw: "ENOENT",
  },
  {
    what: "a start within a page",
    iova: IOVA + 8n,
    length: PAGE,
    flags: READ,
    pin: "EINVAL",
    rw: "ok",
  },
  {
    what: "an end within a page",
    iova: IOVA,
    length: PAGE + 1n,
    flags: READ,
    pin: "ok",
    rw: "ok",
  },
  {
    what: "writing what is read-only",
    iova: IOVA + 8n * PAGE,
    length: 8n,
    flags: WRITE,
    pin: "EPERM",
    rw: "EPERM",
  },
  {
    what: "reading what is write-only",
    iova: IOVA + 9n * PAGE,
    length: 8n,
    flags: READ,
    pin: "EPERM",
    rw: "EPERM",
  },
  {
    what: "writing from writable to read-only",
    iova: IOVA + 7n * PAGE,
    length: 2n * PAGE,
    flags: WRITE,
    pin: "EPERM",
    rw: "EPERM",
  },
];

function mapOdd(machine: Machine, ioasId: number, userVa: number): void {
  const odd: [bigint, number][] = [
    [7n, IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE],
    [8n, IOMMU_IOAS_MAP_READABLE],
    [9n, IOMMU_IOAS_MAP_WRITEABLE],
  ];
  for (const [page, flags] of odd) {
    machine.map({
      ioasId,
      userVa: BigInt(userVa),
      iova: IOVA + page * PAGE,
      flags: flags | IOMMU_IOAS_MAP_FIXED_IOVA,
    });
  }
}

for (const name of REVISION_NAMES) {
  describe(`access [${name}]`, () => {
    it("pins the pages of several areas, in order", () => {
      const { machine, driver, userVa } = setup(name);
      const pfns = driver.pin(IOVA, 3n * PAGE);
      assertEquals([...pfns], frames(machine, userVa, 3));
      assertEquals(
        pfns.every((pfn) => machine.kernel.frames.pins(pfn as Pfn) === 1),
        true,
      );
      driver.access!.release();
      assertEquals(machine.kernel.frames.pins(pfns[0]! as Pfn), 0);
      assertEquals(driver.asked, [[0n, MAX]]);
      machine.end();
    });

    it("is a bug to pin more pages than there is room for, and leaves none pinned", () => {
      const { machine, driver, access, userVa } = setup(name);
      assertThrows(
        () => access.pinPages(IOVA, 3n * PAGE, new Int32Array(2), READ),
        KernelBug,
        "2",
      );
      for (const pfn of frames(machine, userVa, 3)) {
        assertEquals(machine.kernel.frames.pins(pfn as Pfn), 0);
      }
      driver.access!.release();
      machine.end();
    });

    for (const { what, iova, length, flags, pin, rw } of BAD_RANGES) {
      it(`${what}: pin answers ${pin}, rw ${rw}, and nothing stays pinned`, () => {
        const { machine, driver, access, ioasId, userVa } = setup(name);
        mapOdd(machine, ioasId, userVa);
        assertEquals(outcome(() => driver.pin(iova, length, flags)), pin);
        if (pin !== "ok") {
          for (const pfn of frames(machine, userVa, 3)) {
            assertEquals(machine.kernel.frames.pins(pfn as Pfn), 0);
          }
        }
        const data = new Uint8Array(Number(length));
        assertEquals(outcome(() => access.rw(iova, data, flags)), rw);
        driver.access!.release();
        machine.end();
      });
    }

    it("reads and writes across areas", () => {
      const { machine, access, userVa } = setup(name);
      const at = userVa + PAGE_SIZE - 2;
      machine.process.poke(at, Uint8Array.of(1, 2, 3, 4));
      const data = new Uint8Array(4);
      access.rw(IOVA + PAGE - 2n, data, READ);
      assertEquals([...data], [1, 2, 3, 4]);
      access.rw(IOVA + PAGE - 2n, Uint8Array.of(9, 8, 7, 6), WRITE);
      assertEquals([...machine.process.peek(at, 4)], [9, 8, 7, 6]);
      access.release();
      machine.end();
    });

    it("is asked for what an unmap removes, area by area", () => {
      const { machine, driver, access, ioasId } = setup(name);
      driver.pin(IOVA, 2n * PAGE);
      const answer = machine.unmap({ ioasId, length: MAX });
      assertEquals([answer.ret, answer.length], [0, 3n * PAGE]);
      assertEquals(driver.asked, [[IOVA, PAGE]]);
      access.release();
      machine.end();
    });

    it("cannot pin, read or write what is being unmapped: EINVAL", () => {
      const { machine, driver, access, ioasId } = setup(name);
      driver.pin(IOVA, PAGE);
      const seen: string[] = [];
      const spy = create(machine, ioasId, {
        needsPinPages: true,
        unmap() {
          const pfns = new Int32Array(1);
          seen.push(outcome(() => access.pinPages(IOVA, PAGE, pfns, READ)));
          seen.push(outcome(() => access.rw(IOVA, new Uint8Array(1), READ)));
        },
      });
      assertEquals(machine.unmap({ ioasId, length: MAX }).ret, 0);
      assertEquals(seen, ["EINVAL", "EINVAL"]);
      spy.release();
      access.release();
      machine.end();
    });

    it("that does not let go makes the unmap fail: EDEADLOCK and a warning", () => {
      const { machine, access, ioasId } = setup(name);
      let asked = 0;
      const stubborn = create(machine, ioasId, {
        needsPinPages: true,
        unmap: () => void asked++,
      });
      stubborn.pinPages(IOVA, PAGE, new Int32Array(1), WRITE);
      const cut = () => outcome(() => cutIova(access.ioas!.iopt, [IOVA + 9n]));
      assertEquals(cut(), "EINVAL", "not at the end of a page");
      assertEquals(machine.unmap({ ioasId, length: MAX }).ret, "EDEADLOCK");
      assertEquals(asked, 101);
      assertEquals(cut(), "EBUSY", "it may go any time now");
      stubborn.unpinPages(IOVA, PAGE);
      assertEquals(machine.unmap({ ioasId, length: MAX }).ret, 0);
      stubborn.release();
      access.release();
      machine.end(["iopt_unmap_iova_range: an access does not unpin"]);
    });

    it("may be released by another one's unmap", () => {
      const { machine, driver, access, ioasId } = setup(name);
      driver.pin(IOVA, PAGE);
      const order: string[] = [];
      const second = create(machine, ioasId, {
        unmap: () => void order.push("second"),
      });
      const third = create(machine, ioasId, {
        unmap: () => void order.push("third"),
      });
      second.ops.unmap = () => {
        order.push("second");
        third.release();
      };
      assertEquals(machine.unmap({ ioasId, length: MAX }).ret, 0);
      // What is released does not hear of the unmap, only of its own end.
      assertEquals(order, ["second", "third"]);
      second.ops.unmap = () => {};
      second.release();
      access.release();
      machine.end();
    });

    it("warns about unpins that match no pin", () => {
      const { machine, access } = setup(name);
      access.unpinPages(IOVA, 0n);
      access.unpinPages(MAX, 2n);
      access.unpinPages(0n, PAGE);
      access.unpinPages(IOVA, PAGE);
      const { id } = access;
      access.release();
      machine.end([
        `iommufd: access ${id} unpins no range`,
        `iommufd: access ${id} unpins no range`,
        `iommufd: access ${id} unpins what is not mapped`,
        "iopt_area_remove_access: no such access",
      ]);
    });

    it("holds its IOAS and its context until it is released", () => {
      const { machine, access, ioasId } = setup(name);
      assertEquals(machine.destroy(ioasId), "EBUSY");
      assertEquals(machine.destroy(access.id), "EBUSY");
      const { ctx } = machine;
      machine.process.close(machine.fd);
      assertEquals(ctx.objects.isEmpty, false);
      access.release();
      assertEquals(ctx.objects.isEmpty, true);
      machine.end();
    });
  });
}

describe("access", () => {
  it("does nothing without IOAS", () => {
    const machine = new Machine();
    const ioasId = machine.ioas();
    const driver = new Driver();
    const access = driver.access = Access.create(machine.ctx, driver.ops);
    assertEquals(access.ioas, undefined);
    assertEquals(outcome(() => driver.pin(IOVA, PAGE)), "ENOENT");
    assertEquals(
      outcome(() => access.rw(IOVA, new Uint8Array(1), READ)),
      "ENOENT",
    );
    assertEquals(outcome(() => access.replace(ioasId)), "ENOENT");
    access.unpinPages(IOVA, PAGE);
    access.detach();
    access.attach(ioasId);
    assertEquals(outcome(() => access.attach(ioasId)), "EINVAL");
    access.release();
    machine.end([
      "iommufd: access 2 unpins without IOAS",
      "iommufd: access 2 is detached without being attached",
      "iommufd: access 2 is attached twice",
    ]);
  });

  it("moves: the pins on the old IOAS are taken back, though none can be added", () => {
    const { machine, driver, access, ioasId } = setup(NEWEST);
    const other = machine.ioas();
    driver.pin(IOVA, PAGE);
    const seen: string[] = [];
    const { unmap } = driver.ops;
    driver.ops.unmap = (iova, length) => {
      seen.push(outcome(() => driver.pin(IOVA + PAGE, PAGE)));
      seen.push(outcome(() => access.replace(ioasId)));
      seen.push(outcome(() => access.attach(ioasId)));
      unmap!(iova, length);
    };
    access.replace(other);
    assertEquals(seen, ["ENOENT", "ENOENT", "EBUSY"]);
    assertEquals(driver.asked, [[0n, MAX]]);
    assertEquals(access.ioas?.id, other);
    assertEquals(machine.destroy(ioasId), 0);
    assertEquals(machine.destroy(other), "EBUSY");
    driver.ops.unmap = unmap!;
    access.replace(other);
    assertEquals(driver.asked.length, 1);
    access.detach();
    assertEquals(machine.destroy(other), 0);
    access.release();
    machine.end();
  });

  it("stays where it is when it cannot move", () => {
    const { machine, driver, access, ioasId, userVa } = setup(NEWEST);
    const odd = machine.ioas();
    machine.map({ ioasId: odd, userVa: BigInt(userVa), iova: IOVA + 2048n });
    driver.pin(IOVA, PAGE);
    assertEquals(outcome(() => access.replace(99)), "ENOENT");
    assertEquals(outcome(() => access.replace(odd)), "EADDRINUSE");
    assertEquals(access.ioas?.id, ioasId);
    driver.pin(IOVA + PAGE, PAGE);
    assertEquals(driver.asked, []);
    access.release();
    machine.end();
  });

  it("raises the alignment of its IOAS to pages while it pins", () => {
    const machine = new Machine();
    const ioasId = machine.ioas();
    const alignment = (): bigint =>
      machine.call(IOMMU_IOAS_IOVA_RANGES, IommuIoasIovaRanges, { ioasId })
        .outIovaAlignment;
    const reader = create(machine, ioasId, { unmap() {} });
    assertEquals(alignment(), 1n);
    const pinner = create(machine, ioasId, { needsPinPages: true, unmap() {} });
    assertEquals(alignment(), 4096n);
    pinner.release();
    assertEquals(alignment(), 1n);
    const pfns = new Int32Array(1);
    assertEquals(
      outcome(() => reader.pinPages(0n, PAGE, pfns, READ)),
      "EINVAL",
    );
    const { id } = reader;
    reader.release();
    machine.end([
      `iommufd: access ${id} pins without having said that it would`,
    ]);
  });

  it("keeps the alignment where the revision has no such rule", () => {
    const { machine, access, ioasId } = setup("v3");
    const { outIovaAlignment } = machine.call(
      IOMMU_IOAS_IOVA_RANGES,
      IommuIoasIovaRanges,
      { ioasId },
    );
    assertEquals(outIovaAlignment, 1n);
    access.release();
    machine.end();
  });
});
