// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../../impl/kernel.ts";
import { type Errno, errnoName } from "../../../impl/uapi/errno.ts";
import {
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  PAGE_SIZE,
} from "../../../impl/uapi/mman.ts";
import { AT_FDCWD, O_PATH } from "../../sys/structs.ts";
import { Sys } from "../../sys/sys.ts";
import type { Found } from "./node.ts";
import { type ServedFile, Shown } from "./shown.ts";
import { StandIns } from "./stand_ins.ts";

const sys = Sys.shared;

/** This process looks at what it would show a program, as one that `kernel` knows. */
function fixture() {
  const kernel = new Kernel();
  const process = kernel.spawn();
  const looker = { tgid: Deno.pid, tid: Deno.pid };
  const sockets = new Map<number, ServedFile>();
  const shown = new Shown({
    kernel,
    sys,
    processOf: (tid) =>
      tid === Deno.pid
        ? { pid: tid, openedMm: process.mm, faultsOf: () => process.faults }
        : undefined,
    fileOfSocket: (inode) => sockets.get(inode),
  });
  const find = (path: string, follows = true) =>
    shown.resolve(looker, AT_FDCWD, path, follows);
  const read = (path: string) => {
    const { node } = find(path)!;
    return node?.kind === "text" ? node.read(looker) : undefined;
  };
  const stat = (path: string, follows = true) =>
    shown.attributesOf(looker, find(path, follows)!);
  return { kernel, process, looker, shown, sockets, find, read, stat };
}

function errnoOf(body: () => unknown): string {
  return (assertThrows(body) as unknown as Errno).name;
}

describe("The devices of a kernel", () => {
  const { find, read, stat, shown, looker } = fixture();

  it("are character devices with their numbers", () => {
    const iommu = stat("/dev/iommu");
    assertEquals(iommu.mode, 0o020660);
    assertEquals(iommu.number.major, 10);
    assert(iommu.number.minor > 255, "a number that was free");
    assertEquals(iommu.uid, sys.call(sys.nr.getuid));
    const vfio = stat("/dev/vfio/vfio");
    assertEquals([vfio.mode, vfio.number], [0o020666, {
      major: 10,
      minor: 196,
    }]);
  });

  it("have a minor number that none of the host has", () => {
    const { number } = stat("/dev/iommu");
    const misc = read("/proc/misc")!.split("\n");
    assertEquals(misc.filter((line) => parseInt(line) === number.minor), [
      `${number.minor} iommu`,
    ]);
    assert(misc.includes("196 vfio"));
  });

  it("are found by class and by number", () => {
    const { minor } = stat("/dev/iommu").number;
    const at = "/sys/devices/virtual/misc/iommu";
    const paths = [`/sys/dev/char/10:${minor}`, "/sys/class/misc/iommu"];
    for (const path of paths) assertEquals(find(path)?.path, at);
    assertEquals(find(`/dev/char/10:${minor}`)?.path, "/dev/iommu");
    assertEquals(find(`${at}/subsystem`), {
      path: "/sys/class/misc",
      node: undefined,
    });
    assertEquals(read(`${at}/dev`), `10:${minor}\n`);
    assertEquals(
      read(`${at}/uevent`),
      `MAJOR=10\nMINOR=${minor}\nDEVNAME=iommu\nDEVMODE=0660\n`,
    );
    assertMatch(read("/sys/class/misc/vfio/uevent")!, /\nDEVNAME=vfio\/vfio\n/);
  });

  it("are in the directories around them", () => {
    const entries = (path: string) => shown.entriesOf(looker, path);
    const names = entries("/dev").map(({ name, type }) => [name, type]);
    assertEquals(names.slice(0, 2), [["iommu", 2], ["char", 4]]);
    const [vfio] = entries("/dev/vfio");
    assertEquals(vfio, {
      name: "vfio",
      ino: stat("/dev/vfio/vfio").ino,
      type: 2,
    });
    const links = entries("/sys/class/misc");
    assertEquals(links.map(({ name, type }) => [name, type]), [
      ["iommu", 10],
      ["vfio", 10],
    ]);
  });

  it("are found through links of the host", () => {
    const folder = Deno.makeTempDirSync();
    Deno.symlinkSync("/dev/iommu", `${folder}/device`);
    Deno.symlinkSync("/dev", `${folder}/devices`);
    for (const path of ["device", "devices/iommu"]) {
      assertEquals(find(`${folder}/${path}`)?.path, "/dev/iommu");
    }
    assertEquals(find(`${folder}/device`, false), undefined, "the link");
    Deno.removeSync(folder, { recursive: true });
  });

  it("are found with no descriptor left open", () => {
    const lowestFree = () => {
      const fd = sys.openat(AT_FDCWD, "/dev/null", O_RDONLY);
      sys.close(fd);
      return fd;
    };
    const before = lowestFree();
    for (let i = 0; i < 100; i++) {
      for (const path of ["/dev/null", "/proc", "/etc/passwd", "/usr"]) {
        assertEquals(find(path), undefined);
      }
    }
    // Other tests of this process open some too meanwhile.
    assert(lowestFree() - before < 200);
  });

  it("are not what every host has", () => {
    assertEquals(find("/dev/null"), undefined);
    assertEquals(find("/proc/self/exe"), undefined);
  });
});

