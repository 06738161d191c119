// SPDX-License-Identifier: GPL-2.0-only

import {
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../kernel.ts";
import type { Process } from "../kernel/simulated/process.ts";
import {
  EBUSY,
  EINVAL,
  EIO,
  ENODEV,
  ENOENT,
  EOPNOTSUPP,
  EPERM,
  type Errno,
} from "../uapi/errno.ts";
import {
  CAP_SYS_RESOURCE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_SHARED,
  PAGE_SIZE,
  POLLNVAL,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { IOMMU_IOAS_MAP_READABLE } from "../uapi/iommufd.ts";
import {
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
  REVISIONS,
} from "../uapi/revision.ts";
import {
  VFIO_DMA_CC_IOMMU,
  VFIO_EEH,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
} from "../uapi/vfio.ts";
import type { U64 } from "../uapi/layout/struct.ts";

import { IommufdClient } from "./client.ts";
import { IommufdError } from "./error.ts";

const MEMORY = 0x1000_0000;
const LENGTH = 16 * PAGE_SIZE;
const IOVA = 0x100_0000n;

/** Runs a body with a client on an IOAS and 16 pages of memory; nothing may be left afterwards. */
function withIoas(
  revision: RevisionName,
  body: (
    iommufd: IommufdClient,
    ioasId: number,
    process: Process,
  ) => void,
): void {
  const kernel = new Kernel({ revision });
  const process = kernel.spawn();
  const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;
  process.mmap(MEMORY, LENGTH, PROT_READ | PROT_WRITE, flags);
  {
    using iommufd = IommufdClient.open(process);
    const { ioasId } = iommufd.ioasAlloc();
    body(iommufd, ioasId, process);
  }
  process.exit();
  assertEquals(kernel.audit(), []);
}

function assertFails(
  call: () => unknown,
  name: string,
  errno: Errno,
): IommufdError {
  const error = assertThrows(call, IommufdError);
  assertStrictEquals(error.errno, errno, error.message);
  assertEquals(error.call, name);
  return error;
}

for (const revision of REVISION_NAMES) {
  describe(`IommufdClient [${revision}]`, () => {
    it("maps, copies and unmaps where it says", () => {
      withIoas(revision, (iommufd, ioasId) => {
        const userVa = MEMORY;
        const { hwptId } = iommufd.mock.mockDomain({ ptId: ioasId });
        const first = iommufd.ioasMap({ ioasId, userVa, length: LENGTH });
        const second = iommufd.ioasCopy({
          srcIoasId: ioasId,
          srcIova: first.iova + BigInt(PAGE_SIZE),
          dstIoasId: ioasId,
          dstIova: 0x200_0000,
          length: PAGE_SIZE,
        });
        assertEquals(second.iova, 0x200_0000n);
        iommufd.mock.checkMap({ hwptId, ...first, length: LENGTH, userVa });
        const copied = { userVa: userVa + PAGE_SIZE, length: PAGE_SIZE };
        iommufd.mock.checkMap({ hwptId, ...second, ...copied });
        // The check can fail: these are other pages.
        assertFails(
          () =>
            iommufd.mock.checkMap({
              hwptId,
              ...second,
              length: PAGE_SIZE,
              userVa,
            }),
          "IOMMU_TEST_OP_MD_CHECK_MAP",
          EINVAL,
        );
        const unmapped = iommufd.ioasUnmap({
          ioasId,
          iova: second.iova,
          length: PAGE_SIZE,
        });
        assertEquals(unmapped, { length: BigInt(PAGE_SIZE) });
        assertEquals(iommufd.ioasUnmapAll(ioasId), { length: BigInt(LENGTH) });
        assertEquals(iommufd.ioasUnmapAll(ioasId), { length: 0n });
      });
    });

    it("maps with the given rights only", () => {
      withIoas(revision, (iommufd, ioasId) => {
        const range = { iova: IOVA, length: PAGE_SIZE };
        const map = { ioasId, userVa: MEMORY, ...range };
        iommufd.ioasMap({ ...map, flags: IOMMU_IOAS_MAP_READABLE });
        const { accessFd } = iommufd.mock.createAccess({ ioasId });
        const access = { accessFd, ...range, userVa: MEMORY };
        iommufd.mock.accessRw(access);
        assertFails(
          () => iommufd.mock.accessRw({ ...access, write: true }),
          "IOMMU_TEST_OP_ACCESS_RW",
          EPERM,
        );
        iommufd.process.close(accessFd);
      });
    });

    it("says which errno a taken IOVA has in the revision, and why", () => {
      withIoas(revision, (iommufd, ioasId) => {
        const map = { ioasId, userVa: MEMORY, length: PAGE_SIZE, iova: IOVA };
        iommufd.ioasMap(map);
        const { areaExistsErrno } = REVISIONS[revision].ioas;
        const error = assertFails(
          () => iommufd.ioasMap(map),
          "IOMMU_IOAS_MAP",
          areaExistsErrno,
        );
        assertEquals(
          error.message,
          `IOMMU_IOAS_MAP failed with ${areaExistsErrno}: part of the ` +
            "range of IOVA is mapped already (flags 0x7 (FIXED_IOVA | WRITEABLE | " +
            "READABLE), ioasId 1, userVa 0x10000000, length 0x1000, " +
            "iova 0x1000000)",
        );
      });
    });

    it("lists IOVA ranges, however many there are", () => {
      withIoas(revision, (iommufd, ioasId) => {
        assertFails(
          () => iommufd.ioasIovaRanges(77),
          "IOMMU_IOAS_IOVA_RANGES",
          ENOENT,
        );
        const none = iommufd.ioasIovaRanges(ioasId);
        assertEquals(none.ranges, [{ start: 0n, last: 2n ** 64n - 1n }]);
        assertEquals(none.alignment, 1n);
        for (let i = 0; i < 40; i++) {
          const start = i * 0x10000;
          iommufd.mock.addReserved({ ioasId, start, length: 0x1000 });
        }
        const { ranges } = iommufd.ioasIovaRanges(ioasId);
        assertEquals(ranges.length, 40);
        assertEquals(ranges[0], { start: 0x1000n, last: 0xffffn });
        assertEquals(ranges[39]!.last, 2n ** 64n - 1n);
      });
    });

    it("restricts the IOVA that the kernel chooses", () => {
      withIoas(revision, (iommufd, ioasId) => {
        const allowed = { start: 0x500_0000, last: 0x50f_ffffn };
        const map = { ioasId, userVa: MEMORY, length: LENGTH };
        iommufd.ioasAllowIovas({ ioasId, ranges: [allowed] });
        assertEquals(iommufd.ioasMap(map), { iova: 0x500_0000n });
        iommufd.ioasUnmapAll(ioasId);
        iommufd.ioasAllowIovas({ ioasId, ranges: [] });
        assertEquals(iommufd.ioasMap(map).iova < 0x500_0000n, true);
        const ranges = [allowed, allowed];
        assertFails(
          () => iommufd.ioasAllowIovas({ ioasId, ranges }),
          "IOMMU_IOAS_ALLOW_IOVAS",
          EINVAL,
        );
      });
    });

    it("destroys objects that nobody uses", () => {
      withIoas(revision, (iommufd, ioasId) => {
        const { stdevId, hwptId } = iommufd.mock.mockDomain({ ptId: ioasId });
        assertFails(() => iommufd.destroy(ioasId), "IOMMU_DESTROY", EBUSY);
        iommufd.destroy(stdevId);
        if (!iommufd.revision.selftest.mockDomainBindsDevice) {
          iommufd.destroy(hwptId);
        }
        iommufd.destroy(ioasId);
        assertFails(() => iommufd.destroy(ioasId), "IOMMU_DESTROY", ENOENT);
      });
    });

    it("reads and sets options", () => {
      withIoas(revision, (iommufd, ioasId, process) => {
        const { option } = iommufd;
        assertEquals(option.getHugePages(ioasId), true);
        option.setHugePages(ioasId, false);
        assertEquals(option.getHugePages(ioasId), false);
        option.setHugePages(ioasId, true);
        assertEquals(option.getHugePages(ioasId), true);
        assertFails(() => option.getHugePages(7), "IOMMU_OPTION", ENOENT);

        assertEquals(option.getRlimitMode(), "user");
        const set = () => option.setRlimitMode("process");
        assertFails(set, "IOMMU_OPTION", EBUSY);
        iommufd.destroy(ioasId);
        set();
        assertEquals(option.getRlimitMode(), "process");
        process.dropCapability(CAP_SYS_RESOURCE);
        assertFails(set, "IOMMU_OPTION", EPERM);
      });
    });

    it("counts pins and transfers data through an access", () => {
      withIoas(revision, (iommufd, ioasId, process) => {
        const { mock } = iommufd;
        const range = { iova: IOVA, length: 4 * PAGE_SIZE };
        const pins = { userVa: MEMORY, length: 4 * PAGE_SIZE };
        iommufd.ioasMap({ ioasId, userVa: MEMORY, ...range });
        const { accessFd } = mock.createAccess({ ioasId });
        const pin = { accessFd, ...range, userVa: MEMORY };
        mock.checkRefs({ ...pins, refs: 0 });
        const { itemId } = mock.accessPages({ ...pin, write: true });
        mock.checkRefs({ ...pins, refs: 1 });
        assertFails(
          () => mock.checkRefs({ ...pins, refs: 0 }),
          "IOMMU_TEST_OP_MD_CHECK_REFS",
          EIO,
        );
        mock.destroyAccessPages({ accessFd, itemId });
        mock.checkRefs({ ...pins, refs: 0 });

        process.poke(MEMORY, new Uint8Array([1, 2, 3]));
        const source = MEMORY + 8 * PAGE_SIZE;
        mock.accessRw({ accessFd, iova: IOVA, length: 3, userVa: source });
        assertEquals(process.peek(source, 4), new Uint8Array([1, 2, 3, 0]));
        process.close(accessFd);
      });
    });

    it("moves devices and accesses where the revision can", () => {
      withIoas(revision, (iommufd, ioasId) => {
        const { mock } = iommufd;
        const { ioasId: other } = iommufd.ioasAlloc();
        const { stdevId, hwptId } = mock.mockDomain({ ptId: ioasId });
        const { accessFd } = mock.createAccess({ ioasId });
        const device = () => mock.mockDomainReplace({ stdevId, ptId: other });
        const access = () =>
          mock.accessReplaceIoas({ accessFd, ioasId: other });
        if (iommufd.revision.attach.keptWith === "group") {
          assertEquals(device().hwptId !== hwptId, true);
          access();
        } else {
          const error = assertFails(
            device,
            "IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE",
            EOPNOTSUPP,
          );
          assertEquals(error.message.includes("does not have"), true);
          assertFails(access, "IOMMU_TEST_OP_ACCESS_REPLACE_IOAS", EOPNOTSUPP);
        }
        iommufd.process.close(accessFd);
      });
    });

    it("drives the VFIO container", () => {
      withIoas(revision, (iommufd, ioasId) => {
        const { vfio, mock } = iommufd;
        assertEquals(vfio.getApiVersion(), 0);
        assertEquals(vfio.checkExtension(VFIO_UNMAP_ALL), true);
        assertEquals(vfio.checkExtension(VFIO_EEH), false);
        const noIoas = () => vfio.checkExtension(VFIO_DMA_CC_IOMMU);
        assertFails(noIoas, "VFIO_CHECK_EXTENSION", ENODEV);
        assertFails(() => iommufd.vfioIoasGet(), "IOMMU_VFIO_IOAS", ENODEV);

        iommufd.vfioIoasSet(ioasId);
        assertEquals(iommufd.vfioIoasGet(), { ioasId });
        vfio.setIommu(VFIO_TYPE1v2_IOMMU);
        const map = { vaddr: MEMORY, iova: IOVA, length: PAGE_SIZE };
        vfio.mapDma(map);
        assertEquals(vfio.unmapDma(map), { length: BigInt(PAGE_SIZE) });
        vfio.mapDma(map);
        assertEquals(vfio.unmapAllDma(), { length: BigInt(PAGE_SIZE) });
        assertFails(() => vfio.setIommu(77), "VFIO_SET_IOMMU", EINVAL);

        for (let i = 0; i < 40; i++) {
          const start = i * 0x10000;
          mock.addReserved({ ioasId, start, length: 0x1000 });
        }
        const info = vfio.getInfo();
        assertEquals(info.iovaRanges, iommufd.ioasIovaRanges(ioasId).ranges);
        assertEquals(info.dmaAvail, iommufd.revision.vfio.dmaAvail);
        assertEquals(info.iovaPgsizes & 4096n, 4096n);
        iommufd.vfioIoasClear();
        assertFails(() => vfio.getInfo(), "VFIO_IOMMU_GET_INFO", ENODEV);
      });
    });
  });
}

describe("IommufdClient", () => {
  it("refuses arguments that no struct can hold, by name", () => {
    withIoas(NEWEST, (iommufd, ioasId) => {
      const cases: [U64, string][] = [
        [-1, "length must be an integer from 0 to 2^64-1, not -1"],
        [-1n, "length must be an integer from 0 to 2^64-1, not -1"],
        [1.5, "length must be an integer from 0 to 2^64-1, not 1.5"],
        [NaN, "length must be an integer from 0 to 2^64-1, not NaN"],
        [
          2n ** 64n,
          "length must be an integer from 0 to 2^64-1, not 18446744073709551616",
        ],
        [
          2 ** 60,
          "length must be a bigint above 2^53-1, where a number is not exact",
        ],
      ];
      for (const [length, message] of cases) {
        assertThrows(
          () => iommufd.ioasMap({ ioasId, userVa: MEMORY, length }),
          RangeError,
          message,
        );
      }
      assertThrows(
        () => iommufd.destroy(2 ** 32),
        RangeError,
        "id must be an integer from 0 to 2^32-1, not 4294967296",
      );
      // Values at the limits do reach the kernel.
      const map = { ioasId, userVa: 0, length: 2n ** 64n - 1n };
      assertThrows(() => iommufd.ioasMap(map), IommufdError, "EOVERFLOW");
      assertThrows(() => iommufd.destroy(2 ** 32 - 1), IommufdError, "ENOENT");
    });
  });

  it("refuses arguments of a wrong type, as plain JavaScript may pass them", () => {
    withIoas(NEWEST, (iommufd, ioasId) => {
      const { option } = iommufd;
      const wrong = (value: unknown) => value as never;
      assertThrows(
        () => iommufd.ioasMap({ ioasId, userVa: wrong("0x1000"), length: 1 }),
        TypeError,
        'userVa must be an integer from 0 to 2^64-1, not the string "0x1000"',
      );
      assertThrows(
        () => iommufd.ioasMap(wrong({ ioasId, userVa: 0 })),
        TypeError,
        "length must be an integer from 0 to 2^64-1, not undefined",
      );
      assertThrows(
        () => iommufd.ioasMap(wrong({ ioasId, length: 1 })),
        TypeError,
        "userVa must be an integer from 0 to 2^64-1, not undefined",
      );
      assertThrows(
        () => iommufd.ioasMapFile(wrong({ ioasId, length: 1 })),
        TypeError,
        "fd must be an integer from 0 to 2^32-1, not undefined",
      );
      assertThrows(
        () => iommufd.hwpt.alloc({ devId: 1, ptId: 1, data: wrong([]) }),
        TypeError,
        "data must be a Uint8Array, not an object",
      );
      assertThrows(
        () => iommufd.destroy(wrong(1n)),
        TypeError,
        "id must be an integer from 0 to 2^32-1, not the bigint 1n",
      );
      assertThrows(
        () => option.setHugePages(ioasId, wrong(1)),
        TypeError,
        "on must be true or false, not a number",
      );
      assertThrows(
        () => option.setRlimitMode(wrong(null)),
        TypeError,
        'mode must be "user" or "process", not null',
      );
    });
  });

  it("opens the VFIO device where the revision has it", () => {
    const path = "/dev/vfio/vfio";
    using vfio = IommufdClient.open(new Kernel().spawn(), path);
    assertEquals(vfio.option.getRlimitMode(), "process");
    const old = new Kernel({ revision: "v3" }).spawn();
    const error = assertFails(
      () => IommufdClient.open(old, path),
      "open",
      ENOENT,
    );
    assertEquals(
      error.message,
      "open failed with ENOENT: there is no such file (path /dev/vfio/vfio)",
    );
  });

  it("closes once, also after the process exited, and is then of no use", () => {
    const process = new Kernel().spawn();
    const iommufd = IommufdClient.open(process);
    iommufd.close();
    assertEquals(process.open("/dev/null"), iommufd.fd);
    iommufd.close();
    // The number belongs to another file now: it must not be used or closed.
    assertEquals(process.poll(iommufd.fd, 0) & POLLNVAL, 0);
    const message = `Descriptor ${iommufd.fd} was closed by this client`;
    assertThrows(() => iommufd.ioasAlloc(), TypeError, message);
    assertThrows(() => iommufd.vfio.getApiVersion(), TypeError, message);

    const other = IommufdClient.open(process);
    process.exit();
    other.close();
    const gone = assertThrows(() => IommufdClient.open(process), IommufdError);
    assertInstanceOf(gone, Error);
    assertEquals(gone.errno.name, "ESRCH");
  });
});
