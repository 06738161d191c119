// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Viommu, ViommuOps } from "../../iommu/viommu/viommu.ts";
import { EPERM } from "../../uapi/errno.ts";
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_FAULT_ID_VALID,
  IommuFaultAlloc,
  IommufdVeventHeader,
} from "../../uapi/iommufd.ts";
import { PAGE_SIZE, PROT_READ } from "../../uapi/mman.ts";
import { IommufdDevice } from "../attach/device.ts";
import { Bench } from "../testing/bench.ts";
import { IOVA, outcome, PAGE } from "../testing/machine.ts";
import { ViommuBench } from "../testing/viommu_bench.ts";
import { IommufdHwQueue } from "./hw_queue.ts";
import { Veventq } from "./veventq.ts";
import { IommufdViommu } from "./viommu.ts";

/** The virtual IOMMU of a bench, as the driver has it. */
function viommuOf(bench: ViommuBench): IommufdViommu {
  return bench.machine.ctx.objects.get(bench.viommu, IommufdViommu);
}

/** Ends a bench; nothing may be left but what is said. */
function end(bench: ViommuBench, warnings: readonly string[] = []): void {
  bench.machine.end(warnings);
}

describe("a vIOMMU as its driver sees it", () => {
  it("knows its devices by number and its numbers by device", () => {
    const bench = new ViommuBench();
    bench.vdeviceAlloc({ virtId: 2n ** 64n - 1n });
    const viommu = viommuOf(bench);
    const dev = viommu.findDevice(2n ** 64n - 1n)!;
    assertEquals(dev.name, "iommufd_mock0");
    assertEquals(viommu.virtIdOf(dev), 2n ** 64n - 1n);
    assertEquals(viommu.findDevice(1n), undefined);
    viommu.put();
    end(bench);
  });

  it("takes memory to map in whole pages only, and warns of what it has not", () => {
    const bench = new ViommuBench();
    const viommu: Viommu & IommufdViommu = viommuOf(bench);
    const memory = bench.machine.kernel.machine.createObject();
    for (const length of [0, -PAGE_SIZE, 1, PAGE_SIZE + 1]) {
      assertEquals(
        outcome(() => viommu.allocMmap(memory, length)),
        "EINVAL",
      );
    }
    const lengths = [1, 2, 1].map((pages) => pages * PAGE_SIZE);
    const offsets = lengths.map((length) => viommu.allocMmap(memory, length));
    assertEquals(offsets.map((at) => at / PAGE_SIZE), [1, 2, 4]);
    viommu.destroyMmap(2 * PAGE_SIZE);
    // What does not fit into the hole comes behind.
    assertEquals(viommu.allocMmap(memory, 3 * PAGE_SIZE), 5 * PAGE_SIZE);
    assertEquals(viommu.allocMmap(memory, PAGE_SIZE), 2 * PAGE_SIZE);
    for (const page of [1, 2, 4, 5]) viommu.destroyMmap(page * PAGE_SIZE);
    viommu.destroyMmap(PAGE_SIZE);
    memory.put();
    viommu.put();
    end(bench, [
      "iommufd: a driver gives back memory at 4096 that it has not registered",
    ]);
  });

  it("takes no event of no bytes: EINVAL, and a warning", () => {
    const bench = new ViommuBench();
    const viommu = viommuOf(bench);
    assertEquals(
      outcome(() => viommu.reportEvent(1, new Uint8Array())),
      "EINVAL",
    );
    viommu.put();
    end(bench, ["iommufd: a driver reports an event of no bytes"]);
  });

  it("keeps what a driver reported, whatever becomes of the driver's bytes", () => {
    const bench = new ViommuBench();
    const { machine } = bench;
    const fd = bench.veventqAlloc({ type: 5 }).outVeventqFd;
    const viommu = viommuOf(bench);
    const data = Uint8Array.of(1, 2, 3);
    viommu.reportEvent(5, data);
    data.fill(9);
    viommu.put();
    const bytes = new Uint8Array(16);
    assertEquals(machine.process.read(fd, bytes), 11);
    assertEquals([...bytes.subarray(8, 11)], [1, 2, 3]);
    machine.process.close(fd);
    end(bench);
  });
});

