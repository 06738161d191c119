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
import { type Built, cacheFolder, findBuilt } from "./cache.ts";
import { missingTools } from "./programs.ts";
import { type Accelerator, QEMU, qemuArgs } from "./qemu.ts";

/** Milliseconds within which a kernel boots under KVM, many times over. */
const KVM_BOOT_MS = 10_000;

/** `linux-vm:[accel=kvm|tcg]`. Throws {@link UsageError}. */
export function parseLinuxVm(rest: string, spec: string): TargetSpec {
  const match = /^(?:accel=(kvm|tcg))?$/.exec(rest);
  if (match === null) {
    refuseTarget(spec, "linux-vm: takes accel=kvm, accel=tcg or nothing.");
  }
  const accelerator = match[1] as Accelerator | undefined;
  return {
    spec,
    revisions: () => Promise.resolve(["6.12"]),
    open: (_uapi, options = {}) => openLinuxVm(accelerator, options),
  };
}

/** Boots it; without an accelerator, one that works is found out. */
async function openLinuxVm(
  accelerator: Accelerator | undefined,
  { timeoutMs }: OpenOptions,
): Promise<Target> {
  const [missing] = await missingTools([QEMU]);
  if (missing !== undefined) throw new Error(missing);
  const folder = cacheFolder();
  const built = await findBuilt(folder);
  accelerator ??= await chooseAccelerator({
    folder,
    kernel: built.kernel,
    hasKvm,
    bootsWithKvm: () => boots(built, "kvm"),
  });
  return await boot(built, accelerator, timeoutMs);
}

function boot(
  built: Built,
  accelerator: Accelerator,
  replyTimeoutMs: number | undefined,
): Promise<Target> {
  const connection = spawnConnection(QEMU.what, qemuArgs(built, accelerator));
  return connectTarget(connection, { replyTimeoutMs });
}

/** True if the agent answers within a short time. */
async function boots(built: Built, accelerator: Accelerator): Promise<boolean> {
  try {
    const target = await boot(built, accelerator, KVM_BOOT_MS);
    await target.close();
    return true;
  } catch {
    return false;
  }
}