describe("/proc/PID/status", () => {
  const { process, read, stat } = fixture();
  const kib = (name: string) => {
    const status = read("/proc/self/status")!;
    return Number(new RegExp(`^${name}:\\t *(\\d+) kB$`, "m").exec(status)![1]);
  };

  it("tells of the memory that the model has charged and pinned", () => {
    const before = [kib("VmLck"), kib("VmPin")];
    process.mm.lockedVm = 3;
    process.mm.pinnedVm = 5;
    const pages = PAGE_SIZE / 1024;
    const after = [kib("VmLck"), kib("VmPin")];
    assertEquals(after.map((now, i) => now - before[i]!), [
      3 * pages,
      5 * pages,
    ]);
  });

  it("is what the host says otherwise, by each of its names", () => {
    assertMatch(read(`/proc/${Deno.pid}/status`)!, /^Name:.*\n/);
    for (const path of ["thread-self", `self/task/${Deno.pid}`]) {
      assertMatch(read(`/proc/${path}/status`)!, /\nVmLck:/);
    }
    assertEquals(stat("/proc/self/status").mode, 0o100444);
  });

  it("of a process that the model does not know is the host's", () => {
    const { find } = fixture();
    assertEquals(find("/proc/1/status"), undefined);
    assertEquals(find(`/proc/self/task/1/status`), undefined);
  });
});

describe("fail-nth", () => {
  const spellings = [
    "/proc/self/fail-nth",
    "/proc/thread-self/fail-nth",
    `/proc/${Deno.pid}/fail-nth`,
    `/proc/self/task/${Deno.pid}/fail-nth`,
    `/proc/${Deno.pid}/task/${Deno.pid}/fail-nth`,
  ];

  function opened(path: string) {
    const { process, shown, find, kernel } = fixture();
    const found = find(path)!;
    assert(found.node?.kind === "served");
    const { open } = found.node;
    const fd = process.openWith(
      O_RDWR,
      () => shown.openServed(open, process, O_RDWR),
    );
    const address = process.mmap(0, PAGE_SIZE, 3, 0x22);
    const write = (text: string) => {
      process.poke(address, new TextEncoder().encode(text));
      return process.writeFrom(fd, address, text.length, 0);
    };
    const read = () => {
      const length = process.readTo(fd, address, 100, 0);
      if (length < 0) return errnoName(length);
      return new TextDecoder().decode(process.peek(address, length));
    };
    return { process, kernel, fd, address, write, read };
  }

  for (const path of spellings) {
    it(`is there as ${path}`, () => {
      const { process, write } = opened(path);
      assertEquals(write("7"), 1);
      assertEquals(process.faults.nth, 7);
    });
  }

  it("is there for a thread that has made no call yet", () => {
    const { host } = fixture().shown;
    let tid = Deno.pid + 1;
    while (!host.isDirectory(`/proc/self/task/${tid}`)) tid++;
    const { process, write } = opened(`/proc/self/task/${tid}/fail-nth`);
    assertEquals(write("7"), 1);
    assertEquals(process.faults.nth, 7);
  });

  it("counts its own steps, which can fail too", () => {
    const { read, write, process } = opened(spellings[0]!);
    write("3\0");
    assertEquals([read(), read(), read(), read()], [
      "3\n",
      "2\n",
      "EFAULT",
      "0\n",
    ]);
    write("1");
    assertEquals(errnoName(write("0")), "EFAULT");
    assertEquals(process.faults.nth, 0);
  });

  it("takes what Linux takes for a number", () => {
    const { write, process } = opened(spellings[0]!);
    const taken = ["10", "0x10\n", "010", "+5", "0", "00"].map((text) => {
      process.faults.nth = 0;
      assertEquals(write(text), text.length);
      return process.faults.nth;
    });
    assertEquals(taken, [10, 16, 8, 5, 0, 0]);
    const refused = ["", "-1", "x", "08", "1 ", "4294967296"]
      .map((text) => errnoName(write(text)));
    assertEquals(refused, [
      ...new Array(5).fill("EINVAL"),
      "ERANGE",
    ]);
  });

  it("is read from a position that goes on", () => {
    const { process, fd, address, write } = opened(spellings[0]!);
    write("0");
    const reads = [1, 10, 10].map((n) => process.readTo(fd, address, n));
    assertEquals(reads, [1, 1, 0]);
  });

  it("of a task that is gone says so", () => {
    const kernel = new Kernel();
    const process = kernel.spawn();
    let isThere = true;
    const shown = new Shown({
      kernel,
      sys,
      processOf: (tid) =>
        isThere
          ? { pid: tid, openedMm: process.mm, faultsOf: () => process.faults }
          : undefined,
      fileOfSocket: () => undefined,
    });
    const looker = { tgid: Deno.pid, tid: Deno.pid };
    const found = shown.resolve(looker, AT_FDCWD, spellings[0]!, true)!;
    assert(found.node?.kind === "served");
    const { open } = found.node;
    const fd = process.openWith(
      O_RDWR,
      () => shown.openServed(open, process, O_RDWR),
    );
    isThere = false;
    assertEquals(errnoName(process.readTo(fd, 0x1000, 1)), "ESRCH");
  });
});