describe("a queue of events", () => {
  /** A queue with the device attached. */
  function reporting(depth = 2) {
    const bench = new ViommuBench();
    bench.vdeviceAlloc();
    bench.attachNested();
    const { outVeventqId: id, outVeventqFd: fd } = bench.veventqAlloc({
      veventqDepth: depth,
    });
    return { bench, id, fd, process: bench.machine.process };
  }

  it("begins with 0 again after number 2^31-1", () => {
    const { bench, id, fd, process } = reporting();
    const queue = bench.machine.ctx.objects.get(id, Veventq);
    queue.sequence = 2 ** 31 - 1;
    queue.put();
    bench.trigger();
    bench.trigger();
    const bytes = new Uint8Array(24);
    assertEquals(process.read(fd, bytes), 24);
    const numbers = [0, 12].map((at) =>
      IommufdVeventHeader.decode(bytes.subarray(at)).sequence
    );
    assertEquals(numbers, [2 ** 31 - 1, 0]);
    process.close(fd);
    end(bench);
  });

  it("keeps an event that cannot be stored: EFAULT, unless one was stored before", () => {
    const { bench, fd, process } = reporting();
    bench.trigger();
    bench.trigger();
    const memory = bench.machine.memory(2);
    process.mprotect(memory + PAGE_SIZE, PAGE_SIZE, PROT_READ);
    const readTo = (address: number) => process.readTo(fd, address, 64);
    assertEquals(readTo(memory + PAGE_SIZE), -14);
    // The header fits, the event does not.
    assertEquals(readTo(memory + PAGE_SIZE - 8), -14);
    assertEquals(readTo(memory + PAGE_SIZE - 12), 12);
    assertEquals(readTo(memory + PAGE_SIZE), -14);
    assertEquals(readTo(memory), 12);
    assertEquals(readTo(memory), 0);
    process.close(fd);
    end(bench);
  });

  it("loses an event for which there is no memory: ENOMEM, and says so", () => {
    const { bench, fd, process } = reporting();
    for (let nth = 1;; nth++) {
      process.setFailNth(nth);
      const ret = bench.trigger();
      const left = process.failNthLeft();
      process.setFailNth(0);
      if (ret === "ENOMEM") break;
      assertEquals(left, 0);
    }
    const bytes = new Uint8Array(64);
    const got = process.read(fd, bytes);
    const last = IommufdVeventHeader.decode(bytes.subarray(got - 8));
    assertEquals(last.flags, 1);
    process.close(fd);
    end(bench);
  });

  it("tells those who poll", () => {
    const { bench, fd, process } = reporting();
    let woken = 0;
    const forget = process.files.lookup(fd).onPollChange(() => woken++);
    bench.trigger();
    assertEquals(woken, 1);
    process.read(fd, new Uint8Array(64));
    assertEquals(woken, 2);
    forget();
    process.close(fd);
    end(bench);
  });
});

describe("a hardware queue", () => {
  it("does not depend on itself: EINVAL", () => {
    const bench = new ViommuBench();
    const { machine } = bench;
    machine.map({ ioasId: bench.ioas, userVa: BigInt(machine.memory(1)) });
    const id = bench.hwQueueAlloc().outHwQueueId;
    const queue = machine.ctx.objects.get(id, IommufdHwQueue);
    assertEquals(outcome(() => queue.depend(queue)), "EINVAL");
    queue.put();
    end(bench);
  });

  it("is at the address that the parent translates to", () => {
    const bench = new ViommuBench();
    const { machine } = bench;
    machine.map({ ioasId: bench.ioas, userVa: BigInt(machine.memory(1)) });
    const viommu = viommuOf(bench);
    const { hwQueueInitPhys } = viommu.ops;
    const queue = {
      type: 0xdeadbeef,
      baseAddr: IOVA + 5n,
      length: PAGE,
      depend() {},
      undepend() {},
    };
    assertEquals(
      outcome(() => hwQueueInitPhys!.call(viommu.ops, queue, 0, 5)),
      "EFAULT",
    );
    viommu.put();
    end(bench);
  });
});

describe("a device of a vIOMMU", () => {
  it("reports where it did when an attach fails for want of page faults", () => {
    const bench = new ViommuBench();
    const { machine } = bench;
    bench.vdeviceAlloc();
    const fault = machine.call(IOMMU_FAULT_QUEUE_ALLOC, IommuFaultAlloc);
    machine.process.close(fault.outFaultFd);
    const hwpt = bench.alloc({
      ptId: bench.viommu,
      ...bench.data(),
      flags: IOMMU_HWPT_FAULT_ID_VALID,
      faultId: fault.outFaultId,
    }).outHwptId;
    let failed = 0;
    for (let nth = 1;; nth++) {
      machine.process.setFailNth(nth);
      const ret = bench.replace(hwpt);
      const left = machine.process.failNthLeft();
      machine.process.setFailNth(0);
      if (ret === 0 && left > 0) break;
      if (ret === 0) {
        // The answer got lost, not the attachment.
        bench.replace(bench.ioas);
        continue;
      }
      failed++;
      const attached = bench.trigger() === "EOPNOTSUPP";
      if (attached) bench.replace(bench.ioas);
      else assertEquals(bench.trigger(), "ENOENT");
    }
    assertEquals(failed > 1, true);
    end(bench);
  });

  it("has a cache of four words", () => {
    const bench = new ViommuBench();
    assertEquals(bench.checkCache(0, 0xbaddad), 0);
    assertEquals(bench.checkCache(4, 0), "EINVAL");
    assertEquals(bench.checkCache(0, 0), "EINVAL");
    end(bench);
  });
});

