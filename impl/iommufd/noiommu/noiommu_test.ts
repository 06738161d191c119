// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertInstanceOf } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommufdClient } from "../../client/client.ts";
import { IommufdError } from "../../client/error.ts";
import { inspect } from "../../inspect/inspect.ts";
import { Device } from "../../iommu/device.ts";
import { probeDevice } from "../../iommu/probe.ts";
import * as uapi from "../../uapi/mod.ts";
import { iommufdCtxHasGroup, IommufdDevice } from "../attach/device.ts";
import { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { SelftestDevice } from "../selftest/selftest_device.ts";
import { Machine, outcome } from "../testing/machine.ts";
import { NoIommuDomain } from "./domain.ts";

const SIZE = uapi.PAGE_SIZE;
const IOVA = 2 ** 30;

/** The errno of a client's call, by name; "ok" if none. */
function errno(call: () => unknown): string {
  try {
    call();
    return "ok";
  } catch (error) {
    assertInstanceOf(error, IommufdError);
    return error.errno.name;
  }
}

/** A machine with an IOAS, and devices that have no IOMMU. */
class Bare {
  readonly machine = new Machine();
  readonly io = new IommufdClient(this.machine.process, this.machine.fd);
  readonly ioasId = this.io.ioasAlloc().ioasId;

  get process() {
    return this.machine.process;
  }

  /** A device, bound. */
  bind(name = "bare"): IommufdDevice {
    const { ctx, kernel } = this.machine;
    return IommufdDevice.bindDevice(ctx, new Device(kernel.iommu, name, null));
  }

  /** Maps new memory; its address in the process. */
  map(pages: number, iova = IOVA): number {
    const userVa = this.machine.memory(pages);
    const { io, ioasId } = this;
    io.ioasMap({ ioasId, userVa, length: pages * SIZE, iova });
    return userVa;
  }

  /** Asks for an address; physical frame, and bytes. */
  ask(iova: number, length: number | bigint): [bigint, bigint] {
    const { ioasId } = this;
    const { phys, length: found } = this.io.ioasNoiommuGetPa({
      ioasId,
      iova,
      length,
    });
    return [phys, found];
  }

  /** The same, only whether it fails. */
  refused(options: object = {}): string {
    const { ioasId } = this;
    const all = { ioasId, iova: IOVA, length: SIZE, ...options };
    return errno(() => this.io.ioasNoiommuGetPa(all));
  }

  /** The physical address of user memory. */
  phys(userVa: number): bigint {
    return BigInt(this.process.mm.userPage(userVa) * SIZE);
  }

  end(): void {
    this.process.exit();
    assertEquals(this.machine.kernel.audit(), []);
  }
}

describe("a device without an IOMMU", () => {
  it("is bound since 7.3, and refused as not coherent before", () => {
    for (const revision of ["v3", "6.12"] as const) {
      const { ctx, kernel } = new Machine(revision);
      const dev = new Device(kernel.iommu, "bare", null);
      assertEquals(
        outcome(() => IommufdDevice.bindDevice(ctx, dev)),
        "EINVAL",
      );
    }
    const bare = new Bare();
    const idev = bare.bind();
    assertEquals(bare.machine.ctx.groups.size, 0);
    assertEquals(bare.machine.destroy(idev.id), "EBUSY");
    // Nobody owns it: it is for its driver to know.
    const second = IommufdDevice.bindDevice(bare.machine.ctx, idev.dev);
    for (const one of [second, idev]) one.unbind();
    assertEquals(bare.machine.destroy(idev.id), "ENOENT");
    bare.end();
  });

  it("attaches, moves, detaches and goes in every order", () => {
    const steps = {
      attach: (idev: IommufdDevice, ids: number[]) => idev.attach(ids[0]!),
      again: (idev: IommufdDevice, ids: number[]) => idev.attach(ids[1]!),
      replace: (idev: IommufdDevice, ids: number[]) => idev.replace(ids[1]!),
      same: (idev: IommufdDevice, ids: number[]) => idev.replace(ids[0]!),
      detach: (idev: IommufdDevice) => idev.detach(),
    };
    type Name = keyof typeof steps;
    const names = Object.keys(steps) as Name[];
    for (const first of names) {
      for (const then of names) {
        for (const last of names) {
          const bare = new Bare();
          const ids = [bare.ioasId, bare.io.ioasAlloc().ioasId];
          bare.map(1);
          const idev = bare.bind();
          let attached = false;
          for (const name of [first, then, last]) {
            const ret = outcome(() => steps[name](idev, ids));
            const attaches = name === "attach" || name === "again";
            const expected = name === "detach" || attaches !== attached;
            const refusal = attaches ? "EBUSY" : "EINVAL";
            assertEquals(ret, expected ? "ok" : refusal, name);
            if (name === "detach") attached = false;
            else if (expected) attached = true;
            assertEquals(idev.pasids, attached ? [0] : []);
          }
          idev.detach();
          idev.unbind();
          // Automatic HWPTs are gone with their last device.
          assertEquals(bare.machine.destroy(ids[0]!), 0);
          bare.end();
        }
      }
    }
  });

  it("is given back by the context's end only after its driver", () => {
    const bare = new Bare();
    const idev = bare.bind();
    bare.map(3);
    idev.attach(bare.ioasId);
    bare.process.exit();
    idev.detach();
    idev.unbind();
    assertEquals(bare.machine.kernel.audit(), []);
  });

  it("warns of a driver that unbinds it attached", () => {
    const bare = new Bare();
    const idev = bare.bind();
    idev.attach(bare.ioasId);
    idev.igroup.unbind(idev.dev);
    assertEquals(bare.machine.kernel.warnings.list, [
      "iommufd: bare is released while attached",
    ]);
  });

  it("has HWPTs without flags and data, but with faults", () => {
    const bare = new Bare();
    const { io, ioasId: ptId } = bare;
    const { id: devId } = bare.bind();
    const faultId = io.hwpt.faultQueueAlloc().faultId;
    for (
      const [options, expected] of [
        [{}, "ok"],
        [{ faultId }, "ok"],
        [{ flags: uapi.IOMMU_HWPT_ALLOC_NEST_PARENT }, "EOPNOTSUPP"],
        [{ flags: uapi.IOMMU_HWPT_ALLOC_DIRTY_TRACKING }, "EOPNOTSUPP"],
        [{ flags: uapi.IOMMU_HWPT_ALLOC_PASID }, "EOPNOTSUPP"],
        [{ flags: 16 }, "EOPNOTSUPP"],
        [{
          dataType: uapi.IOMMU_HWPT_DATA_SELFTEST,
          data: new Uint8Array(8),
        }, "EOPNOTSUPP"],
      ] as const
    ) {
      assertEquals(
        errno(() => io.hwpt.alloc({ devId, ptId, ...options })),
        expected,
      );
    }
  });

  it("attaches for no PASID, and to no faults of a virtual function", () => {
    const bare = new Bare();
    const { io, ioasId: ptId } = bare;
    const idev = bare.bind();
    assertEquals(outcome(() => idev.attach(ptId, 5)), "EINVAL");
    const { faultId } = io.hwpt.faultQueueAlloc();
    const plain = io.hwpt.alloc({ devId: idev.id, ptId }).hwptId;
    const { hwptId } = io.hwpt.alloc({ devId: idev.id, ptId, faultId });
    idev.dev.isVirtualFunction = true;
    idev.dev.hasPri = true;
    assertEquals(outcome(() => idev.attach(hwptId)), "EINVAL");
    idev.attach(plain);
    assertEquals(outcome(() => idev.replace(hwptId)), "EINVAL");
    idev.dev.hasPri = false;
    idev.replace(hwptId);
    idev.detach();
    idev.unbind();
    bare.end();
  });

  it("takes a HWPT of another device, whose PASIDs too, but not the other way round", () => {
    const bare = new Bare();
    const { io, ioasId: ptId, machine: { ctx } } = bare;
    const idev = bare.bind();
    const own = idev.attach(ptId);
    const mock = io.mock.mockDomain({ ptId });
    assertEquals(mock.hwptId === own, false);
    const flags = uapi.IOMMU_HWPT_ALLOC_PASID;
    const devId = mock.idevId!;
    const { hwptId } = io.hwpt.alloc({ devId, ptId, flags });
    idev.replace(hwptId);
    idev.attach(hwptId, 5);
    assertEquals(idev.pasids, [0, 5]);
    idev.detach(5);
    const group = ctx.kernel.mock.devices.get(0)!.group!;
    assertEquals(iommufdCtxHasGroup(ctx, group), true);
    const { hwptId: bareId } = io.hwpt.alloc({ devId: idev.id, ptId });
    const { stdevId } = mock;
    const replace = () => io.mock.mockDomainReplace({ stdevId, ptId: bareId });
    assertEquals(errno(replace), "ENODEV");
    assertEquals(errno(() => io.mock.mockDomain({ ptId: bareId })), "EINVAL");
    idev.detach();
    idev.unbind();
    bare.end();
  });

  it("has no hardware information and no virtual IOMMU", () => {
    const bare = new Bare();
    const { io, ioasId: ptId } = bare;
    const { id: devId } = bare.bind();
    assertEquals(errno(() => io.hwpt.getHwInfo(devId)), "EOPNOTSUPP");
    const other = io.mock.mockDomain({ ptId }).idevId!;
    const flags = uapi.IOMMU_HWPT_ALLOC_NEST_PARENT;
    const { hwptId } = io.hwpt.alloc({ devId: other, ptId, flags });
    const type = uapi.IOMMU_VIOMMU_TYPE_SELFTEST;
    const { viommu } = io;
    for (const id of [hwptId, 999]) {
      const options = { devId, hwptId: id, type };
      assertEquals(errno(() => viommu.alloc(options)), "EOPNOTSUPP");
    }
    const { viommuId } = viommu.alloc({ devId: other, hwptId, type });
    assertEquals(
      errno(() => viommu.vdeviceAlloc({ viommuId, devId, virtId: 1 })),
      "EINVAL",
    );
    const data = { dataType: uapi.IOMMU_HWPT_DATA_SELFTEST };
    const nested = { ...data, data: new Uint8Array(8) };
    for (
      const [on, expected] of [[viommuId, "EINVAL"], [hwptId, "EOPNOTSUPP"]]
    ) {
      const options = { devId, ptId: on as number, ...nested };
      assertEquals(errno(() => io.hwpt.alloc(options)), expected);
    }
  });

  it("is drawn with what it is attached to", () => {
    const bare = new Bare();
    const idev = bare.bind();
    const lines = () => inspect(bare.machine.kernel);
    assertEquals(
      lines().includes("no group, DMA is not translated, detached\n"),
      true,
    );
    const hwptId = idev.attach(bare.ioasId);
    assertEquals(
      lines().includes(`translated, attached to HWPT ${hwptId}\n`),
      true,
      lines(),
    );
    assertEquals(lines().includes("auto, bare"), true, lines());
  });

  it("cannot be put under what stands in for an IOMMU driver", () => {
    const { kernel } = new Machine();
    const dev = new Device(kernel.iommu, "bare", kernel.noIommu);
    assertEquals(outcome(() => probeDevice(dev)), "ENODEV");
    const domain = kernel.noIommu.domainAllocPaging();
    assertEquals(outcome(() => domain.attachDev()), "ENODEV");
    assertEquals(domain.iovaToPhys(0 as never), 0);
  });

  it("has a HWPT, or none, at every step that can fail", () => {
    const bare = new Bare();
    const { io, process, ioasId: ptId } = bare;
    bare.map(2);
    const { id: devId } = bare.bind();
    const failed: string[] = [];
    for (let nth = 1, hit = true; hit; nth++) {
      process.setFailNth(nth);
      const ret = errno(() => io.hwpt.alloc({ devId, ptId }));
      hit = process.failNthLeft() === 0;
      process.setFailNth(0);
      if (hit && ret !== "ok") failed.push(ret);
    }
    assertEquals(failed.includes("ENOMEM"), true);
    assertEquals(bare.refused(), "ok");
  });
});

describe("a mock device that its driver had no memory for", () => {
  it("is one without an IOMMU", () => {
    const bare = new Bare();
    const { process, machine: { ctx }, io, ioasId: ptId } = bare;
    const seen = new Set<string>();
    for (let nth = 1, hit = true; hit; nth++) {
      process.setFailNth(nth);
      const ret = errno(() => io.mock.mockDomain({ ptId }));
      hit = process.failNthLeft() === 0;
      process.setFailNth(0);
      for (const made of ctx.objects) {
        if (!(made instanceof SelftestDevice)) continue;
        seen.add(made.idev.dev.group === null ? "bare" : "whole");
        io.destroy(made.id);
      }
      if (hit) seen.add(ret);
    }
    assertEquals(
      ["ENOMEM", "bare", "whole"].filter((what) => !seen.has(what)),
      [],
    );
    bare.end();
  });

  it("is checked for PASIDs like others", () => {
    const bare = new Bare();
    const { io, process, ioasId: ptId, machine: { ctx } } = bare;
    for (let nth = 1; ctx.groups.size > 0 || nth < 99; nth++) {
      process.setFailNth(nth);
      errno(() => io.mock.mockDomain({ ptId }));
      process.setFailNth(0);
      const made = [...ctx.objects].find((one) =>
        one instanceof SelftestDevice
      );
      if (made?.idev.dev.group === null) {
        const { id: stdevId } = made;
        const [pasid, hwptId] = [1, 0];
        io.mock.pasidCheckHwpt({ stdevId, pasid, hwptId });
        return;
      }
      if (made) io.destroy(made.id);
    }
    throw new Error("no device was left without an IOMMU");
  });
});

describe("IOAS_NOIOMMU_GET_PA", () => {
  it("tells contiguous memory up to the end of the area, or as much as asked for", () => {
    const bare = new Bare();
    const idev = bare.bind();
    idev.attach(bare.ioasId);
    const length = 4 * SIZE;
    const { dmabufFd: fd } = bare.io.mock.dmabufGet({ length });
    const { ioasId } = bare;
    bare.io.ioasMapFile({ ioasId, fd, length, iova: IOVA });
    const [phys, all] = bare.ask(IOVA, 2n ** 64n - 1n);
    assertEquals(all, BigInt(length));
    assertEquals(bare.ask(IOVA, 1), [phys, 1n]);
    assertEquals(bare.ask(IOVA, SIZE + 1), [phys, BigInt(SIZE + 1)]);
    const inner = BigInt(SIZE + 5);
    assertEquals(bare.ask(IOVA + SIZE + 5, length), [
      phys + inner,
      BigInt(length) - inner,
    ]);
    assertEquals(bare.ask(IOVA + length - 1, 9), [
      phys + BigInt(length - 1),
      1n,
    ]);
    assertEquals(bare.refused({ iova: IOVA + length }), "ENOENT");
    bare.io.mock.dmabufRevoke({ dmabufFd: fd, revoked: true });
    assertEquals(bare.refused(), "EINVAL");
    idev.detach();
    idev.unbind();
    bare.end();
  });

  it("looks at what it is asked in this order", () => {
    const { machine, ioasId } = new Bare();
    const wrong = {
      flags: 1,
      reserved: 1,
      length: 0n,
      iova: 2n ** 64n - 1n,
      ioasId: 99,
    };
    const ask = (values: Partial<uapi.IommuIoasNoiommuGetPa>) =>
      machine.call(
        uapi.IOMMU_IOAS_NOIOMMU_GET_PA,
        uapi.IommuIoasNoiommuGetPa,
        { ...wrong, ...values },
      ).ret;
    assertEquals(ask({}), "EOPNOTSUPP");
    assertEquals(ask({ flags: 0 }), "EOPNOTSUPP");
    const known = { flags: 0, reserved: 0 };
    assertEquals(ask(known), "EINVAL");
    assertEquals(ask({ ...known, length: 1n }), "EOVERFLOW");
    const placed = { ...known, length: 1n, iova: 0n };
    assertEquals(ask(placed), "ENOENT");
    assertEquals(ask({ ...placed, ioasId }), "ENOENT");
    machine.process.dropCapability(uapi.CAP_SYS_RAWIO);
    assertEquals(ask({}), "EPERM");
  });

  it("tells a run of more than a huge page at once", () => {
    const bare = new Bare();
    const idev = bare.bind();
    idev.attach(bare.ioasId);
    const length = 2 ** 21;
    const { dmabufFd: fd } = bare.io.mock.dmabufGet({ length });
    const { ioasId } = bare;
    for (const iova of [IOVA, IOVA + length]) {
      bare.io.ioasMapFile({ ioasId, fd, length, iova });
      const [phys, all] = bare.ask(iova, length + SIZE);
      assertEquals(all, BigInt(length));
      const inner = 300 * SIZE + 7;
      assertEquals(bare.ask(iova + inner, 2 ** 22), [
        phys + BigInt(inner),
        BigInt(length - inner),
      ]);
    }
    idev.detach();
    idev.unbind();
    bare.end();
  });

  it("tells each page of scattered memory for itself, whichever way it was mapped", () => {
    for (const before of [true, false]) {
      const bare = new Bare();
      const idev = bare.bind();
      if (before) idev.attach(bare.ioasId);
      const userVa = bare.map(8);
      // Backwards, so that no two frames go on.
      for (let page = 7; page >= 0; page--) bare.phys(userVa + page * SIZE);
      if (!before) idev.attach(bare.ioasId);
      for (let at = 0; at < 8 * SIZE;) {
        const [phys, length] = bare.ask(IOVA + at, 8 * SIZE - at);
        for (let done = 0; done < Number(length); done += SIZE) {
          assertEquals(bare.phys(userVa + at + done), phys + BigInt(done));
        }
        at += Number(length);
      }
      idev.detach();
      idev.unbind();
      bare.end();
    }
  });

  it("knows as many devices of an IOAS as there are, and none in the end", () => {
    const bare = new Bare();
    bare.map(1);
    assertEquals(bare.refused(), "EOPNOTSUPP");
    const [a, b] = [bare.bind("a"), bare.bind("b")];
    assertEquals(a.attach(bare.ioasId), b.attach(bare.ioasId));
    const { ctx } = bare.machine;
    const hwpts = [...ctx.objects].filter((one) => one instanceof HwptPaging);
    assertInstanceOf(hwpts[0]!.domain, NoIommuDomain);
    assertEquals(hwpts.length, 1);
    a.detach();
    assertEquals(bare.refused(), "ok");
    b.detach();
    assertEquals(bare.refused(), "EOPNOTSUPP");
    for (const one of [a, b]) one.unbind();
    bare.end();
  });

  it("is for the domain that remembers the frames, and for those who may", () => {
    const bare = new Bare();
    const { io, ioasId: ptId } = bare;
    const { stdevId } = io.mock.mockDomain({ ptId });
    io.ioasMap({
      ioasId: ptId,
      userVa: bare.machine.memory(1),
      length: SIZE,
      iova: uapi.MOCK_APERTURE_START,
    });
    const options = { iova: uapi.MOCK_APERTURE_START };
    const idev = bare.bind();
    const { hwptId } = io.hwpt.alloc({ devId: idev.id, ptId });
    idev.attach(hwptId);
    assertEquals(bare.refused(options), "EOPNOTSUPP");
    io.destroy(stdevId);
    assertEquals(bare.refused(options), "ok");
    bare.process.dropCapability(uapi.CAP_SYS_RAWIO);
    assertEquals(bare.refused(options), "EPERM");
    idev.detach();
    idev.unbind();
    bare.end();
  });
});