describe("The switches of fault injection", () => {
  it("keep what is written to them", () => {
    const { process, shown, find } = fixture();
    const address = process.mmap(0, PAGE_SIZE, 3, 0x22);
    const change = (path: string, text: string) => {
      const { node } = find(`/sys/kernel/debug/${path}`)!;
      assert(node?.kind === "served");
      const { open } = node;
      const fd = process.openWith(
        O_RDWR,
        () => shown.openServed(open, process, O_RDWR),
      );
      process.poke(address, new TextEncoder().encode(text));
      assertEquals(process.writeFrom(fd, address, text.length), text.length);
      const length = process.readTo(fd, address, 100);
      process.close(fd);
      return new TextDecoder().decode(process.peek(address, length));
    };
    assertEquals(change("failslab/ignore-gfp-wait", "N"), "N\n");
    assertEquals(change("failslab/ignore-gfp-wait", "1"), "Y\n");
    assertEquals(change("fail_page_alloc/ignore-gfp-highmem", "?"), "Y\n");
    assertEquals(change("fail_usercopy/verbose", "0"), "0\n");
    assertEquals(change("fail_iommufd/probability", "0x10"), "16\n");
  });

  it("are in a directory that is nobody else's", () => {
    const { find } = fixture();
    assertEquals(find("/sys/kernel/debug")?.node?.kind, "directory");
    assertEquals(find("/sys/kernel"), undefined, "control");
    assertEquals(find("/sys/kernel/debug/tracing"), undefined, "but is there");
  });
});