describe("another driver", () => {
  /** A virtual IOMMU of the mock, and a device behind another IOMMU; its id. */
  function withOther(viommuOps?: ViommuOps) {
    const { machine, ops, c } = new Bench();
    if (viommuOps !== undefined) {
      Object.assign(ops, {
        hasViommu: () => true,
        viommuInit: () => viommuOps,
      });
    }
    const bench = new ViommuBench(machine);
    const idev = IommufdDevice.bindDevice(machine.ctx, c);
    return { bench, idev, devId: idev.id };
  }

  it("has no vIOMMU unless it says so, and no device in the mock's", () => {
    const { bench, idev, devId } = withOther();
    assertEquals(bench.viommuAlloc({ devId }).ret, "EOPNOTSUPP");
    assertEquals(bench.vdeviceAlloc({ devId }).ret, "EINVAL");
    const nested = bench.alloc({ ptId: bench.viommu, ...bench.data(), devId });
    assertEquals(nested.ret, "EINVAL");
    assertEquals(bench.checkCache(0, 0xbaddad, devId), "EINVAL");
    assertEquals(bench.trigger(devId), "EINVAL");
    idev.unbind();
    end(bench);
  });

  it("need not implement anything but the vIOMMU itself", () => {
    const { bench, idev, devId } = withOther({});
    const { machine } = bench;
    machine.map({ ioasId: bench.ioas, userVa: BigInt(machine.memory(1)) });
    const viommuId = bench.viommuAlloc({ devId }).outViommuId;
    const values = { ptId: viommuId, ...bench.data(), devId };
    assertEquals(bench.alloc(values).ret, "EOPNOTSUPP");
    assertEquals(bench.invalidate(viommuId, []).ret, "EOPNOTSUPP");
    assertEquals(bench.hwQueueAlloc({ viommuId }).ret, "EOPNOTSUPP");
    assertEquals(bench.vdeviceAlloc({ viommuId, devId }).ret, 0);
    idev.unbind();
    end(bench);
  });

  it("can refuse a device, and is told when one goes", () => {
    const log: string[] = [];
    const ops: ViommuOps = {
      vdeviceInit({ dev, virtId }) {
        if (virtId === 1n) throw EPERM;
        log.push(`${dev.name} comes as ${virtId}`);
        return () => log.push(`${virtId} goes`);
      },
      destroy: () => void log.push("all goes"),
    };
    const { bench, idev, devId } = withOther(ops);
    const viommuId = bench.viommuAlloc({ devId }).outViommuId;
    const alloc = (virtId: bigint) =>
      bench.vdeviceAlloc({ viommuId, devId, virtId });
    assertEquals(alloc(1n).ret, "EPERM");
    const { outVdeviceId } = alloc(2n);
    assertEquals(bench.machine.destroy(outVdeviceId), 0);
    assertEquals(alloc(3n).ret, 0);
    idev.unbind();
    assertEquals(bench.machine.destroy(viommuId), 0);
    assertEquals(log, [
      "c comes as 2",
      "2 goes",
      "c comes as 3",
      "3 goes",
      "all goes",
    ]);
    end(bench);
  });

  it("is not given a device that is just being unbound: ENOENT", () => {
    let ret: string | number = "";
    const ops: ViommuOps = {
      vdeviceInit: () => () => {
        ret = other.bench.vdeviceAlloc({
          viommuId,
          devId: other.devId,
          virtId: 9n,
        }).ret;
      },
    };
    const other = withOther(ops);
    const { bench, idev, devId } = other;
    const viommuId = bench.viommuAlloc({ devId }).outViommuId;
    assertEquals(bench.vdeviceAlloc({ viommuId, devId }).ret, 0);
    idev.unbind();
    assertEquals(ret, "ENOENT");
    end(bench);
  });
});
