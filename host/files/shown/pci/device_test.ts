// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../../../impl/kernel.ts";
import { CopyEngine } from "../../../../impl/pci/devices/copy_engine.ts";
import { Igb } from "../../../../impl/pci/devices/igb/igb.ts";
import { ENOENT } from "../../../../impl/uapi/errno.ts";
import { AT_FDCWD } from "../../../sys/structs.ts";
import { Sys } from "../../../sys/sys.ts";
import { Shown } from "../shown.ts";

const sys = Sys.shared;
const LOOKER = { tgid: Deno.pid, tid: Deno.pid };

/** What is shown of a machine with two PCI devices, the second of which came later. */
function fixture() {
  const kernel = new Kernel();
  const { pci } = kernel.addPciDevice(new Igb());
  const shown = new Shown({
    kernel,
    sys,
    processOf: () => undefined,
    fileOfSocket: () => undefined,
  });
  const rom = new Uint8Array(3000);
  const later = kernel.addPciDevice(new CopyEngine({ rom })).pci;
  const find = (path: string, follows = true) =>
    shown.resolve(LOOKER, AT_FDCWD, path, follows);
  const read = (path: string) => {
    const node = find(path)?.node;
    return node?.kind === "text" ? node.read(LOOKER) : undefined;
  };
  const names = (path: string) =>
    shown.entriesOf(LOOKER, path).map(({ name }) => name);
  const stat = (path: string) => shown.attributesOf(LOOKER, find(path)!);
  return { kernel, pci, later, shown, find, read, names, stat };
}

