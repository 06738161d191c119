// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { reportDeviceFault } from "../../iommu/page_fault.ts";
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_FAULT_ID_VALID,
  IommuFaultAlloc,
} from "../../uapi/iommufd.ts";
import {
  IOMMU_TEST_OP_TRIGGER_IOPF,
  TestTriggerIopf,
} from "../../uapi/selftest.ts";
import {
  PAGE_SIZE,
  POLLIN,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_NOFILE,
} from "../../uapi/mman.ts";
import { HwPagetable } from "../hwpt/hw_pagetable.ts";
import { IommufdFault } from "./fault.ts";
import { Bench } from "../testing/bench.ts";
import { FaultBench } from "../testing/fault_bench.ts";
import { IOVA, Machine } from "../testing/machine.ts";

describe("FAULT_QUEUE_ALLOC", () => {
  it("makes an object, and a descriptor that is a user of it and of the context", () => {
    const bench = new FaultBench();
    const { contexts } = bench.kernel.iommufd;
    const { id, fd } = bench.queue();
    assertEquals([id, fd], [2, 4]);
    assertEquals(bench.destroy(id), "EBUSY");
    const copy = bench.process.dup(fd);
    bench.process.close(fd);
    assertEquals(bench.destroy(id), "EBUSY");
    bench.process.close(copy);
    assertEquals(bench.destroy(id), 0);
    assertEquals(bench.destroy(id), "ENOENT");

    const queue = bench.queue();
    bench.process.close(bench.fd);
    assertEquals(contexts.size, 1);
    bench.process.close(queue.fd);
    assertEquals(contexts.size, 0);
    bench.end();
  });

  it("knows no flags: EOPNOTSUPP", () => {
    const bench = new FaultBench();
    assertEquals(bench.queueAlloc({ flags: 1 }).ret, "EOPNOTSUPP");
    assertEquals(bench.queueAlloc({ flags: 2 ** 31 }).ret, "EOPNOTSUPP");
    assertEquals(bench.queueAlloc().outFaultId, 2);
    bench.end();
  });

  it("leaves nothing behind without a free descriptor: EMFILE", () => {
    const bench = new FaultBench();
    bench.process.setrlimit(RLIMIT_NOFILE, 4n);
    assertEquals(bench.queueAlloc().ret, "EMFILE");
    assertEquals(bench.ctx.refs, 1);
    bench.process.setrlimit(RLIMIT_NOFILE, 1024n);
    assertEquals(bench.queue(), { id: 2, fd: 4 });
    bench.end();
  });

  it("leaves nothing behind when it cannot answer: EFAULT", () => {
    const bench = new FaultBench();
    const at = bench.memory(1);
    bench.process.poke(at, IommuFaultAlloc.encode());
    bench.process.mprotect(at, PAGE_SIZE, PROT_READ);
    assertEquals(bench.callArg(IOMMU_FAULT_QUEUE_ALLOC, at), "EFAULT");
    assertEquals(bench.process.files.get(4), undefined);
    assertEquals(bench.ctx.refs, 1);
    bench.process.mprotect(at, PAGE_SIZE, PROT_READ | PROT_WRITE);
    assertEquals(bench.callArg(IOMMU_FAULT_QUEUE_ALLOC, at), 0);
    const { outFaultId, outFaultFd } = IommuFaultAlloc.decode(
      bench.process.peek(at, IommuFaultAlloc.size),
    );
    assertEquals([outFaultId, outFaultFd], [2, 4]);
    bench.end();
  });

  it("leaves nothing behind without memory: ENOMEM", () => {
    const bench = new FaultBench();
    const errnos: (string | number)[] = [];
    for (let nth = 1;; nth++) {
      bench.process.setFailNth(nth);
      const { ret } = bench.queueAlloc();
      const hit = bench.process.failNthLeft() === 0;
      bench.process.setFailNth(0);
      if (!hit) {
        assertEquals(ret, 0);
        break;
      }
      errnos.push(ret);
      assertEquals(bench.ctx.refs, 1);
      assertEquals([...bench.ctx.objects].length, 1);
    }
    // The struct, the object, two allocations of the file, the answer.
    assertEquals(errnos, ["EFAULT", "ENOMEM", "ENOMEM", "ENOMEM", "EFAULT"]);
    bench.end();
  });

  it("is not in v3, nor is TRIGGER_IOPF", () => {
    const machine = new Machine("v3");
    const alloc = machine.call(IOMMU_FAULT_QUEUE_ALLOC, IommuFaultAlloc);
    assertEquals(alloc.ret, "ENOTTY");
    const trigger = machine.test(
      IOMMU_TEST_OP_TRIGGER_IOPF,
      TestTriggerIopf,
      {},
    );
    assertEquals(trigger.ret, "EOPNOTSUPP");
    machine.end();
  });
});

