// SPDX-License-Identifier: GPL-2.0-only

/**
 * `linux-uml:`: real Linux as a program of this machine (User-Mode Linux), with
 * the agent as its only process. It needs no virtual machine, and its code runs as
 * fast as any; but a system call costs 15 to 100 µs, by the machine, and there
 * are no huge pages.
 *
 * @module
 */

import { connectTarget } from "../../protocol/client.ts";
import { spawnConnection } from "../../protocol/stdio.ts";
import { refuseTarget, type TargetSpec } from "../../targets/target_spec.ts";
import { type Bootable, cacheFolder, findBuilt } from "../cache.ts";
import { kernelOf, NEWEST, UML_KERNELS } from "../kernels/kernels.ts";

/** `linux-uml:[REVISION]`: by default the newest. Throws {@link UsageError}. */
export function parseLinuxUml(rest: string, spec: string): TargetSpec {
  const kernel = kernelOf(rest === "" ? NEWEST.revision : rest, UML_KERNELS);
  if (kernel === undefined) {
    const names = UML_KERNELS.map(({ revision }) => revision).join(" or ");
    refuseTarget(spec, `linux-uml: takes ${names}, or nothing.`);
  }
  return {
    spec,
    emulatesCalls: true,
    revisions: () => Promise.resolve([kernel.revision]),
    async open(_uapi, { timeoutMs } = {}) {
      const folder = cacheFolder();
      const built = await findBuilt(folder, kernel, "uml");
      const connection = spawnConnection(built.kernel, umlArgs(built, folder));
      return await connectTarget(connection, { replyTimeoutMs: timeoutMs });
    },
  };
}

/** The arguments: the protocol goes over standard input and output, the console to standard error. */
export function umlArgs({ initramfs }: Bootable, folder: string): string[] {
  return [
    "mem=3G",
    `initrd=${initramfs}`,
    // Where it notes that it runs; by default in the user's home.
    `uml_dir=${folder}uml/`,
    "ssl0=fd:0,fd:1",
    "con0=null,fd:2",
    "con=null",
    // Warnings of the kernel too.
    "loglevel=5",
    "panic=-1",
    // Newer ones need not trace their processes then.
    "seccomp=auto",
    // For the agent, which is init.
    "/dev/ttyS0",
  ];
}
