// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a process can have many of, and what it can do with all of them: each
 * takes steps in proportion to their number.
 *
 * @module
 */

import { IommufdClient } from "../../client/client.ts";
import { Kernel } from "../../kernel.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import * as uapi from "../../uapi/mod.ts";
import type { RevisionName } from "../../uapi/revision.ts";

const PAGE = uapi.PAGE_SIZE;
const IOVA = uapi.MOCK_APERTURE_START;

/** What is done one after the other, by name. */
export type Phases = Readonly<Record<string, () => void>>;

/** Sets a scenario up for `n` of something. */
export type Scenario = (n: number, bench: GrowthBench) => Phases;

/** Devices whose faults come to one queue. */
interface Faulting {
  readonly devices: readonly {
    readonly stdevId: number;
    readonly devId: number;
  }[];
  readonly faultFd: number;
}

/** A process with an open iommufd that may have as many of anything as it likes. */
export class GrowthBench {
  readonly process: Process;
  readonly iommufd: IommufdClient;
  readonly ioasId: number;

  constructor(revision: RevisionName) {
    this.process = new Kernel({ revision, memory: 2 ** 28 }).spawn();
    this.process.setrlimit(uapi.RLIMIT_NOFILE, 1n << 20n);
    this.iommufd = IommufdClient.open(this.process);
    this.ioasId = this.iommufd.ioasAlloc().ioasId;
  }

  /** Ends the process. */
  readonly exit = (): void => this.process.exit();

  /** Shared memory; its address. */
  memory(pages: number): number {
    const prot = uapi.PROT_READ | uapi.PROT_WRITE;
    const flags = uapi.MAP_SHARED | uapi.MAP_ANONYMOUS;
    return this.process.mmap(0, pages * PAGE, prot, flags);
  }

  /** Maps `n` pages, each as an area of its own, `stride` pages apart. */
  areas(n: number, stride: number): void {
    const memory = this.memory(n);
    for (let i = 0; i < n; i++) {
      this.iommufd.ioasMap({
        ioasId: this.ioasId,
        userVa: memory + i * PAGE,
        length: PAGE,
        iova: IOVA + i * stride * PAGE,
      });
    }
  }

  /** Mock devices on a nested HWPT with a fault queue. */
  faulting(n: number): Faulting {
    const { hwpt, mock } = this.iommufd;
    const add = () => mock.mockDomain({ ptId: this.ioasId });
    const devices = times(n, add).map(({ stdevId, idevId }) => ({
      stdevId,
      devId: idevId!,
    }));
    const { devId } = devices[0]!;
    const { faultId, faultFd } = hwpt.faultQueueAlloc();
    const parent = hwpt.alloc({
      devId,
      ptId: this.ioasId,
      flags: uapi.IOMMU_HWPT_ALLOC_NEST_PARENT,
    });
    const nested = hwpt.alloc({
      devId,
      ptId: parent.hwptId,
      dataType: uapi.IOMMU_HWPT_DATA_SELFTEST,
      data: new Uint8Array(uapi.HwptSelftest.size),
      faultId,
    });
    for (const { stdevId } of devices) {
      mock.mockDomainReplace({ stdevId, ptId: nested.hwptId });
    }
    return { devices, faultFd };
  }

  /** Reads until there is nothing; the cookies. */
  readAllFaults(faultFd: number): number[] {
    const cookies: number[] = [];
    for (;;) {
      const faults = this.iommufd.hwpt.readFaults(faultFd);
      if (faults.length === 0) return cookies;
      cookies.push(...faults.map(({ cookie }) => cookie));
    }
  }
}

function times<T>(n: number, make: (i: number) => T): T[] {
  return Array.from({ length: n }, (_, i) => make(i));
}

