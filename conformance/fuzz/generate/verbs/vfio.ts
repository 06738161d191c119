// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO devices and groups: how they are opened, and what their ioctls have
 * behind the struct.
 *
 * @module
 */

import { O_NONBLOCK, O_RDONLY, O_RDWR } from "../../../../impl/uapi/mman.ts";
import {
  VFIO_DEVICE_SET_IRQS,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_SET_CONTAINER,
} from "../../../../impl/uapi/vfio/device.ts";
import type { Patch } from "../../../../selftests/target/program.ts";
import { makeIoctl } from "../ioctls/ioctl.ts";
import { Wheel } from "../chance.ts";
import type { Fd, Proc } from "../known/world.ts";
import type { Maker } from "../maker.ts";
import { storeData } from "./arena.ts";
import type { Action } from "./files.ts";
import { someToken, textOf } from "./tokens.ts";
import { feature } from "./vfio_feature.ts";

/** Names that a device may have, on this machine or another. */
const NAMES = new Wheel([
  [70, "0000:00:04.0"],
  [10, "0000:00:05.0"],
  [10, "0000:01:00.0"],
  [10, "0000:ff:00.0"],
]);

/** Files that devices may have. */
const FILES = new Wheel([
  [60, "/dev/vfio/devices/vfio0"],
  [25, "/dev/vfio/devices/vfio1"],
  [10, "/dev/vfio/devices/noiommu-vfio0"],
  [5, "/dev/vfio/devices/vfio9"],
]);

/** What the machine has, mostly. */
function mostly(
  { chance }: Maker,
  there: readonly string[],
  others: Wheel<string>,
): string {
  const one = chance.percent(88) ? chance.maybe(there) : undefined;
  return one ?? chance.spin(others);
}

/** Opens a device by its own path. */
export function openDevice(maker: Maker, process: Proc): void {
  const path = mostly(maker, maker.devices.files, FILES);
  const flags = maker.chance.percent(95) ? O_RDWR : O_RDONLY;
  maker.add(process, [], "open", path, flags);
}

/** Files that groups may have. */
const GROUPS = new Wheel([
  [40, "/dev/vfio/0"],
  [40, "/dev/vfio/1"],
  [15, "/dev/vfio/2"],
  [5, "/dev/vfio/noiommu-0"],
]);

/** Opens a group. */
function openGroup(maker: Maker, process: Proc): void {
  // A machine may show its card when it is opened first.
  if (maker.devices.groups.length === 0) openDevice(maker, process);
  const path = mostly(maker, maker.devices.groups, GROUPS);
  maker.add(process, [], "open", path, O_RDWR);
}

/** Has a group opened, unless one is, or a device is used without. */
export function needGroup(maker: Maker, process: Proc): void {
  if (maker.usesGroups && process.open("VFIO group").length > 0) return;
  openGroup(maker, process);
}

/** Opens a device, and binds it to an iommufd. */
function openAndBind(maker: Maker, process: Proc): void {
  openDevice(maker, process);
  const bind = maker.shapes.named("VFIO_DEVICE_BIND_IOMMUFD");
  const device = process.open("VFIO device").at(-1);
  if (bind === undefined || device === undefined) return;
  makeIoctl(maker, process, device, bind, {});
}

/** Has a device that can be used opened, one way or the other. */
export function needDevice(maker: Maker, process: Proc): void {
  if (!maker.usesGroups) return openAndBind(maker, process);
  if (process.open("iommufd").length === 0) {
    maker.add(process, [], "open", "/dev/iommu", O_RDWR);
  }
  setContainer(maker, process);
  deviceOfGroup(maker, process);
}

/** A device: mostly one that is bound. */
export function someDevice(maker: Maker, process: Proc): Fd | undefined {
  const all = () => process.open("VFIO device");
  if (all().length === 0) needDevice(maker, process);
  const bound = maker.chance.percent(75)
    ? all().filter(({ file }) => file.context !== undefined)
    : [];
  return maker.chance.maybe(bound) ?? maker.chance.maybe(all());
}

function group(maker: Maker, process: Proc): Fd | undefined {
  needGroup(maker, process);
  return maker.chance.maybe(process.open("VFIO group"));
}