describe("A PCI device of VFIO's", () => {
  const { kernel, pci, later, find, read, names, stat } = fixture();
  const bus = `/sys/bus/pci/devices/${pci.name}`;
  const directory = `/sys/devices/pci0000:00/${pci.name}`;

  it("is found on its bus, by its driver and by its group", () => {
    const { id } = pci.group!;
    const paths = [
      bus,
      `/sys/bus/pci/drivers/vfio-pci/${pci.name}`,
      `/sys/kernel/iommu_groups/${id}/devices/${pci.name}`,
      "/sys/class/vfio-dev/vfio0/device",
      `${directory}/vfio-dev/vfio0/device`,
    ];
    for (const path of paths) assertEquals(find(path)?.path, directory, path);
    assertEquals(
      find(`${bus}/iommu_group`)?.path,
      `/sys/kernel/iommu_groups/${id}`,
    );
    assertEquals(
      find(`${bus}/driver`)?.path,
      "/sys/bus/pci/drivers/vfio-pci",
    );
    assertEquals(find(`${bus}/subsystem`)?.path, "/sys/bus/pci");
  });

  it("says which it is as sysfs does", () => {
    const attributes = {
      vendor: "0x8086\n",
      device: "0x10c9\n",
      class: "0x020000\n",
      power_state: "D3hot\n",
    };
    for (const [name, text] of Object.entries(attributes)) {
      assertEquals(read(`${bus}/${name}`), text, name);
    }
    const uevent = read(`${bus}/uevent`)!.split("\n");
    assertEquals(uevent.slice(0, 3), [
      "DRIVER=vfio-pci",
      "PCI_CLASS=20000",
      "PCI_ID=8086:10C9",
    ]);
    assertEquals(uevent[4], `PCI_SLOT_NAME=${pci.name}`);
    const alias = /^pci:v00008086d000010C9sv\w{8}sd\w{8}bc02sc00i00\n$/;
    assert(alias.test(read(`${bus}/modalias`)!), read(`${bus}/modalias`));
  });

  it("has what a driver and its user look at", () => {
    const modes: Record<string, number> = {
      vendor: 0o444,
      enable: 0o644,
      driver_override: 0o644,
      numa_node: 0o644,
      resource: 0o444,
      resource0: 0o600,
      resource2: 0o600,
      reset: 0o200,
      reset_method: 0o644,
      remove: 0o200,
      rescan: 0o200,
      uevent: 0o644,
      irq: 0o444,
      local_cpus: 0o444,
      local_cpulist: 0o444,
      "power/control": 0o644,
      "power/runtime_status": 0o444,
      "vfio-dev/vfio0/power/control": 0o644,
    };
    for (const [name, mode] of Object.entries(modes)) {
      assertEquals(stat(`${bus}/${name}`).mode, 0o100000 | mode, name);
    }
    for (const [index, bar] of pci.device.bars.entries()) {
      if (bar === undefined) continue;
      assertEquals(stat(`${bus}/resource${index}`).size, bar.size);
    }
    assertEquals(names(directory).includes("resource0_wc"), false);
    assertEquals(
      assertThrows(() => find(`${bus}/msi_irqs`)),
      ENOENT,
      "also where the host has a device with messages at that address",
    );
    assertEquals(
      find(`${bus}/iommu`)?.path,
      "/sys/devices/virtual/iommu/dmar0",
    );
    for (const name of ["vfio", "vfio_pci", "iommufd"]) {
      assertEquals(find(`/sys/module/${name}`)?.node?.kind, "directory");
    }
    assertEquals(
      read("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"),
      undefined,
      "iommufd is the container",
    );
  });

  it("has its BARs and its configuration space", () => {
    const lines = read(`${bus}/resource`)!.split("\n");
    assertEquals(lines.length, 14, "13 and nothing behind the last");
    const [start, end, flags] = lines[0]!.split(" ").map(Number);
    assertEquals(end! - start! + 1, pci.device.bars[0]!.size);
    assertEquals([start! % 0x1000, flags], [0, 0x40200]);
    const none = `0x${"0".repeat(16)}`;
    assertEquals(lines[12], `${none} ${none} ${none}`);
    const other = read(`/sys/bus/pci/devices/${later.name}/resource`)!;
    const [from, to, kind] = other.split("\n")[6]!.split(" ").map(Number);
    assertEquals([to! - from! + 1, kind], [4096, 0x46200], "the ROM");
    const config = find(`${bus}/config`)!.node;
    assert(config?.kind === "bytes");
    assertEquals([...config.read().slice(0, 4)], [0x86, 0x80, 0xc9, 0x10]);
    assertEquals(config.size, 4096);
  });

  it("has files with numbers of their own", () => {
    const { id } = pci.group!;
    const device = stat("/dev/vfio/devices/vfio0");
    const group = stat(`/dev/vfio/${id}`);
    assertEquals([device.mode, group.mode], [0o020600, 0o020600]);
    assertEquals(device.number.minor, 0);
    assertEquals(device.number.major === group.number.major, false);
    const number = ({ major, minor }: typeof device.number) =>
      `${major}:${minor}`;
    const dev = read(`${bus}/vfio-dev/vfio0/dev`);
    assertEquals(dev, `${number(device.number)}\n`);
    assertEquals(
      read(`/sys/class/vfio/${id}/dev`),
      `${number(group.number)}\n`,
    );
    const path = `/dev/char/${number(device.number)}`;
    assertEquals(find(path)?.path, "/dev/vfio/devices/vfio0");
    const lines = read("/proc/devices")!.split("\n");
    assert(lines.includes(`${group.number.major} vfio`));
    assert(lines.includes(`${device.number.major} vfio-dev`));
    const majors = lines.slice(1, lines.indexOf("")).map((line) =>
      parseInt(line)
    );
    assertEquals(majors, majors.toSorted((a, b) => a - b));
  });

  it("has in its group what the IOMMU keeps for itself", () => {
    const group = `/sys/kernel/iommu_groups/${pci.group!.id}`;
    assertEquals(
      read(`${group}/reserved_regions`),
      "0x00000000fee00000 0x00000000feefffff msi\n",
    );
    assertEquals(names(`${group}/devices`), [pci.name]);
  });

  it("has virtual functions as soon as it is told, which go again", () => {
    const node = find(`${bus}/sriov_numvfs`)!.node;
    assert(node?.kind === "served" && node.mode === 0o644);
    const { sriov } = pci;
    assertEquals(read(`${bus}/sriov_totalvfs`), "7\n");
    assertEquals(read(`${bus}/sriov_vf_device`), "10ca\n");
    const before = names("/dev/vfio");
    sriov!.setNumVfs(2);
    const at = "/sys/devices/pci0000:00/0000:00:14.2";
    assertEquals(find(`${bus}/virtfn1`)?.path, at);
    assertEquals(find(`${at}/physfn`)?.path, directory);
    assertEquals(read(`${at}/vendor`), "0x8086\n");
    assertEquals(read(`${at}/device`), "0x10ca\n");
    const lines = (path: string) => read(`${path}/resource`)!.split("\n");
    const [own] = lines(at);
    const [start, end] = lines(bus)[7]!.split(" ").map(Number);
    assertEquals(end! - start! + 1, 7 * 0x4000);
    assertEquals(Number(own!.split(" ")[0]), start! + 0x4000);
    assertEquals(find("/sys/bus/pci/devices/0000:00:14.2")?.path, at);
    assertEquals(names("/dev/vfio/devices").length, 4);
    const minors = names("/dev/vfio").filter((name) => /^\d+$/.test(name))
      .map((name) => stat(`/dev/vfio/${name}`).number.minor);
    assertEquals(minors.toSorted(), [0, 1, 2, 3]);
    sriov!.setNumVfs(0);
    assertEquals(names("/dev/vfio/devices"), ["vfio0", "vfio1"]);
    assertEquals(names("/dev/vfio"), before);
    assertEquals(names("/sys/class/vfio-dev"), ["vfio0", "vfio1"]);
    assertEquals(find(at)?.node, undefined);
    assertEquals(assertThrows(() => find(`${bus}/virtfn1`, false)), ENOENT);
    sriov!.setNumVfs(1);
    assertEquals(names("/dev/vfio/devices"), ["vfio0", "vfio1", "vfio2"]);
    sriov!.setNumVfs(0);
  });

  it("is seen when it came after the program", () => {
    assertEquals(names("/dev/vfio/devices"), ["vfio0", "vfio1"]);
    assertEquals(names("/sys/class/vfio-dev"), ["vfio0", "vfio1"]);
    assertEquals(stat("/dev/vfio/devices/vfio1").number.minor, 1);
    assertEquals(stat(`/dev/vfio/${later.group!.id}`).number.minor, 1);
    kernel.registerDevice("/dev/own", () => {
      throw new Error("is not opened");
    });
    assertEquals(find("/sys/class/misc/own")?.node?.kind, "directory");
    assertEquals(stat("/dev/own").number.major, 10);
  });
});
