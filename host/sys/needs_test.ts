// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { missingNeeds } from "./needs.ts";
import { Sys } from "./sys.ts";
import type { SyscallName } from "./numbers.ts";

const onLinux = Deno.build.os === "linux";
const sys = onLinux ? Sys.shared : undefined!;
const EPERM = 1;
const ENOSYS = 38;

/** The calls of this host, of which some fail. */
function without(failing: Partial<Record<SyscallName, number>>): Sys {
  const errnos = new Map(
    Object.entries(failing).map((
      [name, errno],
    ) => [sys.nr[name as SyscallName], errno]),
  );
  const call: Sys["call"] = (nr, ...args) => {
    const errno = errnos.get(nr);
    return errno === undefined ? sys.call(nr, ...args) : -errno;
  };
  return new Proxy(sys, {
    get: (target, name) => {
      if (name === "call") return call;
      if (name === "pidfdOpen") {
        return (pid: number) => call(sys.nr.pidfd_open, pid);
      }
      if (name === "pidfdGetfd") {
        return (pidfd: number, fd: number) =>
          call(sys.nr.pidfd_getfd, pidfd, fd);
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

describe("What the host must have", { skip: !onLinux }, () => {
  it("is there where these tests run", () => {
    assertEquals(missingNeeds(sys), []);
  });

  it("is named if it is not there, with what to do", () => {
    const [first = "", ...rest] = missingNeeds(without({ seccomp: ENOSYS }));
    assert(first.includes("seccomp's user notification is not there"));
    assert(first.includes("Linux 5.19"));
    assert(rest.length > 0);
  });

  it("is named if a container forbids it, with how to allow it", () => {
    const missing = missingNeeds(without({ kcmp: EPERM, pidfd_getfd: EPERM }));
    assertEquals(missing.map((text) => text.split(" ")[0]), [
      "pidfd_getfd",
      "kcmp",
    ]);
    for (const text of missing) assert(text.includes("--cap-add=SYS_PTRACE"));
  });
});
