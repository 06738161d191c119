// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoName } from "../../uapi/errno.ts";
import {
  IOMMU_VFIO_IOAS,
  IOMMU_VFIO_IOAS_SET,
  IommuIovaRange,
  IommuVfioIoas,
} from "../../uapi/iommufd.ts";
import {
  IOMMU_TEST_OP_ADD_RESERVED,
  TestAddReserved,
} from "../../uapi/selftest.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import {
  REVISION_NAMES,
  type RevisionName,
  REVISIONS,
} from "../../uapi/revision.ts";
import {
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
  VfioInfoCapHeader,
  VfioIommuType1Info,
  VfioIommuType1InfoCapIovaRange,
  VfioIommuType1InfoDmaAvail,
} from "../../uapi/vfio.ts";
import { IOVA, Machine, PAGE } from "../testing/machine.ts";

/** Bytes that no answer has. */
const FILL = 0xaa;

/** What GET_INFO answers to an argsz: the result and the bytes from the struct on. */
function getInfo(
  machine: Machine,
  argsz: number,
): { ret: string; info: VfioIommuType1Info; bytes: Uint8Array } {
  const { process, fd } = machine;
  const memory = machine.memory(1);
  process.poke(memory, new Uint8Array(PAGE_SIZE).fill(FILL));
  process.poke(memory, VfioIommuType1Info.encode({ argsz }).subarray(0, 4));
  const ret = errnoName(process.ioctl(fd, VFIO_IOMMU_GET_INFO, memory));
  const bytes = process.peek(memory, PAGE_SIZE);
  return { ret, info: VfioIommuType1Info.decode(bytes), bytes };
}

/** A container whose IOAS has a hole of its own besides a mock domain's aperture. */
function container(name: RevisionName, domain: boolean): Machine {
  const machine = new Machine(name);
  const ioasId = machine.ioas();
  machine.call(IOMMU_VFIO_IOAS, IommuVfioIoas, {
    ioasId,
    op: IOMMU_VFIO_IOAS_SET,
  });
  if (domain) machine.mockDomain(ioasId);
  machine.test(IOMMU_TEST_OP_ADD_RESERVED, TestAddReserved, {
    id: ioasId,
    start: IOVA + PAGE,
    length: PAGE,
  });
  return machine;
}

/** The chain as [id, offset, next] of each capability. */
function chain(bytes: Uint8Array, first: number): number[][] {
  const caps: number[][] = [];
  for (let at = first; at !== 0;) {
    const { id, version, next } = VfioInfoCapHeader.decode(bytes.subarray(at));
    assertEquals(version, 1);
    caps.push([id, at, next]);
    at = next;
  }
  return caps;
}

const RANGE = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
const AVAIL = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;

for (const name of REVISION_NAMES) {
  describe(`VFIO_IOMMU_GET_INFO [${name}]`, () => {
    /** The struct, 12 bytes of DMA_AVAIL (padded), 16 + 2 * 16 of IOVA_RANGE. */
    const total = name === "v3" ? 24 + 48 + 12 : 24 + 16 + 48;

    it("checks its argument before it looks for an IOAS", () => {
      const machine = new Machine(name);
      assertEquals(getInfo(machine, 15).ret, "EINVAL");
      assertEquals(getInfo(machine, 16).ret, "ENODEV");
      assertEquals(machine.callArg(VFIO_IOMMU_GET_INFO, 0), "EFAULT");
      machine.end();
    });

    it("answers in the first 16 bytes and says how many there are", () => {
      const machine = container(name, true);
      const { ret, info, bytes } = getInfo(machine, 16);
      assertEquals(ret, "0");
      assertEquals([info.argsz, info.flags], [total, 3]);
      const { pageTable } = REVISIONS[name].mock;
      const sizes = pageTable === "flat" ? 4096n : 2n ** 37n - 4096n;
      assertEquals(info.iovaPgsizes, sizes);
      assertEquals(bytes.subarray(16).every((byte) => byte === FILL), true);
      machine.end();
    });

    it("never writes beyond argsz, and no capability that does not fit", () => {
      const machine = container(name, true);
      for (let argsz = 24; argsz < total; argsz++) {
        const { ret, info, bytes } = getInfo(machine, argsz);
        assertEquals([ret, info.argsz, info.capOffset], ["0", total, 0]);
        assertEquals(bytes.subarray(argsz).every((b) => b === FILL), true);
      }
      machine.end();
    });

    it("chains both capabilities when all fits", () => {
      const machine = container(name, true);
      for (const argsz of [total, total + 1, PAGE_SIZE]) {
        const { info, bytes } = getInfo(machine, argsz);
        assertEquals([info.argsz, info.capOffset], [total, 24]);
        const caps = chain(bytes, info.capOffset);
        assertEquals(
          caps,
          name === "v3"
            ? [[RANGE, 24, 72], [AVAIL, 72, 0]]
            : [[AVAIL, 24, 40], [RANGE, 40, 0]],
        );
        assertEquals(bytes.subarray(total).every((b) => b === FILL), true);
        const [range, avail] = [RANGE, AVAIL].map((id) => {
          const [, at] = caps.find((cap) => cap[0] === id)!;
          return bytes.subarray(at);
        });
        const { avail: free } = VfioIommuType1InfoDmaAvail.decode(avail!);
        assertEquals(free, name === "v3" ? 0xffff : 0xffff_ffff);
        const { nrIovas } = VfioIommuType1InfoCapIovaRange.decode(range!);
        assertEquals(nrIovas, 2);
        assertEquals(IommuIovaRange.decode(range!.subarray(16)), {
          start: IOVA,
          last: IOVA + PAGE - 1n,
        });
        assertEquals(IommuIovaRange.decode(range!.subarray(32)), {
          start: IOVA + 2n * PAGE,
          last: 2n ** 31n - 1n,
        });
      }
      machine.end();
    });

    it("has all page sizes without a domain", () => {
      const machine = container(name, false);
      assertEquals(
        getInfo(machine, 16).info.iovaPgsizes,
        0xffff_ffff_ffff_f000n,
      );
      machine.end();
    });

    it("cannot write its answer: EFAULT", () => {
      const machine = container(name, true);
      const memory = machine.memory(1);
      machine.process.poke(memory, VfioIommuType1Info.encode());
      machine.process.mprotect(memory, PAGE_SIZE, 1);
      assertEquals(machine.callArg(VFIO_IOMMU_GET_INFO, memory), "EFAULT");
      machine.end();
    });
  });
}
