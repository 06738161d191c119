// SPDX-License-Identifier: GPL-2.0-only

/**
 * Character devices as a program may look for them: in `/dev`, in `/sys` by
 * class and by number, in `/proc`.
 *
 * @module
 */

import type { OpenDevice } from "../../../impl/kernel/files/file.ts";
import { attribute, type DeviceNumber, type Tree } from "./node.ts";

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

/** Shows a device in every place. */
export function showDevice(tree: Tree, device: DeviceDescription): void {
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

/**
 * Shows the devices that a kernel has registered, but for those that every host
 * has, as misc devices with minor numbers that are free on the host.
 * `miscOfHost` reads its `/proc/misc`.
 */
export function showMiscDevices(
  tree: Tree,
  devices: ReadonlyMap<string, OpenDevice>,
  miscOfHost: () => string,
): void {
  const taken = new Set(miscOfHost().match(/^ *\d+/gm)?.map(Number));
  const lines: string[] = [];
  for (const [path, open] of devices) {
    if (!path.startsWith("/dev/") || path === "/dev/null") continue;
    const { mode, minor: wanted } = MISC[path] ?? { mode: 0o600 };
    const minor = wanted ?? nextMinor(taken);
    taken.add(minor);
    const name = path.slice(path.lastIndexOf("/") + 1);
    showDevice(tree, {
      path,
      number: { major: MISC_MAJOR, minor },
      mode,
      at: `virtual/misc/${name}`,
      ofClass: "misc",
      tellsMode: true,
      open,
    });
    lines.unshift(`${String(minor).padStart(3)} ${name}\n`);
  }
  const added = lines.join("");
  const read = () => added + miscOfHost();
  tree.add("/proc/misc", { kind: "text", mode: 0o444, size: 0, read });
}

function nextMinor(taken: ReadonlySet<number>): number {
  let minor = MISC_DYNAMIC_MINOR + 1;
  while (taken.has(minor)) minor++;
  return minor;
}
