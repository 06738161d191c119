// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../../impl/kernel.ts";
import { errnoName } from "../../../impl/uapi/errno.ts";
import { Shown } from "../../files/shown/shown.ts";
import type { SyscallName } from "../../sys/numbers.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  OPEN_FLAGS,
} from "../../sys/structs.ts";
import { type Block, must, Sys } from "../../sys/sys.ts";
import { type Answer, type Call, CONTINUE } from "../call.ts";
import { LIST_CALLS } from "./list.ts";
import { LOOK_CALLS } from "./look.ts";

const sys = Sys.shared;
const HANDLERS = new Map(
  [...LOOK_CALLS, ...LIST_CALLS].map(({ name, handle }) => [name, handle]),
);
const { O_DIRECTORY } = OPEN_FLAGS[sys.architecture];

/** This process makes calls and answers them: what a program would be told. */
function fixture(uid = sys.call(sys.nr.getuid)) {
  const kernel = new Kernel();
  const process = kernel.spawn({ uid });
  const shown = new Shown({
    kernel,
    sys,
    processOf: (tid) =>
      tid === Deno.pid
        ? { pid: tid, openedMm: process.mm, faultsOf: () => process.faults }
        : undefined,
    fileOfSocket: () => undefined,
  });
  const pidfd = sys.pidfdOpen(Deno.pid);
  const out = sys.alloc(8192);
  const program = { pid: Deno.pid, pidfd, user: process.user };
  /** Makes a call; a text is passed by its address, and so is `out`. */
  const call = (
    name: SyscallName,
    ...args: readonly (number | string | typeof out)[]
  ): Answer => {
    const values = args.map((arg) =>
      typeof arg === "number"
        ? arg
        : typeof arg === "string"
        ? cString(arg)
        : arg.address
    );
    const made = {
      host: { sys, shown, kernel },
      name,
      tid: Deno.pid,
      process: program,
      arg: (index: number) => values[index] ?? 0,
      int: (index: number) => (values[index] ?? 0) | 0,
    };
    return HANDLERS.get(name)!(made as unknown as Call);
  };
  return {
    shown,
    call,
    out,
    [Symbol.dispose]() {
      sys.close(pidfd);
      shown.close();
    },
  };
}

function cString(text: string): number {
  const bytes = new TextEncoder().encode(`${text}\0`);
  const block = sys.alloc(bytes.length);
  block.bytes.set(bytes);
  return block.address;
}

function textOf(bytes: Uint8Array, length: Answer): string {
  assert(typeof length === "number" && length >= 0, String(length));
  return new TextDecoder().decode(bytes.slice(0, length));
}

/** A descriptor of what is shown at a path, as open gives the program one. */
function openShown(
  { shown }: ReturnType<typeof fixture>,
  path: string,
): number {
  const looker = { tgid: Deno.pid, tid: Deno.pid };
  const found = shown.resolve(looker, AT_FDCWD, path, true)!;
  return shown.openReal(looker, found, O_DIRECTORY)!;
}

const RDEV_AT = sys.architecture === "x86_64" ? 40 : 32;
const IOMMU = "/dev/iommu";