describe("a HWPT with a fault queue", () => {
  for (const [name, answer] of [["6.12", "EOPNOTSUPP"], ["7.3", 0]] as const) {
    it(`is no nesting parent, and in ${name} a HWPT of an IOAS is ${answer}`, () => {
      const bench = new FaultBench(name);
      const queue = bench.queue();
      const device = bench.device();
      const alloc = (flags: number) =>
        bench.hwptAlloc(device, {
          ptId: bench.ioasId,
          dataType: 0,
          dataLen: 0,
          faultId: queue.id,
          flags: flags | IOMMU_HWPT_FAULT_ID_VALID,
        });
      assertEquals(alloc(IOMMU_HWPT_ALLOC_NEST_PARENT).ret, "EOPNOTSUPP");
      const { ret, outHwptId } = alloc(0);
      assertEquals(ret, answer);
      if (ret === 0) assertEquals(bench.destroy(outHwptId), 0);
      bench.process.close(queue.fd);
      assertEquals(bench.destroy(queue.id), 0);
      bench.end();
    });
  }

  it("hands out the faults of a HWPT of an IOAS, but for PASIDs", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.device();
    const { outHwptId } = bench.hwptAlloc(device, {
      ptId: bench.ioasId,
      dataType: 0,
      dataLen: 0,
      faultId: queue.id,
      flags: IOMMU_HWPT_FAULT_ID_VALID,
    });
    assertEquals(bench.replace(device, outHwptId), 0);
    bench.trigger(device.idev, { grpid: 2, addr: 7n });
    // The user's own table of PASIDs belongs to a nested domain.
    bench.trigger(device.idev, { grpid: 3, pasid: 1, addr: 8n });
    assertEquals(bench.summary(queue), ["1:2:7"]);
    assertEquals(bench.answers, ["0:3:1"]);
    assertEquals(bench.replace(device, bench.ioasId), 0);
    assertEquals(bench.answers, ["0:3:1", "0:2:1"]);
    bench.end();
  });

  it("uses the queue until it is destroyed", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.device();
    const hwpts = [bench.hwpt(device, queue), bench.hwpt(device, queue)];
    bench.process.close(queue.fd);
    assertEquals(bench.destroy(queue.id), "EBUSY");
    assertEquals(bench.destroy(hwpts[0]!), 0);
    assertEquals(bench.destroy(queue.id), "EBUSY");
    assertEquals(bench.destroy(hwpts[1]!), 0);
    assertEquals(bench.destroy(queue.id), 0);
    bench.end();
  });

  it("needs the id of a queue with the flag, and ignores it without", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.device();
    const expected = bench.hwpt(device);
    assertEquals(bench.destroy(expected), 0);
    for (const faultId of [0, 99, bench.ioasId, device.idev]) {
      const flags = IOMMU_HWPT_FAULT_ID_VALID;
      const { ret } = bench.hwptAlloc(device, { flags, faultId });
      assertEquals(ret, "ENOENT");
    }
    const ignored = bench.hwptAlloc(device, { faultId: 99 });
    assertEquals([ignored.ret, ignored.outHwptId], [0, expected]);
    const hwpt = bench.ctx.objects.get(expected, HwPagetable);
    assertEquals(hwpt.fault, undefined);
    hwpt.put();
    assertEquals(bench.hwptAlloc(device, { faultId: queue.id }).ret, 0);
    bench.process.close(queue.fd);
    assertEquals(bench.destroy(queue.id), 0);
    bench.end();
  });
});

