// SPDX-License-Identifier: GPL-2.0-only

/**
 * A small Linux, of Debian's kernel with its driver of the 82576, which tells on
 * its serial line what becomes of the device that is assigned to it.
 *
 * @module
 */

import {
  cpioArchive,
  type CpioEntry,
  DIRECTORY,
  PROGRAM,
} from "../../conformance/linux_vm/cpio.ts";
import { APT_TOOLS, withApt } from "../../conformance/linux_vm/debian/apt.ts";
import type { Say } from "../../conformance/linux_vm/kernels/source.ts";
import { isThere, requireTools } from "../../conformance/linux_vm/programs.ts";

/** The release that the packages are from: their kernel unpacks its modules without help. */
const SUITE = "bookworm";
/** The package of the kernel. */
const KERNEL = /^linux-image-6\.1\.0-(\d+)-amd64$/;
/** The modules, in the order in which they are loaded. */
const MODULES = [
  "drivers/dca/dca.ko",
  "drivers/i2c/algos/i2c-algo-bit.ko",
  "drivers/net/ethernet/intel/igb/igb.ko",
];
/** What the lines that it tells begin with. */
export const TOLD = "GUEST ";

/** What it does: each line that matters begins with `GUEST`. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
device=$(dirname $(grep -l 0x10c9 /sys/bus/pci/devices/*/device))
echo "GUEST ids $(cat $device/vendor $device/device $device/class | xargs)"
for line in 1 2 3 4; do
  set -- $(sed -n \${line}p $device/resource)
  echo "GUEST bar $((line - 1)) $(printf %x $(($2 - $1 + 1)))"
done
for module in ${
  MODULES.map((path) => path.split("/").at(-1)).join(" ")
}; do insmod /$module; done
sleep 1
echo "GUEST driver $(basename $(readlink $device/driver))"
echo "GUEST messages $(ls $device/msi_irqs | wc -l)"
name=$(ls $device/net)
ip link set $name up
for second in 1 2 3 4 5 6 7 8 9; do
  [ "$(cat /sys/class/net/$name/carrier)" = 1 ] && break
  sleep 1
done
echo "GUEST address $(cat /sys/class/net/$name/address)"
echo "GUEST carrier $(cat /sys/class/net/$name/carrier)"
ip addr add 10.0.0.1/24 dev $name
arping -c 3 -w 4 -I $name 10.0.0.2 >/dev/null
sleep 1
echo "GUEST sent $(cat /sys/class/net/$name/statistics/tx_packets)"
echo "GUEST received $(cat /sys/class/net/$name/statistics/rx_packets)"
grep $name- /proc/interrupts | while read number count rest; do
  echo "GUEST interrupts \${rest##* } $count"
done
dmesg | grep -q "transmit queue.*timed out" && echo "GUEST timeout"
poweroff -f
`;

/** Files that boot. */
export interface Guest {
  /** The kernel. */
  readonly kernel: string;
  /** Its first root file system. */
  readonly initramfs: string;
}

/** Makes one in a folder, unless it is there; its packages are fetched. */
export async function provideGuest(folder: string, say: Say): Promise<Guest> {
  const guest = {
    kernel: `${folder}guest-kernel`,
    initramfs: `${folder}guest-initramfs`,
  };
  const parts = `${folder}guest-parts`;
  if (!await isThere(parts)) await fetchParts(folder, parts, guest, say);
  const entries: CpioEntry[] = [
    ...["bin", "proc", "sys", "dev"]
      .map((path) => ({ path, mode: DIRECTORY })),
    { path: "init", mode: PROGRAM, data: new TextEncoder().encode(INIT) },
  ];
  for await (const { name } of Deno.readDir(parts)) {
    const path = name === "busybox" ? "bin/busybox" : name;
    const data = await Deno.readFile(`${parts}/${name}`);
    entries.push({ path, mode: PROGRAM, data });
  }
  await Deno.writeFile(guest.initramfs, cpioArchive(entries));
  return guest;
}

/** The kernel, its modules, and a shell with all its commands. */
async function fetchParts(
  folder: string,
  parts: string,
  guest: Guest,
  say: Say,
): Promise<void> {
  await requireTools(APT_TOOLS);
  await withApt(folder, [SUITE], async (apt) => {
    const names = await apt.packages("linux-image-6.1.0-");
    const kernel = names.filter((name) => KERNEL.test(name))
      .toSorted((a, b) => buildOf(a) - buildOf(b)).at(-1)!;
    let root = "";
    for (const name of [kernel, "busybox-static"]) {
      const version = await apt.newestVersion(name);
      say(`Fetching ${name} ${version}`);
      root = await apt.unpack(name, version);
    }
    const release = kernel.slice("linux-image-".length);
    const modules = `${root}/lib/modules/${release}/kernel`;
    const files = [`${root}/bin/busybox`];
    for (const path of MODULES) files.push(`${modules}/${path}`);
    const made = `${parts}-new`;
    await Deno.mkdir(made, { recursive: true });
    for (const path of files) {
      await Deno.copyFile(path, `${made}/${path.split("/").at(-1)}`);
    }
    await Deno.copyFile(`${root}/boot/vmlinuz-${release}`, guest.kernel);
    await Deno.rename(made, parts);
  });
}

function buildOf(name: string): number {
  return Number(KERNEL.exec(name)![1]);
}