/** A struct of u32 with bytes behind it, the first of which says how long it is. */
function struct(words: readonly number[], data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * words.length + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  words.forEach((word, i) => view.setUint32(4 + 4 * i, word, true));
  bytes.set(data, 4 + 4 * words.length);
  return bytes;
}

/** Interrupts are set up with eventfds, masked, fired, turned off. */
function setIrqs(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const on = someDevice(maker, process);
  if (on === undefined) return;
  const eventfds = process.open("eventfd");
  if (eventfds.length === 0) {
    maker.add(process, [], "eventfd", 0, O_NONBLOCK);
  }
  const action = chance.weighted([[20, 8], [20, 16], [58, 32], [2, 24]]);
  const kind = chance.weighted([[30, 1], [15, 2], [53, 4], [2, 3]]);
  const index = chance.weighted([[35, 0], [25, 1], [30, 2], [8, 4], [2, 9]]);
  const start = chance.percent(80) ? 0 : chance.below(4);
  const count = chance.weighted([[20, 0], [60, 1], [15, 2], [5, 12]]);
  const width = kind === 4 ? 4 : kind === 2 ? 1 : 0;
  const data = new Uint8Array(width * count);
  const patches: Patch[] = [];
  for (let i = 0; kind === 4 && i < count; i++) {
    const fd = chance.percent(80)
      ? chance.maybe(process.open("eventfd"))?.fd
      : undefined;
    const view = new DataView(data.buffer);
    view.setInt32(4 * i, Number(fd?.value ?? -1), true);
    const field = { offset: 20 + 4 * i, bytes: 4 as const };
    if (fd?.from) patches.push({ arg: 2, field, from: fd.from });
  }
  const bytes = struct([kind | action, index, start, count], data);
  const number = Number(on.fd.value);
  maker.addOn(
    process,
    on,
    patches,
    "ioctl",
    number,
    VFIO_DEVICE_SET_IRQS,
    bytes,
  );
}

/** Puts a group into a container. */
export function setContainer(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const on = group(maker, process);
  // Where VFIO has a container of its own, an iommufd takes its place seldom.
  const own = chance.percent(90) ? process.open("type1 container") : [];
  const container = chance.maybe(own) ?? chance.maybe(process.open("iommufd"));
  if (on === undefined || container === undefined) return;
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, Number(container.fd.value), true);
  const { from } = container.fd;
  const field = { offset: 0, bytes: 4 as const };
  const patches = from ? [{ arg: 1, field, from }] : [];
  const address = storeData(maker, process, bytes, 4, patches);
  const number = Number(on.fd.value);
  const cmd = VFIO_GROUP_SET_CONTAINER;
  maker.addOn(process, on, [], "ioctlarg", number, cmd, address);
}

/** Opens a device through its group. */
function deviceOfGroup(maker: Maker, process: Proc): void {
  const on = group(maker, process);
  if (on === undefined) return;
  const { chance, devices } = maker;
  const name = mostly(maker, devices.addresses, NAMES);
  const hasToken = chance.percent(devices.areVirtual ? 50 : 4);
  const more = hasToken ? ` vf_token=${textOf(someToken(maker))}` : "";
  const bytes = new TextEncoder().encode(`${name}${more}\0`);
  const address = storeData(maker, process, bytes);
  const number = Number(on.fd.value);
  const cmd = VFIO_GROUP_GET_DEVICE_FD;
  maker.addOn(process, on, [], "ioctlarg", number, cmd, address);
}

/** What a process does with devices, by the names that profiles have. */
export const VFIO_ACTIONS: Readonly<Record<string, Action>> = {
  "open device": openDevice,
  "open group": (maker, process) => openGroup(maker, process),
  VFIO_DEVICE_SET_IRQS: setIrqs,
  VFIO_DEVICE_FEATURE: (maker, process) => {
    const on = someDevice(maker, process);
    if (on !== undefined) feature(maker, process, on);
  },
  VFIO_GROUP_SET_CONTAINER: setContainer,
  VFIO_GROUP_GET_DEVICE_FD: deviceOfGroup,
};
