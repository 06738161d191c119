// SPDX-License-Identifier: GPL-2.0-only

/**
 * Chooses between KVM and TCG. That `/dev/kvm` is there does not mean that it
 * boots this kernel, so that is tried once, and the answer remembered.
 *
 * @module
 */

import { readJson, writeJson } from "./cache.ts";
import { output } from "./programs.ts";
import type { Accelerator } from "./qemu.ts";

/** What was found out, by the path of the kernel that was booted. */
type Answers = Readonly<Record<string, Accelerator>>;

/** What a choice depends on. */
export interface ProbeOptions {
  /** Where the answer is kept. */
  readonly folder: string;
  /** Path of the kernel. */
  readonly kernel: string;
  /** True if there is a KVM to try. */
  hasKvm(): Promise<boolean>;
  /** Boots the kernel with KVM; false if that fails or takes too long. */
  bootsWithKvm(): Promise<boolean>;
}

/** The accelerator to use. */
export async function chooseAccelerator(
  { folder, kernel, hasKvm, bootsWithKvm }: ProbeOptions,
): Promise<Accelerator> {
  // The folder may have come from another machine.
  if (!await hasKvm()) return "tcg";
  const path = `${folder}accelerator.json`;
  const known = await readJson<Answers>(path) ?? {};
  const answer = known[kernel];
  if (answer === "kvm" || answer === "tcg") return answer;
  const accelerator = await bootsWithKvm() ? "kvm" : "tcg";
  await writeJson(path, { ...known, [kernel]: accelerator });
  return accelerator;
}

/** True if there is a KVM that we may use. Deno itself may not look into /dev. */
export async function hasKvm(): Promise<boolean> {
  const { success } = await output("test", ["-w", "/dev/kvm"]);
  return success;
}
