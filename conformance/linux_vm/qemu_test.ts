// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { DEVICES } from "./devices/devices.ts";
import { qemuArgs } from "./qemu.ts";

const BUILT = { kernel: "/cache/bzImage-1", initramfs: "/cache/initramfs-1" };

/** The values of an option, in order. */
function valuesOf(args: readonly string[], option: string): string[] {
  return args.filter((_, index) => args[index - 1] === option);
}

describe("QEMU's command line", () => {
  const args = qemuArgs(BUILT, "tcg");

  it("boots what was built", () => {
    assertEquals(valuesOf(args, "-kernel"), [BUILT.kernel]);
    assertEquals(valuesOf(args, "-initrd"), [BUILT.initramfs]);
  });

  it("carries the protocol over stdio, and the console over standard error", () => {
    assertEquals(valuesOf(args, "-chardev"), [
      "file,id=console,path=/dev/stderr",
      "stdio,id=agent,signal=off",
    ]);
    assertEquals(valuesOf(args, "-serial"), ["chardev:console"]);
    assert(valuesOf(args, "-device").at(-1)!.includes("chardev=agent"));
  });

  it("hands the agent its port, behind what is the kernel's", () => {
    const [line] = valuesOf(args, "-append");
    assertEquals(line!.split(" ").slice(-2), ["--", "/dev/vport0p1"]);
  });

  it("ends with a panic instead of booting again", () => {
    assert(args.includes("-no-reboot"));
    assert(valuesOf(args, "-append")[0]!.split(" ").includes("panic=-1"));
  });

  it("boots on a machine that is too busy to give it its ticks in time", () => {
    // Behind remapped interrupts Linux panics for want of a few ticks.
    const words = valuesOf(args, "-append")[0]!.split(" ");
    assert(words.includes("no_timer_check"));
  });

  it("has a device where one is chosen, which the agent is told of", () => {
    const device = DEVICES.igb!;
    const more = qemuArgs(BUILT, "tcg", device);
    const devices = valuesOf(more, "-device").slice(-2);
    assert(devices[0]!.startsWith("intel-iommu,"));
    assertEquals(devices[1], "igb,addr=04.0");
    const [line] = valuesOf(more, "-append");
    assertEquals(line!.split(" ").slice(-2), ["/dev/vport0p1", device.address]);
  });

  it("has a device without an IOMMU where that is chosen, for who asks for no safety", () => {
    const args = qemuArgs(BUILT, "tcg", DEVICES.igb, "none");
    assert(!args.some((arg) => arg.startsWith("intel-iommu")));
    const words = valuesOf(args, "-append")[0]!.split(" ");
    assert(words.includes("vfio.enable_unsafe_noiommu_mode=1"));
  });

  it("differs by the accelerator, and by nothing else", () => {
    const kvm = qemuArgs(BUILT, "kvm");
    assertEquals(valuesOf(args, "-accel"), ["tcg"]);
    assertEquals(valuesOf(kvm, "-accel"), ["kvm"]);
    assertEquals(
      kvm.filter((arg) => arg !== "kvm"),
      args.filter((arg) => arg !== "tcg"),
    );
  });
});
