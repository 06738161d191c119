// SPDX-License-Identifier: GPL-2.0-only

/**
 * Character devices as a program may look for them: in `/dev`, in `/sys` by
 * class and by number, in `/proc`.
 *
 * @module
 */

import type { OpenDevice } from "../../../impl/kernel/files/file.ts";
import type { Kernel } from "../../../impl/kernel.ts";
import type { VfioDevice } from "../../../impl/vfio/device.ts";
import { nameOfDevice } from "../../../impl/vfio/vfio.ts";
import {
  attribute,
  type DeviceNumber,
  type Showing,
  type Text,
  type Tree,
  TreePart,
} from "./node.ts";
import { showPciDevice } from "./pci/device.ts";
import { showModules } from "./pci/system.ts";

/** What there is to know of a character device. */
export interface DeviceDescription {
  /** Where it is opened: below `/dev`. */
  readonly path: string;
  readonly number: DeviceNumber;
  /** Permissions, 9 bits. */
  readonly mode: number;
  /** Its directory below `/sys/devices`, such as `virtual/misc/iommu`: the last name is its own. */
  readonly at: string;
  /** The class that it is of, such as `misc`. */
  readonly ofClass: string;
  /** Whether its uevent tells the permissions. */
  readonly tellsMode: boolean;
  readonly open: OpenDevice;
}

/** The major number of the devices that are registered one by one (Linux: MISC_MAJOR). */
const MISC_MAJOR = 10;
/** The minor numbers above it are given to those that want any (Linux: MISC_DYNAMIC_MINOR). */
const MISC_DYNAMIC_MINOR = 255;

/** What the kernel's own devices say of themselves; a device of somebody else is found by its path's last name. */
const MISC: Readonly<Record<string, { mode: number; minor?: number }>> = {
  "/dev/iommu": { mode: 0o660 },
  "/dev/vfio/vfio": { mode: 0o666, minor: 196 },
};

/** The highest major number that is given to who wants any (Linux: CHRDEV_MAJOR_DYN_END and above). */
const MAX_MAJOR = 254;
/** What the paths of VFIO's files have before their number. */
const DEVICES = "devices/";
const VFIO_PATH = /^\/dev\/vfio\/(devices\/|)(?:noiommu-)?(?:vfio)?(\d+)$/;

/** Shows a device in every place. */
function showDevice(tree: Showing, device: DeviceDescription): void {
  const { path, number, mode, at, ofClass, open } = device;
  const id = `${number.major}:${number.minor}`;
  const name = at.slice(at.lastIndexOf("/") + 1);
  const directory = `/sys/devices/${at}`;
  tree.add(path, { kind: "device", mode, number, open });
  tree.link(`/dev/char/${id}`, `..${path.slice("/dev".length)}`);
  tree.add(`${directory}/dev`, attribute(`${id}\n`));
  tree.add(`${directory}/uevent`, attribute(ueventOf(device), 0o644));
  tree.link(`${directory}/subsystem`, `${upFrom(at)}class/${ofClass}`);
  tree.link(`/sys/class/${ofClass}/${name}`, `../../devices/${at}`);
  tree.add(`${directory}/power/control`, attribute("auto\n", 0o644));
  tree.add(`${directory}/power/runtime_status`, attribute("unsupported\n"));
  tree.link(`/sys/dev/char/${id}`, `../../devices/${at}`);
}

function ueventOf(device: DeviceDescription): string {
  const { path, number, mode, tellsMode } = device;
  const lines = [
    `MAJOR=${number.major}`,
    `MINOR=${number.minor}`,
    `DEVNAME=${path.slice("/dev/".length)}`,
  ];
  if (tellsMode) lines.push(`DEVMODE=0${mode.toString(8)}`);
  return lines.map((line) => `${line}\n`).join("");
}

/** From a directory below `/sys/devices` to `/sys`. */
function upFrom(at: string): string {
  return "../".repeat(at.split("/").length + 1);
}

/** What is asked of the host's own devices. */
export interface HostDevices {
  /** The text of a file; undefined if there is none. */
  read(path: string): string | undefined;
}

/** A device that is shown. */
interface ShownDevice {
  readonly open: OpenDevice;
  readonly part: TreePart;
}

/** The devices of a kernel, which come and go. */
export class ShownDevices {
  readonly #tree: Tree;
  readonly #kernel: Kernel;
  readonly #host: HostDevices;
  readonly #shown = new Map<string, ShownDevice>();
  /** Minor numbers of misc devices that are taken, on the host or here. */
  readonly #minors: Set<number>;
  /** Minor numbers of files of groups, by their paths. */
  readonly #groupMinors = new Map<string, number>();
  #changes = -1;
  /** Lines of `/proc/misc`, the newest first. */
  #misc = "";
  /** Major numbers of classes that are here alone, by what `/proc/devices` calls them. */
  readonly #majors = new Map<string, number>();

