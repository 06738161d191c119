// SPDX-License-Identifier: GPL-2.0-only

/**
 * Boots a small Linux in Debian's QEMU, to which an Ethernet controller of the
 * model is assigned: in the machine's own QEMU through its group, in that of a
 * newer release through iommufd.
 *
 * ```sh
 * deno task clients:guest [group] [iommufd]
 * ```
 *
 * @module
 */

import { cacheFolder } from "../../conformance/linux_vm/cache.ts";
import { DEVICES } from "../../conformance/linux_vm/devices/devices.ts";
import {
  findQemu,
  OWN_QEMU,
  provideQemu,
  type Qemu,
} from "../../conformance/linux_vm/devices/newer_qemu.ts";
import { Igb } from "../../impl/pci/devices/igb/igb.ts";
import { hostKernel, run } from "../mod.ts";
import { type Guest, provideGuest, TOLD } from "./guest.ts";

const say = (line: string) => console.error(line);
const folder = cacheFolder();
/** What the guest must tell; what is counted is at least 1. */
const EXPECTED: Readonly<Record<string, string>> = {
  "ids": "0x8086 0x10c9 0x020000",
  "bar 0": "20000",
  "bar 1": "20000",
  "bar 2": "20",
  "bar 3": "4000",
  "driver": "igb",
  "messages": "3",
  "address": "02:49:47:42:00:20",
  "carrier": "1",
};
const COUNTED = [
  "sent",
  "received",
  "interrupts eth0-rx-0",
  "interrupts eth0-tx-0",
];

/** The ways, and how QEMU is told. */
const WAYS: Readonly<
  Record<string, { readonly args: readonly string[]; qemu(): Promise<Qemu> }>
> = {
  group: {
    args: ["-device", "vfio-pci,host=0000:00:04.0"],
    qemu: () => Promise.resolve(OWN_QEMU),
  },
  iommufd: {
    args: [
      ...["-object", "iommufd,id=iommufd0"],
      ...["-device", "vfio-pci,host=0000:00:04.0,iommufd=iommufd0"],
    ],
    async qemu() {
      await provideQemu(folder, [DEVICES.igb!], say);
      return await findQemu(folder, DEVICES.igb!);
    },
  },
};

/** What QEMU says of each BAR that it cannot have other devices reach, as with Linux's iommufd. */
const BAR_WARNING = "IOMMU_IOAS_MAP failed: Bad address, PCI BAR?";

/** What is wrong with what a guest told. */
function problemsOf(told: readonly string[]): string[] {
  const ends = (name: string) =>
    told.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1);
  const problems = Object.entries(EXPECTED)
    .filter(([name, value]) => ends(name) !== value)
    .map(([name, value]) => `${name}: ${ends(name)}, not ${value}`);
  for (const name of COUNTED) {
    if (!(Number(ends(name)) > 0)) problems.push(`${name}: ${ends(name)}`);
  }
  if (ends("sent") !== ends("received")) problems.push("frames are lost");
  if (told.includes("timeout")) problems.push("a frame was never sent");
  return problems;
}

/** Boots a guest; resolves to what it told. */
async function boot(way: string, guest: Guest): Promise<string[]> {
  const { args, qemu } = WAYS[way]!;
  const { program, args: before } = await qemu();
  const kernel = hostKernel();
  kernel.addPciDevice(new Igb({ wire: "loop" }));
  const { stdout, stderr } = await run(program, [
    ...before,
    ...["-accel", "tcg", "-cpu", "max", "-machine", "q35", "-m", "256M"],
    ...["-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio"],
    ...["-kernel", guest.kernel, "-initrd", guest.initramfs],
    ...["-append", "console=ttyS0 quiet panic=-1 nokaslr tsc=reliable"],
    ...args,
  ], { kernel, trapsStores: true });
  const complaints = stderr.split("\n")
    .filter((line) => line !== "" && !line.endsWith(BAR_WARNING));
  for (const line of complaints) say(line);
  if (kernel.audit().length > 0) throw new Error(kernel.audit().join("\n"));
  return stdout.split(/\r?\n/).filter((line) => line.startsWith(TOLD))
    .map((line) => line.slice(TOLD.length));
}

const ways = Deno.args.length > 0 ? Deno.args : Object.keys(WAYS);
const unknown = ways.find((way) => !Object.hasOwn(WAYS, way));
if (unknown !== undefined) {
  say(
    `"${unknown}" is no way to assign a device: ${
      Object.keys(WAYS).join(", ")
    }`,
  );
  Deno.exit(2);
}
await Deno.mkdir(folder, { recursive: true });
const guest = await provideGuest(folder, say);
for (const way of ways) {
  const started = performance.now();
  const told = await boot(way, guest);
  const problems = problemsOf(told);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`${way}: ${seconds} s; ${told.join("; ")}`);
  for (const problem of problems) console.error(`${way}: ${problem}`);
  if (problems.length > 0) Deno.exitCode = 1;
}