describe("TRIGGER_IOPF", () => {
  it("makes a device report one request that is a group", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.faulting(queue);
    const values = { pasid: 1, grpid: 2, perm: 3, addr: 0xdeadbeafn };
    assertEquals(bench.trigger(device.idev, values), 0);
    const record = {
      ...values,
      flags: 3,
      devId: device.idev,
      reserved: 0,
      length: 0,
      cookie: 1,
    };
    assertEquals(bench.read(queue), [record]);
    assertEquals(bench.trigger(device.idev, { ...values, pasid: 0 }), 0);
    const second = { ...record, pasid: 0, flags: 2, cookie: 2 };
    assertEquals(bench.read(queue), [second]);
    bench.end();
  });

  it("does not tell that nobody handled it; the driver answers INVALID", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.device();
    const plain = bench.hwpt(device);
    assertEquals(bench.trigger(device.idev, { grpid: 5 }), 0);
    assertEquals(bench.replace(device, plain), 0);
    assertEquals(bench.trigger(device.idev, { grpid: 6 }), 0);
    assertEquals(bench.answers, ["0:5:1", "0:6:1"]);
    assertEquals(bench.read(queue), []);
    bench.end();
  });

  it("needs a device, which is a mock one", () => {
    const bench = new Bench();
    const { machine } = bench;
    const idev = bench.bind(bench.a);
    for (const [devId, errno] of [[idev.id, "EINVAL"], [99, "ENOENT"]]) {
      const { ret } = machine.test(
        IOMMU_TEST_OP_TRIGGER_IOPF,
        TestTriggerIopf,
        { devId: Number(devId) },
      );
      assertEquals(ret, errno);
    }
    idev.unbind();
    bench.end();
  });
});

describe("the end of an attachment", () => {
  it("answers its unread faults, then its unanswered ones, and no others", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const [a, b] = [bench.faulting(queue), bench.faulting(queue)];
    for (const grpid of [1, 2]) {
      bench.report(a, grpid, [1n]);
      bench.report(b, grpid, [1n]);
    }
    // Two of each are read, as cookies 1 to 4.
    assertEquals((bench.read(queue) as unknown[]).length, 4);
    for (const grpid of [3, 4]) {
      bench.report(a, grpid, [1n]);
      bench.report(b, grpid, [1n]);
    }
    assertEquals(bench.replace(a, bench.ioasId), 0);
    assertEquals(bench.answers, ["0:3:1", "0:4:1", "0:1:1", "0:2:1"]);
    assertEquals(bench.answer(queue, { cookie: 1 }), "EINVAL");
    assertEquals(bench.answer(queue, { cookie: 2 }, { cookie: 4 }), 16);
    // The cookies of the answered ones are free: 1 to 4.
    assertEquals(bench.summary(queue), ["1:3:1", "2:4:1"]);
    bench.end();
  });

  it("is also detaching and destroying the device", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.faulting(queue);
    bench.report(device, 7, [1n]);
    bench.report(device, 8, [1n]);
    assertEquals(bench.summary(queue, 40), ["1:7:1"]);
    assertEquals(bench.destroy(device.hwpt), "EBUSY");
    assertEquals(bench.destroy(device.stdev), 0);
    assertEquals(bench.answers, ["0:8:1", "0:7:1"]);
    assertEquals(bench.process.poll(queue.fd, POLLIN), 0);
    assertEquals(bench.answer(queue, { cookie: 1 }), "EINVAL");
    assertEquals(bench.destroy(device.hwpt), 0);
    bench.end();
  });

  it("is replacing by a HWPT with the same queue as well", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.faulting(queue);
    const next = bench.hwpt(device, queue);
    bench.report(device, 1, [1n]);
    assertEquals(bench.replace(device, next), 0);
    assertEquals(bench.answers, ["0:1:1"]);
    bench.report(device, 2, [2n]);
    assertEquals(bench.summary(queue), ["1:2:2"]);
    // Nothing happens when it stays where it is.
    assertEquals(bench.replace(device, next), 0);
    assertEquals(bench.answers, ["0:1:1"]);
    assertEquals(bench.answer(queue, { cookie: 1 }), 8);
    bench.end();
  });

  it("is not a replace that fails", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.faulting(queue);
    bench.report(device, 1, [1n]);
    const other = bench.ioas();
    const at = BigInt(bench.memory(1));
    // No device can be attached where its IOMMU cannot map.
    bench.map({ ioasId: other, userVa: at, iova: IOVA - 0x100000n });
    assertEquals(bench.replace(device, other), "EADDRINUSE");
    const next = bench.hwpt(device, queue);
    // The last is the attachment's handle; the answer comes after the replace.
    for (const nth of [1, 2, 3, 4]) {
      bench.process.setFailNth(nth);
      assertNotEquals(bench.replace(device, next), 0);
      assertEquals(bench.process.failNthLeft(), 0);
    }
    assertEquals(bench.answers, []);
    assertEquals(bench.summary(queue), ["1:1:1"]);
    assertEquals(bench.destroy(device.hwpt), "EBUSY");
    assertEquals(bench.replace(device, next), 0);
    bench.end();
  });

  it("drops requests whose group is not complete once nothing handles faults", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.faulting(queue);
    const next = bench.hwpt(device, queue);
    const incomplete = { flags: 0, pasid: 0, grpid: 1, perm: 1, addr: 5n };
    reportDeviceFault(device.dev, incomplete);
    // Still with the device after a replace between HWPTs with faults.
    assertEquals(bench.replace(device, next), 0);
    bench.report(device, 1, [6n]);
    assertEquals(bench.summary(queue), ["1:1:5", "1:1:6"]);
    reportDeviceFault(device.dev, incomplete);
    assertEquals(bench.replace(device, bench.ioasId), 0);
    assertEquals(bench.replace(device, next), 0);
    bench.report(device, 1, [7n]);
    assertEquals(bench.summary(queue), ["1:1:7"]);
    assertEquals(bench.answers, ["0:1:1"]);
    bench.end();
  });
});

