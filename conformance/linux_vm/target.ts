// SPDX-License-Identifier: GPL-2.0-only

/**
 * `linux-vm:`: real Linux, as `deno task linux:build` built it, in a virtual
 * machine with the agent (../agents/linux_agent.c) as its only program.
 *
 * @module
 */

import { connectTarget } from "../protocol/client.ts";
import { spawnConnection } from "../protocol/stdio.ts";
import type { Target } from "../../selftests/target/target.ts";
import {
  type OpenOptions,
  refuseTarget,
  type TargetSpec,
} from "../targets/target_spec.ts";
import { chooseAccelerator, hasKvm } from "./accelerator.ts";
import { type Bootable, cacheFolder, findBuilt } from "./cache.ts";
import { type Kernel, kernelOf, KERNELS, NEWEST } from "./kernels/kernels.ts";
import { requireTools } from "./programs.ts";
import { type Accelerator, QEMU, qemuArgs } from "./qemu.ts";

/** Milliseconds within which a kernel boots under KVM, many times over. */
const KVM_BOOT_MS = 10_000;

/** `linux-vm:[REVISION][,accel=kvm|tcg]`: by default the newest kernel. Throws {@link UsageError}. */
export function parseLinuxVm(rest: string, spec: string): TargetSpec {
  const match = /^([\w.]*)(?:(?:^|,)accel=(kvm|tcg))?$/.exec(rest);
  const [, revision = "", accelerator] = match ?? [];
  const kernel = revision === "" ? NEWEST : kernelOf(revision);
  if (match === null || kernel === undefined) {
    const names = KERNELS.map(({ revision }) => revision).join(" or ");
    refuseTarget(
      spec,
      `linux-vm: takes ${names}, accel=kvm or accel=tcg, both as in ${NEWEST.revision},accel=tcg, or nothing.`,
    );
  }
  return {
    spec,
    revisions: () => Promise.resolve([kernel.revision]),
    open: (_uapi, options = {}) =>
      openLinuxVm(kernel, accelerator as Accelerator | undefined, options),
  };
}

/** Boots it; without an accelerator, one that works is found out. */
async function openLinuxVm(
  kernel: Kernel,
  accelerator: Accelerator | undefined,
  { timeoutMs }: OpenOptions,
): Promise<Target> {
  await requireTools([QEMU]);
  const folder = cacheFolder();
  const built = await findBuilt(folder, kernel);
  accelerator ??= await chooseAccelerator({
    folder,
    kernel: built.kernel,
    hasKvm,
    bootsWithKvm: () => boots(built, "kvm"),
  });
  return await boot(built, accelerator, timeoutMs);
}

function boot(
  built: Bootable,
  accelerator: Accelerator,
  replyTimeoutMs: number | undefined,
): Promise<Target> {
  const connection = spawnConnection(QEMU.what, qemuArgs(built, accelerator));
  return connectTarget(connection, { replyTimeoutMs });
}

/** True if the agent answers within a short time. */
async function boots(
  built: Bootable,
  accelerator: Accelerator,
): Promise<boolean> {
  try {
    const target = await boot(built, accelerator, KVM_BOOT_MS);
    await target.close();
    return true;
  } catch {
    return false;
  }
}