describe("stat", () => {
  const { nr } = sys;
  it("tells the same of a device in each of its spellings", () => {
    using setting = fixture();
    const { call, out } = setting;
    const dev = sys.openat(AT_FDCWD, "/dev", O_DIRECTORY | O_CLOEXEC);
    const calls: Parameters<typeof call>[] = [
      ["stat", IOMMU, out],
      ["lstat", IOMMU, out],
      ["newfstatat", AT_FDCWD, IOMMU, out, 0],
      ["newfstatat", dev, "iommu", out, AT_SYMLINK_NOFOLLOW],
      ["newfstatat", 77, IOMMU, out, 0],
    ];
    const told = calls.map((args) => {
      out.bytes.fill(0);
      assertEquals(call(...args), 0);
      return out.bytes.slice(0, 144);
    });
    for (const bytes of told) assertEquals(bytes, told[0]);
    const { major } = setting.shown.attributesOf(
      { tgid: 1, tid: 1 },
      setting.shown.resolve({ tgid: 1, tid: 1 }, AT_FDCWD, IOMMU, true)!,
    ).number;
    assertEquals(new DataView(told[0]!.buffer).getUint8(RDEV_AT + 1), major);
    sys.close(dev);
  });

  it("is the host's of what is the host's", () => {
    using setting = fixture();
    const { call, out } = setting;
    const own = sys.openat(AT_FDCWD, "/dev/null", O_CLOEXEC);
    assertEquals(call("stat", "/dev/null", out), CONTINUE);
    assertEquals(call("stat", "/dev", out), CONTINUE);
    assertEquals(call("stat", "", out), CONTINUE);
    assertEquals(call("fstat", own, out), CONTINUE);
    assertEquals(call("fstat", 9999, out), CONTINUE);
    assertEquals(call("statx", AT_FDCWD, "", AT_EMPTY_PATH, 0, out), CONTINUE);
    assertEquals(call("lstat", `/proc/self/fd/${own}`, out), CONTINUE);
    assertEquals(call("stat", 16, out), CONTINUE, "no path");
    sys.close(own);
  });

  it("of what the kernel does not find is what it would say", () => {
    using setting = fixture();
    const { call, out } = setting;
    const lost = "/sys/class/misc/iommu/subsystem/../..";
    assertEquals(call("stat", `${lost}/nothing`, out), -2);
    assertEquals(call("stat", `${lost}/devices`, out), 0);
    const ours = out.bytes.slice(0, 32);
    const at = sys.text("/sys/devices");
    must(sys.call(nr.newfstatat, AT_FDCWD, at, out.address, 0), "stat");
    assertEquals(ours, out.bytes.slice(0, 32));
  });

  it("fails where the struct cannot be written", () => {
    using setting = fixture();
    assertEquals(
      errnoName(setting.call("stat", IOMMU, 16) as number),
      "EFAULT",
    );
    const status = setting.call("stat", "/dev/iommu/x", setting.out) as number;
    assertEquals(errnoName(status), "ENOTDIR");
  });

  it("of a descriptor is that of its path", () => {
    using setting = fixture();
    const { call, out } = setting;
    const path = "/sys/devices/virtual/misc/iommu";
    const fd = openShown(setting, path);
    assertEquals(call("stat", path, out), 0);
    const told = out.bytes.slice(0, 144);
    const calls: Parameters<typeof call>[] = [
      ["fstat", fd, out],
      ["newfstatat", fd, "", out, AT_EMPTY_PATH],
      ["newfstatat", fd, ".", out, 0],
      ["stat", `/proc/self/fd/${fd}`, out],
    ];
    for (const args of calls) {
      out.bytes.fill(0);
      assertEquals(call(...args), 0, args[0]);
      assertEquals(out.bytes.slice(0, 144), told);
    }
    assertEquals(call("statx", fd, "", AT_EMPTY_PATH, 0x7ff, out), 0);
    assertEquals(call("statx", fd, 0, AT_EMPTY_PATH, 0x7ff, out), 0);
    assertEquals(out.view.getUint16(0x1c, true), 0o040755);
    sys.close(fd);
  });
});

describe("access", () => {
  const may = (uid: number, path: string, mode: number) => {
    using setting = fixture(uid);
    const { call } = setting;
    const result = call("access", path, mode);
    assertEquals(call("faccessat", AT_FDCWD, path, mode), result);
    assertEquals(call("faccessat2", AT_FDCWD, path, mode, 0x200), result);
    return typeof result === "number" && result < 0
      ? errnoName(result)
      : result;
  };
  const own = sys.call(sys.nr.getuid);
  const text = "/proc/self/status";
  const failNth = "/proc/self/fail-nth";

  it("is given to devices, which the model opens for everybody", () => {
    assertEquals(may(own, IOMMU, 6), 0);
    assertEquals(may(own + 1, IOMMU, 6), 0);
    assertEquals(may(0, IOMMU, 1), "EACCES");
  });

  it("goes by the permissions of other files", () => {
    assertEquals(may(own + 1, text, 0), 0);
    assertEquals(may(own + 1, text, 4), 0);
    assertEquals(may(own + 1, text, 2), "EACCES");
    assertEquals(may(own, failNth, 6), 0);
    assertEquals(may(own + 1, failNth, 2), "EACCES");
    assertEquals(may(0, text, 2), 0, "root may write what nobody may");
    assertEquals(may(0, "/dev/vfio", 7), 0);
  });

  it("is refused for what is no mode, and the host's of its own", () => {
    assertEquals(may(0, IOMMU, 8), "EINVAL");
    assertEquals(may(0, "/dev/null", 6), CONTINUE);
  });
});

describe("readlink", () => {
  it("tells what a link says, as far as there is room", () => {
    using setting = fixture();
    const { call, out } = setting;
    const path = "/sys/class/misc/iommu";
    const length = call("readlink", path, out, 100);
    const text = "../../devices/virtual/misc/iommu";
    assertEquals(textOf(out.bytes, length), text);
    assertEquals(call("readlinkat", AT_FDCWD, path, out, 5), 5);
    assertEquals(textOf(out.bytes, 5), "../..");
    assertEquals(errnoName(call("readlink", path, out, 0) as number), "EINVAL");
    const device = call("readlink", IOMMU, out, 100) as number;
    assertEquals(errnoName(device), "EINVAL");
    assertEquals(call("readlink", "/sys/class/misc", out, 100), CONTINUE);
  });

  it("tells the paths of descriptors", () => {
    using setting = fixture();
    const { call, out } = setting;
    const fd = openShown(setting, "/sys/devices/virtual/misc/iommu");
    const length = call("readlink", `/proc/self/fd/${fd}`, out, 100);
    assertEquals(textOf(out.bytes, length), "/sys/devices/virtual/misc/iommu");
    sys.close(fd);
  });
});

