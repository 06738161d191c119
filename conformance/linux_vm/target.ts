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
  describeOptions,
  type OpenOptions,
  parseChosen,
  refuseTarget,
  type TargetSpec,
} from "../targets/target_spec.ts";
import { chooseAccelerator, hasKvm } from "./accelerator.ts";
import { type Bootable, cacheFolder, findBuilt } from "./cache.ts";
import {
  type Container,
  CONTAINERS,
  type Kernel,
  kernelOf,
  KERNELS,
  NEWEST,
} from "./kernels/kernels.ts";
import { type Device, DEVICES, type Iommu, IOMMUS } from "./devices/devices.ts";
import { findQemu, OWN_QEMU } from "./devices/newer_qemu.ts";
import { requireTools } from "./programs.ts";
import { type Accelerator, QEMU, qemuArgs } from "./qemu.ts";

/** Milliseconds within which a kernel boots under KVM, many times over. */
const KVM_BOOT_MS = 10_000;

/** What is chosen of a machine; the rest is found out. */
interface Choice {
  readonly kernel: Kernel;
  readonly container: Container;
  readonly accelerator: Accelerator | undefined;
  readonly device: Device | undefined;
  readonly iommu: Iommu;
}

/** `linux-vm:[REVISION][,OPTION=VALUE]…`: by default the newest kernel. Throws {@link UsageError}. */
export function parseLinuxVm(rest: string, spec: string): TargetSpec {
  const choice = parseChoice(rest);
  if (choice === undefined) {
    const names = KERNELS.map(({ revision }) => revision).join(" or ");
    refuseTarget(
      spec,
      `linux-vm: takes ${names}, ${
        describeOptions(OPTIONS)
      }, all as in ${NEWEST.revision},accel=tcg, or nothing.`,
    );
  }
  return {
    spec,
    revisions: () => Promise.resolve([choice.kernel.revision]),
    open: (_uapi, options = {}) => openLinuxVm(choice, options),
  };
}

/** The options, and what they may be. */
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  accel: ["kvm", "tcg"],
  device: Object.keys(DEVICES),
  container: CONTAINERS,
  iommu: Object.keys(IOMMUS),
};

/** What the words choose; undefined where one is wrong. */
function parseChoice(rest: string): Choice | undefined {
  const chosen = parseChosen(rest, OPTIONS);
  if (chosen === undefined) return undefined;
  const { revision, options } = chosen;
  const kernel = revision === undefined ? NEWEST : kernelOf(revision);
  if (kernel === undefined) return undefined;
  return {
    kernel,
    container: (options.get("container") ?? "iommufd") as Container,
    accelerator: options.get("accel") as Accelerator | undefined,
    device: DEVICES[options.get("device") ?? ""],
    iommu: (options.get("iommu") ?? "intel") as Iommu,
  };
}

/** Boots it; without an accelerator, one that works is found out. */
async function openLinuxVm(
  { kernel, container, accelerator, device, iommu }: Choice,
  { timeoutMs }: OpenOptions,
): Promise<Target> {
  await requireTools([QEMU]);
  const folder = cacheFolder();
  const built = await findBuilt(folder, kernel, container);
  const chosen = accelerator ?? await chooseAccelerator({
    folder,
    kernel: built.kernel,
    hasKvm,
    bootsWithKvm: () => boots(built, "kvm"),
  });
  const qemu = device === undefined ? OWN_QEMU : await findQemu(folder, device);
  const args = [...qemu.args, ...qemuArgs(built, chosen, device, iommu)];
  return await start(qemu.program, args, timeoutMs);
}

/** Starts QEMU, and waits for the agent. */
function start(
  program: string,
  args: readonly string[],
  replyTimeoutMs: number | undefined,
): Promise<Target> {
  const connection = spawnConnection(program, args);
  return connectTarget(connection, { replyTimeoutMs });
}

/** True if the agent answers within a short time. */
async function boots(
  built: Bootable,
  accelerator: Accelerator,
): Promise<boolean> {
  try {
    const args = qemuArgs(built, accelerator);
    const target = await start(QEMU.what, args, KVM_BOOT_MS);
    await target.close();
    return true;
  } catch {
    return false;
  }
}
