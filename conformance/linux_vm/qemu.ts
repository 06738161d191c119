// SPDX-License-Identifier: GPL-2.0-only

/**
 * The machine that Linux runs in: QEMU's command line.
 *
 * @module
 */

import type { Bootable } from "./cache.ts";
import { boardWith, type Device, type Iommu } from "./devices/devices.ts";
import type { Tool } from "./programs.ts";

/** What runs the guest's instructions. */
export type Accelerator = "kvm" | "tcg";

/** The program. */
export const QEMU: Tool = {
  what: "qemu-system-x86_64",
  debianPackage: "qemu-system-x86",
};

/**
 * The processor. One that says it is fast at copying bytes is taken at its word:
 * without KVM that is an instruction a byte, and a page takes 4096.
 */
const CPU = "max,la57=off,-erms,-fsrm";

/** Where the agent finds its port, which is the only one. */
const PORT = "/dev/vport0p1";

/**
 * The arguments. The protocol goes over standard input and output, the console
 * to standard error; the machine ends when its input does.
 *
 * There is one CPU: the agent's processes take turns, and with more, every turn
 * would wake a sleeping one: without KVM, a call then takes 10 ms and not 0.4.
 */
export function qemuArgs(
  { kernel, initramfs }: Bootable,
  accelerator: Accelerator,
  device?: Device,
  iommu: Iommu = "intel",
): string[] {
  const board = boardWith(device, iommu);
  const kernelLine = [
    "console=ttyS0",
    // Warnings of the kernel too.
    "loglevel=5",
    "panic=-1",
    "tsc=reliable",
    // On a busy machine, too few ticks come while Linux looks whether they do.
    "no_timer_check",
    ...board.kernel,
    // The rest is for the agent, which is init.
    "--",
    PORT,
    ...board.agent,
  ];
  return [
    ["-machine", board.machine],
    ["-accel", accelerator],
    ["-cpu", CPU],
    ["-smp", "1"],
    ["-m", board.memory],
    ["-nodefaults"],
    ["-no-user-config"],
    ["-no-reboot"],
    ["-display", "none"],
    ["-kernel", kernel],
    ["-initrd", initramfs],
    ["-append", kernelLine.join(" ")],
    ["-chardev", "file,id=console,path=/dev/stderr"],
    ["-serial", "chardev:console"],
    ["-chardev", "stdio,id=agent,signal=off"],
    // The CPU's own thread takes what the agent sends, and need not wake another.
    ["-device", "virtio-serial-pci,ioeventfd=off"],
    ["-device", "virtserialport,chardev=agent,name=agent"],
    board.args,
  ].flat();
}