describe("extended attributes", () => {
  it("has nothing that is only shown", () => {
    using setting = fixture();
    const { call, out } = setting;
    const name = "security.selinux";
    for (const get of ["getxattr", "lgetxattr"] as const) {
      assertEquals(call(get, IOMMU, name, out, 100), -61);
      assertEquals(call(get, "/dev/null", name, out, 100), CONTINUE);
    }
    assertEquals(call("listxattr", IOMMU, out, 100), 0);
    assertEquals(call("llistxattr", IOMMU, out, 100), 0);
  });
});

/** All names that getdents64 tells a program of a directory, `count` bytes at a time. */
function namesIn(
  { call, out }: ReturnType<typeof fixture>,
  fd: number,
  count = 4096,
): string[] {
  return namesFrom(out, () => call("getdents64", fd, out, count));
}

/** All names that the host tells of a directory. */
function namesOfHost(fd: number): string[] {
  const out = sys.alloc(4096);
  const { lseek, getdents64 } = sys.nr;
  sys.call(lseek, fd, 0, 0);
  const { address } = out;
  return namesFrom(out, () => sys.call(getdents64, fd, address, 4096));
}

/** The names that are told until there are no more. */
function namesFrom(out: Block, next: () => Answer): string[] {
  const names: string[] = [];
  for (;;) {
    const length = next();
    assert(typeof length === "number" && length >= 0, String(length));
    if (length === 0) return names;
    for (let at = 0; at < length;) {
      const end = out.bytes.indexOf(0, at + 19);
      const name = out.bytes.slice(at + 19, end);
      names.push(new TextDecoder().decode(name));
      at += out.view.getUint16(at + 16, true);
    }
  }
}

describe("getdents64", () => {
  it("tells what is shown in a directory of the host besides its own names", () => {
    using setting = fixture();
    for (const count of [4096, 512]) {
      const fd = sys.openat(AT_FDCWD, "/dev", O_DIRECTORY | O_CLOEXEC);
      const names = namesIn(setting, fd, count);
      const all = new Set([...namesOfHost(fd), "iommu", "char", "vfio"]);
      assertEquals(names.toSorted(), [...all].toSorted());
      sys.call(sys.nr.lseek, fd, 0, 0);
      const again = namesIn(setting, fd);
      assertEquals(again.toSorted(), names.toSorted(), "from the start");
      sys.close(fd);
    }
  });

  it("tells all of a directory that is only shown, in pieces", () => {
    using setting = fixture();
    for (const count of [4096, 32]) {
      const fd = openShown(setting, "/sys/devices/virtual/misc/iommu");
      const names = [".", "..", "dev", "uevent", "subsystem", "power"];
      assertEquals(namesIn(setting, fd, count), names);
      assertEquals(namesIn(setting, fd), []);
      sys.call(sys.nr.lseek, fd, 3, 0);
      assertEquals(namesIn(setting, fd), names.slice(3));
      sys.close(fd);
    }
  });

  it("fails where there is no room", () => {
    using setting = fixture();
    const { call, out } = setting;
    const shown = openShown(setting, "/sys/devices/virtual/misc/iommu");
    const dev = sys.openat(AT_FDCWD, "/dev", O_DIRECTORY | O_CLOEXEC);
    for (const fd of [shown, dev]) {
      const result = call("getdents64", fd, out, 16) as number;
      assertEquals(errnoName(result), "EINVAL");
      sys.close(fd);
    }
  });

  it("is the host's where nothing is shown", () => {
    using setting = fixture();
    const fd = sys.openat(AT_FDCWD, "/tmp", O_DIRECTORY | O_CLOEXEC);
    const { call, out } = setting;
    assertEquals(call("getdents64", fd, out, 4096), CONTINUE);
    assertEquals(call("getdents64", 9999, out, 4096), CONTINUE);
    sys.close(fd);
  });
});

describe("The working folder", () => {
  it("is told by its path if it is only shown", () => {
    using setting = fixture();
    const { call, out } = setting;
    const path = "/sys/devices/virtual/misc/iommu";
    const before = Deno.cwd();
    assertEquals(call("getcwd", out, 100), CONTINUE);
    const fd = openShown(setting, path);
    must(sys.call(sys.nr.chdir, sys.text(`/proc/self/fd/${fd}`)), "chdir");
    try {
      assertEquals(textOf(out.bytes, call("getcwd", out, 100)), `${path}\0`);
      assertEquals(errnoName(call("getcwd", out, 5) as number), "ERANGE");
      assertEquals(call("stat", "dev", out), 0);
      assertEquals(call("stat", "../../..", out), 0);
      assertEquals(call("chdir", "."), 0);
      const length = call("readlink", "/proc/self/cwd", out, 100);
      assertEquals(textOf(out.bytes, length), path);
    } finally {
      Deno.chdir(before);
      sys.close(fd);
    }
  });

  it("is no file", () => {
    using setting = fixture();
    const result = setting.call("chdir", IOMMU) as number;
    assertEquals(errnoName(result), "ENOTDIR");
    assertEquals(setting.call("chdir", "/tmp"), CONTINUE);
  });
});