describe("A descriptor for what is only shown", () => {
  /** Runs `body` with a descriptor of what is at a path. */
  function withOpened(
    path: string,
    flags: number,
    body: (fd: number, setting: ReturnType<typeof fixture>) => void,
  ): void {
    const setting = fixture();
    const { shown, looker, find } = setting;
    const fd = shown.openReal(looker, find(path)!, flags)!;
    try {
      body(fd, setting);
    } finally {
      sys.close(fd);
      shown.close();
    }
  }

  it("is an empty folder for a directory, which is gone", () => {
    withOpened("/sys/devices/virtual/misc/iommu", O_DIRECTORY, (fd, at) => {
      const link = String(sys.readlinkat(AT_FDCWD, `/proc/self/fd/${fd}`));
      assertMatch(link, / \(deleted\)$/);
      const found = at.shown.atDescriptor(at.looker, fd);
      assertEquals(found?.path, "/sys/devices/virtual/misc/iommu");
      const dev = at.shown.resolve(at.looker, fd, "dev", true);
      assertEquals(dev?.path, "/sys/devices/virtual/misc/iommu/dev");
      const { lseek } = sys.nr;
      assertEquals(sys.call(lseek, fd, 5, 0), 5, "has a position");
      assertEquals(sys.call(lseek, fd, 0, 1), 5);
      const entries = at.shown.entriesOf(at.looker, found!.path);
      assertEquals(entries.map(({ name }) => name), [
        "dev",
        "uevent",
        "subsystem",
        "power",
      ]);
      const other = sys.openat(AT_FDCWD, "/dev", O_RDONLY);
      const resolved = at.shown.resolve(at.looker, other, "iommu", true);
      assertEquals(resolved?.path, "/dev/iommu", "as the host's own is");
      sys.close(other);
    });
  });

  it("is a memory file for a text", () => {
    withOpened("/proc/self/status", O_RDONLY, (fd, { shown, looker }) => {
      const bytes = sys.alloc(5);
      assertEquals(sys.read(fd, bytes), 5);
      assertEquals(new TextDecoder().decode(bytes.bytes.slice()), "Name:");
      assertEquals(sys.write(fd, bytes), -9, "read only");
      const found = shown.atDescriptor(looker, fd);
      assertEquals(found?.path, `/proc/${Deno.pid}/status`);
      assertEquals(shown.linkOf(Deno.pid, `fd/${fd}`), found?.path);
    });
  });

  it("names a device without opening it", () => {
    withOpened("/dev/iommu", O_PATH, (fd, { shown, looker, kernel }) => {
      assertEquals(shown.atDescriptor(looker, fd)?.node?.kind, "device");
      assertEquals(kernel.iommufd.contexts.size, 0);
    });
  });

  it("is none for what the model serves", () => {
    const { shown, looker, find } = fixture();
    for (const path of ["/dev/iommu", "/proc/self/fail-nth"]) {
      assertEquals(shown.openReal(looker, find(path)!, O_RDWR), undefined);
    }
  });

  it("is the host's where the path is", () => {
    const { shown, looker } = fixture();
    const lost: Found = { path: "/dev/null", node: undefined };
    const fd = shown.openReal(looker, lost, O_RDONLY)!;
    assertEquals(
      String(sys.readlinkat(AT_FDCWD, `/proc/self/fd/${fd}`)),
      "/dev/null",
    );
    sys.close(fd);
    const missing: Found = { path: "/nothing", node: undefined };
    assertEquals(shown.openReal(looker, missing, O_RDONLY), -2);
  });

  const refusals: [path: string, flags: number, errno: string][] = [
    ["/proc/self/status", O_RDWR, "EACCES"],
    ["/proc/self/status", O_WRONLY, "EACCES"],
    ["/proc/self/status", O_DIRECTORY, "ENOTDIR"],
    ["/proc/self/status", O_CREAT | O_EXCL, "EEXIST"],
    ["/dev/iommu", O_DIRECTORY, "ENOTDIR"],
    ["/sys/devices/virtual/misc/iommu", O_RDWR, "EISDIR"],
  ];
  for (const [path, flags, errno] of refusals) {
    it(`is refused with ${errno}: ${path}, flags ${flags}`, () => {
      const { shown, looker, find } = fixture();
      const open = () => shown.openReal(looker, find(path)!, flags);
      assertEquals(errnoOf(open), errno);
    });
  }

  it("is refused where no folder can be made", () => {
    const standIns = new StandIns(sys, "/nothing");
    const open = () => standIns.openDirectory("/dev/vfio");
    assertEquals(errnoOf(open), "ENOSPC");
  });

  it("is refused for a link that is not to be followed", () => {
    const { shown, looker, find } = fixture();
    const link = find("/sys/class/misc/iommu", false)!;
    assertEquals(
      errnoOf(() => shown.openReal(looker, link, O_RDONLY)),
      "ELOOP",
    );
  });
});

describe("A socket that stands for an open file", () => {
  it("is opened again as what it was opened as", () => {
    const { shown, find, process } = fixture();
    const { node } = find("/dev/iommu")!;
    assert(node?.kind === "device");
    const file = shown.openServed(node.open, process, O_RDWR);
    const again = file.reopen(process, O_RDONLY);
    assertEquals([again.access, again === file], [O_RDONLY, false]);
    again.put();
    file.put();
  });

  it("is the device that it was opened as, and opens it again", () => {
    const { shown, looker, sockets, process, kernel } = fixture();
    const pair = sys.alloc(8);
    sys.call(sys.nr.socketpair, 1, 5, 0, pair.address);
    const [fd, other] = [0, 4].map((at) => pair.view.getInt32(at, true));
    const inode =
      /\d+/.exec(String(sys.readlinkat(AT_FDCWD, `/proc/self/fd/${fd}`)))![0];
    assertEquals(
      shown.atDescriptor(looker, fd!),
      undefined,
      "the program's own",
    );

    const file = process.files.lookup(process.open("/dev/iommu"));
    sockets.set(Number(inode), { file, path: "/dev/iommu" });
    const found = shown.resolve(looker, AT_FDCWD, `/proc/self/fd/${fd}`, true)!;
    assertEquals(found.path, "/dev/iommu");
    assertEquals(shown.attributesOf(looker, found).mode, 0o020660);
    assertEquals(shown.linkOf(Deno.pid, `fd/${fd}`), "/dev/iommu");
    assert(found.node?.kind === "device");
    shown.openServed(found.node.open, process, O_RDWR).put();
    assertEquals(kernel.iommufd.contexts.size, 1);

    sockets.set(Number(inode), { file, path: undefined });
    const anonymous = shown.atDescriptor(looker, fd!)!;
    assertEquals(shown.attributesOf(looker, anonymous).mode, 0o600);
    sys.close(fd!);
    sys.close(other!);
  });
});