/** The scenarios of all revisions. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "contexts": (n, { process, exit }) => ({
    open: () => times(n, () => IommufdClient.open(process).ioasAlloc()),
    exit,
  }),

  "IOAS": (n, { iommufd, exit }) => {
    let ids: number[] = [];
    return {
      alloc: () => ids = times(2 * n, () => iommufd.ioasAlloc().ioasId),
      destroy: () => ids.slice(n).forEach((id) => iommufd.destroy(id)),
      exit,
    };
  },

  "IOAS, the last one first": (n, { iommufd }) => {
    let ids: number[] = [];
    return {
      alloc: () => ids = times(n, () => iommufd.ioasAlloc().ioasId),
      destroy: () => ids.reverse().forEach((id) => iommufd.destroy(id)),
    };
  },

  "mock domains of one IOAS": (n, { iommufd, ioasId, exit }) => {
    let ids: number[] = [];
    const add = () => iommufd.mock.mockDomain({ ptId: ioasId }).stdevId;
    return {
      attach: () => ids = times(2 * n, add),
      destroy: () => ids.slice(n).forEach((id) => iommufd.destroy(id)),
      exit,
    };
  },

  "mock domains, each with an IOAS": (n, { iommufd, exit }) => ({
    attach: () =>
      times(n, () => {
        const { ioasId } = iommufd.ioasAlloc();
        return iommufd.mock.mockDomain({ ptId: ioasId });
      }),
    exit,
  }),

  "areas": (n, bench) => {
    const { iommufd, ioasId } = bench;
    return {
      map: () => bench.areas(2 * n, 2),
      attach: () => iommufd.mock.mockDomain({ ptId: ioasId }),
      unmap: () =>
        times(n, (i) =>
          iommufd.ioasUnmap({
            ioasId,
            iova: IOVA + 2 * i * PAGE,
            length: PAGE,
          })),
      all: () => iommufd.ioasUnmapAll(ioasId),
    };
  },

  "areas that touch": (n, bench) => {
    const { iommufd, ioasId, exit } = bench;
    const { ioasId: other } = iommufd.ioasAlloc();
    const copy = { srcIoasId: ioasId, srcIova: IOVA, dstIova: IOVA };
    return {
      map: () => bench.areas(n, 1),
      copy: () =>
        iommufd.ioasCopy({ ...copy, dstIoasId: other, length: n * PAGE }),
      exit,
    };
  },

  "areas where the kernel chooses": (n, { iommufd, ioasId }) => ({
    map: () =>
      times(n, () => iommufd.ioasMap({ ioasId, userVa: PAGE, length: PAGE })),
    offset: () =>
      times(
        n,
        () => iommufd.ioasMap({ ioasId, userVa: PAGE + 512, length: PAGE }),
      ),
  }),

  "allowed ranges": (n, { iommufd, ioasId }) => ({
    allow: () =>
      iommufd.ioasAllowIovas({
        ioasId,
        ranges: times(n, (i) => {
          const start = 2 * i * PAGE + IOVA;
          return { start, last: start + PAGE - 1 };
        }),
      }),
    map: () =>
      times(n, () => iommufd.ioasMap({ ioasId, userVa: PAGE, length: PAGE })),
  }),

  "reserved ranges": (n, { iommufd, ioasId }) => ({
    reserve: () =>
      times(n, (i) => {
        const start = 2 * i * PAGE;
        iommufd.mock.addReserved({ ioasId, start, length: PAGE });
      }),
    map: () =>
      times(n, () => iommufd.ioasMap({ ioasId, userVa: PAGE, length: PAGE })),
    ranges: () => iommufd.ioasIovaRanges(ioasId),
    destroy: () => iommufd.destroy(ioasId),
  }),

  "reserved ranges, and as many mock domains": (n, { iommufd, exit }) => {
    const { ioasId } = iommufd.ioasAlloc();
    times(n, (i) => {
      const start = IOVA + 2 * i * PAGE;
      iommufd.mock.addReserved({ ioasId, start, length: PAGE });
    });
    return {
      attach: () => times(n, () => iommufd.mock.mockDomain({ ptId: ioasId })),
      exit,
    };
  },

  "copies of the same page": (n, bench) => {
    const { iommufd, ioasId, exit } = bench;
    iommufd.mock.mockDomain({ ptId: ioasId });
    bench.areas(1, 1);
    const one = { dstIoasId: ioasId, srcIoasId: ioasId, srcIova: IOVA };
    return {
      copy: () =>
        times(n, (i) => {
          const dstIova = IOVA + (i + 1) * PAGE;
          iommufd.ioasCopy({ ...one, dstIova, length: PAGE });
        }),
      exit,
    };
  },

  "accesses": (n, { iommufd, process, ioasId, exit }) => {
    let fds: number[] = [];
    const add = () => iommufd.mock.createAccess({ ioasId }).accessFd;
    return {
      create: () => fds = times(2 * n, add),
      close: () => fds.slice(n).forEach((fd) => process.close(fd)),
      exit,
    };
  },

  "pins of one page": (n, bench) => {
    const { iommufd, ioasId, exit } = bench;
    bench.areas(1, 1);
    const { accessFd } = iommufd.mock.createAccess({ ioasId });
    const pin = { accessFd, iova: IOVA, length: PAGE };
    return {
      pin: () => times(n, () => iommufd.mock.accessPages(pin)),
      exit,
    };
  },

  "pins that overlap": (n, bench) => {
    const { iommufd, ioasId, exit } = bench;
    iommufd.ioasMap({
      ioasId,
      userVa: bench.memory(2 * n + 1),
      length: (2 * n + 1) * PAGE,
      iova: IOVA,
    });
    const { accessFd } = iommufd.mock.createAccess({ ioasId });
    const pin = (i: number) =>
      iommufd.mock.accessPages({
        accessFd,
        iova: IOVA + i * PAGE,
        length: 2 * PAGE,
      });
    let ids: number[] = [];
    const unpin = (itemId: number) =>
      iommufd.mock.destroyAccessPages({ accessFd, itemId });
    return {
      pin: () => ids = times(2 * n, (i) => pin(i).itemId),
      unpin: () => ids.slice(n).forEach(unpin),
      exit,
    };
  },

  "areas with a pin": (n, bench) => {
    const { iommufd, ioasId } = bench;
    bench.areas(n, 2);
    const { accessFd } = iommufd.mock.createAccess({ ioasId });
    return {
      pin: () =>
        times(n, (i) =>
          iommufd.mock.accessPages({
            accessFd,
            iova: IOVA + 2 * i * PAGE,
            length: PAGE,
          })),
      unmap: () => iommufd.ioasUnmapAll(ioasId),
    };
  },

  "pieces that type1 cuts off": (n, bench) => {
    const { iommufd, ioasId } = bench;
    iommufd.vfioIoasSet(ioasId);
    iommufd.vfio.setIommu(uapi.VFIO_TYPE1_IOMMU);
    const vaddr = bench.memory(n);
    iommufd.vfio.mapDma({ vaddr, iova: IOVA, length: n * PAGE });
    return {
      unmap: () =>
        times(n, (i) => {
          const iova = IOVA + i * PAGE;
          iommufd.vfio.unmapDma({ iova, length: PAGE });
        }),
    };
  },
};

/** The scenarios of what v3 does not have. */
export const LATER_SCENARIOS: Readonly<Record<string, Scenario>> = {
  "HWPTs": (n, { iommufd, ioasId, exit }) => {
    const { idevId, stdevId } = iommufd.mock.mockDomain({ ptId: ioasId });
    const devId = idevId!;
    let ids: number[] = [];
    return {
      alloc: () =>
        ids = times(
          2 * n,
          () => iommufd.hwpt.alloc({ devId, ptId: ioasId }).hwptId,
        ),
      replace: () =>
        ids.forEach((ptId) =>
          iommufd.mock.mockDomainReplace({ stdevId, ptId })
        ),
      attach: () => times(n, () => iommufd.mock.mockDomain({ ptId: ioasId })),
      destroy: () => ids.slice(0, n).forEach((id) => iommufd.destroy(id)),
      exit,
    };
  },

  "nested HWPTs": (n, { iommufd, ioasId, exit }) => {
    const devId = iommufd.mock.mockDomain({ ptId: ioasId }).idevId!;
    const { hwptId: ptId } = iommufd.hwpt.alloc({
      devId,
      ptId: ioasId,
      flags: uapi.IOMMU_HWPT_ALLOC_NEST_PARENT,
    });
    const dataType = uapi.IOMMU_HWPT_DATA_SELFTEST;
    const data = new Uint8Array(uapi.HwptSelftest.size);
    return {
      alloc: () =>
        times(n, () => iommufd.hwpt.alloc({ devId, ptId, dataType, data })),
      exit,
    };
  },

  "moves of accesses": (n, { iommufd, ioasId }) => {
    const other = iommufd.ioasAlloc();
    const fds = times(n, () => iommufd.mock.createAccess({ ioasId }).accessFd);
    return {
      replace: () =>
        fds.forEach((accessFd) =>
          iommufd.mock.accessReplaceIoas({ accessFd, ...other })
        ),
    };
  },

  "fault queues": (n, { iommufd, exit }) => ({
    alloc: () => times(n, () => iommufd.hwpt.faultQueueAlloc()),
    exit,
  }),

  "faults": (n, bench) => {
    const { iommufd, exit } = bench;
    const { devices: [device], faultFd } = bench.faulting(1);
    const { devId } = device!;
    let cookies: number[] = [];
    return {
      fault: () =>
        times(2 * n, () => iommufd.mock.triggerIopf({ devId, addr: 0 })),
      read: () => cookies = bench.readAllFaults(faultFd),
      answer: () =>
        cookies.slice(n).forEach((cookie) =>
          iommufd.hwpt.respondFaults(faultFd, [{ cookie, code: 0 }])
        ),
      exit,
    };
  },

  "PASIDs": (n, { iommufd, ioasId, exit }) => {
    const { hwpt, mock } = iommufd;
    const devFlags = uapi.MOCK_FLAGS_DEVICE_PASID;
    const { stdevId, idevId } = mock.mockDomain({ ptId: ioasId, devFlags });
    const devId = idevId!;
    const flags = uapi.IOMMU_HWPT_ALLOC_PASID;
    const parent = hwpt.alloc({
      devId,
      ptId: ioasId,
      flags: flags | uapi.IOMMU_HWPT_ALLOC_NEST_PARENT,
    }).hwptId;
    mock.mockDomainReplace({ stdevId, ptId: parent });
    const { faultId } = hwpt.faultQueueAlloc();
    const nested = hwpt.alloc({
      devId,
      ptId: parent,
      flags,
      dataType: uapi.IOMMU_HWPT_DATA_SELFTEST,
      data: new Uint8Array(uapi.HwptSelftest.size),
      faultId,
    }).hwptId;
    // None is the one that the mock refuses to move.
    const each = (ptId: number) =>
      times(2 * n, (i) => ({ stdevId, pasid: 2 + 3 * i, ptId }));
    return {
      attach: () => each(nested).forEach((one) => mock.pasidAttach(one)),
      fault: () =>
        each(0).forEach(({ pasid }) =>
          mock.triggerIopf({ devId, pasid, addr: 0 })
        ),
      replace: () => each(parent).forEach((one) => mock.pasidReplace(one)),
      detach: () =>
        each(0).slice(n).forEach(({ stdevId, pasid }) =>
          mock.pasidDetach({ stdevId, pasid })
        ),
      destroy: () => iommufd.destroy(stdevId),
      exit,
    };
  },

  "devices with a fault": (n, bench) => {
    const { iommufd } = bench;
    const { devices, faultFd } = bench.faulting(2 * n);
    const fault = () =>
      devices.forEach(({ devId }) =>
        iommufd.mock.triggerIopf({ devId, addr: 0 })
      );
    const destroy = (some: Faulting["devices"]) =>
      some.forEach(({ stdevId }) => iommufd.destroy(stdevId));
    return {
      fault,
      "destroy, unread": () => destroy(devices.slice(n)),
      read: () => bench.readAllFaults(faultFd),
      "destroy, unanswered": () => destroy(devices.slice(0, n)),
    };
  },
};

/** What grows with the square of n: so many calls that each look at so many ranges. */
export const CONTROL: Readonly<Record<string, Scenario>> = {
  "control": (n, { iommufd, ioasId }) => {
    times(n, (i) => {
      const start = 2 * i * PAGE;
      iommufd.mock.addReserved({ ioasId, start, length: PAGE });
    });
    return { ranges: () => times(n, () => iommufd.ioasIovaRanges(ioasId)) };
  },
};