describe("the end of a fault queue", () => {
  it("comes with that of its context, whichever descriptor is closed last", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.faulting(queue);
    bench.report(device, 1, [1n]);
    bench.report(device, 2, [2n]);
    bench.process.close(bench.fd);
    // The device is attached and may go on faulting.
    assertEquals(bench.kernel.iommufd.contexts.size, 1);
    assertEquals(bench.summary(queue, 40), ["1:1:1"]);
    assertEquals(bench.answer(queue, { cookie: 1 }), 8);
    assertEquals(bench.answers, ["0:1:0"]);
    bench.process.close(queue.fd);
    assertEquals(bench.answers, ["0:1:0", "0:2:1"]);
    assertEquals(bench.kernel.iommufd.contexts.size, 0);
    assertEquals(bench.kernel.mock.devices.size, 0);
    bench.end();
  });

  it("does not come while a child has the descriptor", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.faulting(queue);
    bench.report(device, 1, [1n]);
    const child = bench.process.fork();
    bench.process.exit();
    assertEquals(bench.answers, []);
    const into = new Uint8Array(40);
    assertEquals(child.read(queue.fd, into), 40);
    child.exit();
    assertEquals(bench.answers, ["0:1:1"]);
    bench.end();
  });

  it("answers whatever is left", () => {
    const bench = new FaultBench();
    const queue = bench.queue();
    const device = bench.faulting(queue);
    for (const grpid of [1, 2]) bench.report(device, grpid, [1n]);
    assertEquals(bench.summary(queue, 40), ["1:1:1"]);
    const fault = bench.ctx.objects.get(queue.id, IommufdFault);
    fault.put();
    // User space cannot get there: attached HWPTs hold the queue.
    fault.destroy();
    assertEquals(bench.answers, ["0:2:1", "0:1:1"]);
    assertEquals(fault.unanswered.isEmpty, true);
    assertEquals(bench.read(queue), []);
    bench.end();
  });
});
