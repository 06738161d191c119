// SPDX-License-Identifier: GPL-2.0-only

import {
  assertEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { makeFrameList } from "../../lib/frame_list.ts";
import { EINVAL, ENOSPC, errnoName, ESRCH } from "../../uapi/errno.ts";
import {
  CAP_IPC_LOCK,
  F_GETFD,
  FD_CLOEXEC,
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  O_CLOEXEC,
  O_RDWR,
  O_WRONLY,
  PAGE_SIZE,
  POLLIN,
  POLLNVAL,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_MEMLOCK,
  RLIMIT_NOFILE,
} from "../../uapi/mman.ts";
import { KernelCore } from "../core.ts";
import { File } from "../files/file.ts";
import { SegmentationFault } from "../interfaces/process_memory.ts";
import type { Process } from "./process.ts";
import { KernelBug } from "../warn.ts";

/** A device whose ioctl is given by the test, and which notes its release. */
class TestDevice extends File {
  handler: (process: Process, cmd: number, arg: number | bigint) => number =
    () => 0;
  onRelease: () => void = () => {};
  override ioctl(
    process: Process,
    cmd: number,
    arg: number | bigint,
  ): number {
    return this.handler(process, cmd, arg);
  }
  protected override release(): void {
    this.onRelease();
  }
}

function setup() {
  const kernel = new KernelCore({ memory: 2 ** 26 });
  const process = kernel.spawn();
  const device = new TestDevice();
  kernel.registerDevice("/dev/test", () => device);
  return { kernel, process, device };
}

describe("addresses and lengths", () => {
  it("are numbers or bigints", () => {
    const { process } = setup();
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const length = 4n * BigInt(PAGE_SIZE);
    const address = process.mmap(0n, length, prot, flags);
    const at = BigInt(address);
    process.poke(at, Uint8Array.of(7));
    assertEquals(process.peek(address, 1n), Uint8Array.of(7));
    assertEquals(process.mprotect(at, length, PROT_READ), 0);
    assertEquals(process.madvise(at, length, MADV_DONTNEED), 0);
    assertEquals(process.peek(at, 1), Uint8Array.of(0));
    assertEquals(process.mremap(at, length, length / 2n, 0), address);
    assertEquals(process.munmap(at, length), 0);
    assertThrows(() => process.peek(at, 1), SegmentationFault);
    assertEquals(errnoName(process.munmap(2n ** 64n - 1n, 1n)), "EINVAL");
    assertEquals(process.setrlimit(RLIMIT_NOFILE, 5), 0);
    assertEquals(process.rlimit(RLIMIT_NOFILE), 5n);
  });
});

describe("descriptors", () => {
  it("start at 3 and are reused lowest first", () => {
    const { process } = setup();
    assertEquals(process.open("/dev/null"), 3);
    assertEquals(process.dup(0), 4);
    assertEquals(process.close(3), 0);
    assertEquals(process.memfdCreate("m", 0), 3);
    assertEquals(errnoName(process.close(7)), "EBADF");
  });

  it("are limited, before anything else of open is looked at", () => {
    const { process } = setup();
    process.setrlimit(RLIMIT_NOFILE, 3n);
    assertEquals(errnoName(process.open("/nowhere")), "EMFILE");
    assertEquals(errnoName(process.dup(0)), "EMFILE");
    assertEquals(errnoName(process.eventfd(0, 0)), "EMFILE");
    process.setrlimit(RLIMIT_NOFILE, 4n);
    assertEquals(errnoName(process.open("/nowhere")), "ENOENT");
    assertEquals(process.dup(0), 3);
  });

  it("become others with dup2, whatever they were", () => {
    const { kernel, process, device } = setup();
    const closed: number[] = [];
    device.onRelease = () => closed.push(1);
    const fd = process.open("/dev/test");
    const other = process.open("/dev/null", O_CLOEXEC);
    assertEquals(process.dup2(fd, fd), fd);
    assertEquals(process.dup2(fd, other), other);
    assertEquals(process.fcntl(other, F_GETFD, 0), 0);
    assertEquals(process.dup2(fd, other + 3), other + 3);
    // Those between are free still, lowest first.
    const between = [process.open("/dev/null"), process.open("/dev/null")];
    assertEquals(between, [other + 1, other + 2]);
    assertEquals(process.open("/dev/null"), other + 4);
    process.close(other + 1);
    assertEquals(process.dup2(fd, other + 1), other + 1);
    assertEquals(process.open("/dev/null"), other + 5);
    for (const each of [fd, other, other + 1]) process.close(each);
    assertEquals(closed, []);
    assertEquals(process.dup2(other + 2, other + 3), other + 3);
    assertEquals(closed, [1]);

    const limit = Number(process.rlimit(RLIMIT_NOFILE));
    for (
      const [from, to] of [[99, 4], [99, 99], [6, -1], [6, limit], [6, NaN]]
    ) {
      assertEquals(errnoName(process.dup2(from!, to!)), "EBADF");
    }
    process.exit();
    assertEquals(kernel.audit(), []);
  });

  it("become others with dup3, with a flag", () => {
    const { process } = setup();
    const fd = process.open("/dev/test");
    assertEquals(process.dup3(fd, 9, O_CLOEXEC), 9);
    assertEquals(process.fcntl(9, F_GETFD, 0), FD_CLOEXEC);
    assertEquals(process.dup3(fd, 9, 0), 9);
    assertEquals(process.fcntl(9, F_GETFD, 0), 0);
    assertEquals(errnoName(process.dup3(fd, fd, 0)), "EINVAL");
    assertEquals(errnoName(process.dup3(fd, 9, O_RDWR)), "EINVAL");
    assertEquals(errnoName(process.dup3(99, 9, O_CLOEXEC)), "EBADF");
  });

  it("refuse open flags that are none", () => {
    const { process } = setup();
    for (const flags of [3, NaN, 0.5]) {
      assertEquals(errnoName(process.open("/dev/null", flags)), "EINVAL");
    }
  });

  it("of a device keep it open until the last is closed", () => {
    const { process, device } = setup();
    let released = 0;
    device.onRelease = () => released++;
    const fd = process.open("/dev/test");
    const copy = process.dup(fd);
    const child = process.fork();
    process.close(fd);
    process.close(copy);
    child.close(fd);
    assertEquals(released, 0);
    child.exit();
    assertEquals(released, 1);
  });

  it("stay open during their own ioctl", () => {
    const { process, device } = setup();
    let open = true;
    device.onRelease = () => open = false;
    const fd = process.open("/dev/test");
    device.handler = () => {
      process.close(fd);
      return open ? 1 : 0;
    };
    assertEquals(process.ioctl(fd, 0), 1);
    assertEquals(open, false);
  });

  it("read and write as /dev/null does", () => {
    const { process } = setup();
    assertEquals(process.read(0, new Uint8Array(5)), 0);
    assertEquals(process.write(1, new Uint8Array(5)), 5);
    const fd = process.open("/dev/null", O_WRONLY);
    assertEquals(process.writeFrom(fd, 0, 9), 9);
    for (const count of [-1, NaN, 0.5]) {
      assertEquals(errnoName(process.readTo(0, 0, count)), "EINVAL");
    }
  });

  it("that are not open poll as POLLNVAL", () => {
    const { process } = setup();
    assertEquals(process.poll(0, POLLIN), POLLIN);
    assertEquals(process.poll(9, POLLIN), POLLNVAL);
    assertEquals(process.poll(-1, POLLIN), 0, "Linux ignores negative ones");
  });
});

describe("the system call boundary", () => {
  it("turns a thrown errno into a negative number, nothing else", () => {
    const { process, device } = setup();
    const fd = process.open("/dev/test");
    device.handler = () => {
      throw ENOSPC;
    };
    assertEquals(process.ioctl(fd, 0), -ENOSPC.code);
    device.handler = () => {
      throw new KernelBug("broken");
    };
    assertThrows(() => process.ioctl(fd, 0), KernelBug);
  });

  it("sets the current process and restores it, whatever happens", () => {
    const { kernel, process, device } = setup();
    const fd = process.open("/dev/test");
    const child = process.fork();
    const seen: (number | undefined)[] = [];
    device.handler = (caller) => {
      seen.push(kernel.current?.pid);
      if (caller === process) {
        child.ioctl(fd, 0);
        seen.push(kernel.current?.pid);
      }
      throw EINVAL;
    };
    process.ioctl(fd, 0);
    assertEquals(seen, [process.pid, child.pid, process.pid]);
    assertEquals(kernel.current, undefined);
    device.handler = () => {
      throw new KernelBug("broken");
    };
    assertThrows(() => process.ioctl(fd, 0), KernelBug);
    assertEquals(kernel.current, undefined);
  });

  it("passes the command as u32 and the argument as it is", () => {
    const { process, device } = setup();
    const fd = process.open("/dev/test");
    const seen: unknown[] = [];
    device.handler = (_process, cmd, arg) => {
      seen.push(cmd, arg);
      return 0;
    };
    process.ioctl(fd, -1, 2n ** 63n);
    process.ioctl(fd, 0x3b80);
    assertEquals(seen, [0xffffffff, 2n ** 63n, 0x3b80, 0]);
    assertEquals(errnoName(process.ioctl(0, 0)), "ENOTTY");
    assertEquals(errnoName(process.ioctl(50, 0)), "EBADF");
  });
});

describe("fork", () => {
  it("copies credentials and limits, not what is charged or the fault to come", () => {
    const { process } = setup();
    process.setrlimit(RLIMIT_MEMLOCK, 5n);
    process.dropCapability(CAP_IPC_LOCK);
    process.setFailNth(3);
    process.mm.lockedVm = 2;
    process.mm.pinnedVm = 1;
    assertEquals(process.vmStatus(), { vmLck: 8, vmPin: 4 });
    const child = process.fork();
    assertEquals(child.rlimit(RLIMIT_MEMLOCK), 5n);
    assertEquals(child.capable(CAP_IPC_LOCK), false);
    assertEquals(child.failNthLeft(), 0);
    assertEquals(child.vmStatus(), { vmLck: 0, vmPin: 0 });
    assertEquals(child.pid, process.pid + 1);
    process.mm.lockedVm = 0;
  });

  it("undoes everything when memory is short", () => {
    const { kernel, process } = setup();
    const length = 5000 * PAGE_SIZE;
    const rw = PROT_READ | PROT_WRITE;
    const addr = process.mmap(0, length, rw, MAP_PRIVATE | MAP_ANONYMOUS);
    const list = makeFrameList(5000);
    assertEquals(process.mm.pinUserPages(addr, 5000, 0, list), 5000);
    const { used } = kernel.frames;
    const hog = kernel.spawn();
    const left = hog.mmap(0, length * 2, rw, MAP_PRIVATE | MAP_ANONYMOUS);
    hog.poke(left, new Uint8Array(length * 2));
    const error = assertThrows(() => process.fork(), Error);
    assertStringIncludes(error.message, "ENOMEM");
    hog.exit();
    assertEquals(kernel.frames.used, used);
    assertEquals(kernel.processes.size, 1);
    assertEquals(process.fork().peek(addr, 1)[0], 0, "control: now it works");
  });
});

describe("exit", () => {
  it("ends memory before descriptors, as the exiting process, once", () => {
    const { kernel, process, device } = setup();
    const seen: unknown[] = [];
    device.onRelease = () =>
      seen.push(kernel.current === process, process.mm.alive);
    process.open("/dev/test");
    process.exit();
    process.exit();
    assertEquals(seen, [true, false]);
    assertEquals(kernel.current, undefined);
    assertEquals(kernel.processes.has(process), false);
  });

  it("makes every system call answer ESRCH", () => {
    const { process } = setup();
    process.exit();
    const results = [
      process.open("/dev/null"),
      process.close(0),
      process.dup(0),
      process.ioctl(0, 0),
      process.ioctlStruct(0, 0, new Uint8Array(1)),
      process.mmap(0, 1, 1, MAP_PRIVATE | MAP_ANONYMOUS),
      process.munmap(0, 1),
      process.mprotect(0, 1, 1),
      process.madvise(0, 1, 0),
      process.read(0, new Uint8Array(1)),
      process.write(0, new Uint8Array(1)),
      process.poll(0, 0),
      process.memfdCreate("m", 0),
      process.ftruncate(0, 0),
      process.eventfd(0, 0),
      process.pipe().ret,
      process.setrlimit(0, 0n),
      process.setuid(0),
      process.dropCapability(0),
      process.setFailNth(0),
      process.failNthLeft(),
    ];
    assertEquals(results, results.map(() => -ESRCH.code));
    assertStringIncludes(
      assertThrows(() => process.fork(), Error).message,
      "ESRCH",
    );
  });
});

describe("credentials of a process", () => {
  it("decide the user that it is charged to", () => {
    const { kernel, process } = setup();
    assertStrictEquals(process.user, kernel.user(0));
    assertEquals(process.capable(CAP_IPC_LOCK), true);
    assertEquals(process.setuid(1000), 0);
    assertStrictEquals(process.user, kernel.user(1000));
    assertEquals(process.capable(CAP_IPC_LOCK), false);
    assertEquals(errnoName(process.setuid(0)), "EPERM");
  });
});

describe("fault injection", () => {
  it("fails the nth step of the process that asked, once", () => {
    const { kernel, process, device } = setup();
    const fd = process.open("/dev/test");
    const steps: boolean[] = [];
    device.handler = () => {
      for (let i = 0; i < 4; i++) steps.push(kernel.fails("batch.large"));
      return 0;
    };
    process.setFailNth(3);
    process.fork().ioctl(fd, 0);
    assertEquals(steps.splice(0), [false, false, false, false]);
    assertEquals(process.failNthLeft(), 3);
    process.ioctl(fd, 0);
    assertEquals(steps, [false, false, true, false]);
    assertEquals(process.failNthLeft(), 0);
    process.setFailNth(1);
    assertEquals(
      kernel.fails("batch.large"),
      false,
      "outside of a system call",
    );
    device.handler = () => {
      kernel.step("iommufd.open");
      return 0;
    };
    assertEquals(errnoName(process.ioctl(fd, 0)), "ENOMEM");
    assertEquals(process.ioctl(fd, 0), 0);
    for (const nth of [-1, 0.5, NaN]) {
      assertEquals(errnoName(process.setFailNth(nth)), "EINVAL");
    }
  });
});

describe("exec", () => {
  it("leaves no memory, and the descriptors that are not closed", () => {
    const kernel = new KernelCore({ memory: 2 ** 24 });
    const process = kernel.spawn({ uid: 1000, capabilities: [CAP_IPC_LOCK] });
    const rights = PROT_READ | PROT_WRITE;
    const at = process.mmap(0, PAGE_SIZE, rights, MAP_PRIVATE | MAP_ANONYMOUS);
    process.poke(at, Uint8Array.of(1));
    const open = process.eventfd(0, 0);
    const closed = process.eventfd(0, O_CLOEXEC);
    const { mm } = process;
    assertEquals(process.exec(), 0);
    assertEquals([mm.alive, process.mm.alive], [false, true]);
    assertEquals(kernel.frames.used, 0);
    assertThrows(() => process.peek(at, 1), SegmentationFault);
    assertEquals(process.close(open), 0);
    assertEquals(errnoName(process.close(closed)), "EBADF");
    assertEquals(process.capable(CAP_IPC_LOCK), false);
    process.exit();
    assertEquals(errnoName(process.exec()), "ESRCH");
  });
});