  /** Shows those that there are by now, but for what every host has. */
  constructor(tree: Tree, kernel: Kernel, host: HostDevices) {
    this.#tree = tree;
    this.#kernel = kernel;
    this.#host = host;
    const misc = () => host.read("/proc/misc") ?? "";
    this.#minors = new Set(misc().match(/^ *\d+/gm)?.map(Number));
    tree.add("/proc/misc", procFile(() => this.#misc + misc()));
    tree.add("/proc/devices", procFile(() => this.#procDevices()));
    this.update();
  }

  /** Shows what was registered meanwhile, and no longer what is gone. */
  update(): void {
    const { devices, deviceChanges } = this.#kernel;
    if (deviceChanges === this.#changes) return;
    this.#changes = deviceChanges;
    for (const [path, { open, part }] of this.#shown) {
      if (devices.get(path) === open) continue;
      part.remove();
      this.#shown.delete(path);
      this.#groupMinors.delete(path);
    }
    for (const [path, open] of devices) {
      if (this.#shown.has(path)) continue;
      const part = new TreePart(this.#tree);
      this.#shown.set(path, { open, part });
      if (path.startsWith("/dev/") && path !== "/dev/null") {
        this.#show(part, path, open);
      }
    }
  }

  #show(part: TreePart, path: string, open: OpenDevice): void {
    const { devices, groups } = this.#kernel.vfio;
    const [, kind, number] = VFIO_PATH.exec(path) ?? [];
    const device = kind === DEVICES
      ? devices.find(({ index }) => index === Number(number))
      : undefined;
    const group = [...groups.keys()].find(({ id }) => id === Number(number));
    if (device !== undefined) this.#showVfioDevice(part, path, device, open);
    else if (kind === "" && group !== undefined) {
      this.#showGroup(part, path, open);
    } else this.#showMisc(part, path, open);
  }

  /** A misc device, with a minor number that is free. */
  #showMisc(part: TreePart, path: string, open: OpenDevice): void {
    const { mode, minor: wanted } = MISC[path] ?? { mode: 0o600 };
    const minor = wanted ?? nextMinor(MISC_DYNAMIC_MINOR + 1, this.#minors);
    this.#minors.add(minor);
    const name = path.slice(path.lastIndexOf("/") + 1);
    showDevice(part, {
      path,
      number: { major: MISC_MAJOR, minor },
      mode,
      at: `virtual/misc/${name}`,
      ofClass: "misc",
      tellsMode: true,
      open,
    });
    this.#misc = `${String(minor).padStart(3)} ${name}\n${this.#misc}`;
  }

  /** The file of a group, with the first minor number that is free. */
  #showGroup(part: TreePart, path: string, open: OpenDevice): void {
    const major = this.#majorOf("vfio");
    const minor = nextMinor(0, new Set(this.#groupMinors.values()));
    this.#groupMinors.set(path, minor);
    showDevice(part, {
      path,
      number: { major, minor },
      mode: 0o600,
      at: `virtual/vfio/${path.slice("/dev/vfio/".length)}`,
      ofClass: "vfio",
      tellsMode: false,
      open,
    });
  }

  /** The file of a device, and the device. */
  #showVfioDevice(
    part: TreePart,
    path: string,
    device: VfioDevice,
    open: OpenDevice,
  ): void {
    // Groups are registered first.
    this.#majorOf("vfio");
    const at = `${device.pci.path}/vfio-dev/${nameOfDevice(device)}`;
    showModules(this.#tree, this.#kernel);
    showPciDevice(part, device, this.#host);
    showDevice(part, {
      path,
      number: { major: this.#majorOf("vfio-dev"), minor: device.index },
      mode: 0o600,
      at,
      ofClass: "vfio-dev",
      tellsMode: false,
      open,
    });
    part.link(`/sys/devices/${at}/device`, `../../../${device.pci.name}`);
  }

  /** The major number of a class, the highest that is free at first. */
  #majorOf(name: string): number {
    let major = this.#majors.get(name);
    if (major !== undefined) return major;
    const text = this.#host.read("/proc/devices") ?? "";
    const taken = new Set(text.match(/^ *\d+/gm)?.map(Number));
    for (const other of this.#majors.values()) taken.add(other);
    for (major = MAX_MAJOR; taken.has(major);) major--;
    this.#majors.set(name, major);
    return major;
  }

  /** `/proc/devices`: the host's, and among its character devices ours. */
  #procDevices(): string {
    const text = this.#host.read("/proc/devices") ?? "Character devices:\n\n";
    const end = text.indexOf("\n\n");
    const lines = text.slice(0, end < 0 ? text.length : end).split("\n");
    for (const [name, major] of this.#majors) {
      const after = lines.findIndex((line) => parseInt(line) > major);
      const place = after < 0 ? lines.length : after;
      lines.splice(place, 0, `${String(major).padStart(3)} ${name}`);
    }
    return lines.join("\n") + (end < 0 ? "\n" : text.slice(end));
  }
}

function procFile(read: () => string): Text {
  return { kind: "text", mode: 0o444, size: 0, read };
}

/** The first number from one on that is free. */
function nextMinor(from: number, taken: ReadonlySet<number>): number {
  let minor = from;
  while (taken.has(minor)) minor++;
  return minor;
}
