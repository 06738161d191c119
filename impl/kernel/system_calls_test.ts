// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../kernel.ts";
import { errnoName } from "../uapi/errno.ts";
import { IOMMU_IOAS_ALLOC, IommuIoasAlloc } from "../uapi/iommufd.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  O_RDONLY,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { User } from "./credentials.ts";
import { FdTable } from "./files/fd_table.ts";
import { SystemCalls } from "./system_calls.ts";
import { RemoteMachine } from "./testing/remote/machine.ts";
import type { RemoteMemory } from "./testing/remote/memory.ts";

/** A task that is no simulated process, as one for a real process would be. */
class GuestTask extends SystemCalls {
  readonly mm: RemoteMemory;
  readonly user: User = new User(1000);

  constructor(kernel: Kernel, pid: number, mm: RemoteMemory) {
    super(kernel, pid, new FdTable());
    this.mm = mm;
  }

  capable(): boolean {
    return false;
  }

  rlimit(): bigint {
    return 64n;
  }

  protected override releaseMemory(): void {
    this.mm.release();
  }
}

describe("a task that is no simulated process", () => {
  it("makes the calls on descriptors, known to the kernel until it exits", () => {
    const machine = new RemoteMachine();
    const kernel = new Kernel({ machine });
    const mm = machine.createMm(() => {});
    const task = new GuestTask(kernel, 4711, mm);
    kernel.addTask(task);
    assertEquals([...kernel.tasks], [task]);
    assertEquals(kernel.processes.size, 0);

    const fd = task.open("/dev/iommu");
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const args = { addr: 0, length: PAGE_SIZE, fd: -1, offset: 0 };
    const at = mm.mmap(task, { ...args, prot, flags });
    mm.poke(at, IommuIoasAlloc.encode({}));
    assertEquals(task.ioctl(fd, IOMMU_IOAS_ALLOC, at), 0);
    const struct = new Uint8Array(IommuIoasAlloc.size);
    mm.peek(at, struct);
    assertEquals(IommuIoasAlloc.decode(struct).outIoasId, 1);
    assertEquals(errnoName(task.ioctl(fd, IOMMU_IOAS_ALLOC, 0)), "EFAULT");
    assertEquals(kernel.current, undefined);

    assertEquals(kernel.audit()[0], "Process 4711 has not exited.");
    task.exit();
    assertEquals(errnoName(task.close(fd)), "ESRCH");
    assertEquals([...kernel.tasks], []);
    assertEquals(kernel.audit(), []);
  });

  it("opens what others than the kernel know the path of, with the steps of open", () => {
    const machine = new RemoteMachine();
    const kernel = new Kernel({ machine });
    const task = new GuestTask(kernel, 4711, machine.createMm(() => {}));
    const find = () => kernel.devices.get("/dev/iommu")!(task, O_RDONLY);
    const names: string[] = [];
    task.faults.onStep = (name) => names.push(name);
    task.faults.nth = 100;
    const fd = task.openWith(O_RDONLY, find);
    assertEquals(task.files.lookup(fd).access, O_RDONLY);
    assertEquals(names, [
      "open.name",
      "open.copy",
      "file.alloc",
      "iommufd.open",
    ]);
    task.faults.nth = 3;
    assertEquals(errnoName(task.openWith(O_RDONLY, find)), "ENOMEM");
    task.exit();
    assertEquals(kernel.audit(), []);
  });
});
