// SPDX-License-Identifier: GPL-2.0-only

/**
 * Regions of VFIO devices: configuration space, BARs and ROMs, which are read,
 * written and mapped.
 *
 * @module
 */

import {
  MAP_FIXED,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../../../impl/uapi/mman.ts";
import {
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_OFFSET_SHIFT,
  VFIO_PCI_ROM_REGION_INDEX,
} from "../../../../impl/uapi/vfio/device.ts";
import {
  PCI_CAP_ID_EXP,
  PCI_CAPABILITY_LIST,
  PCI_COMMAND,
} from "../../../../impl/pci/config_space.ts";
import type { Fd, OpenFile, Proc } from "../known/world.ts";
import { type Maker, patchOf } from "../maker.ts";
import { placeForPages } from "./arena.ts";
import type { Action } from "./files.ts";
import { someDevice } from "./vfio.ts";

const REGION = 2 ** VFIO_PCI_OFFSET_SHIFT;
const CONFIG = REGION * VFIO_PCI_CONFIG_REGION_INDEX;
const ROM = REGION * VFIO_PCI_ROM_REGION_INDEX;
/** Bytes of the registers of a copy engine. */
const REGISTERS = 0x34;

/** Where BARs are in configuration space. */
const BARS = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24];
/** Where it ends, of a device of PCI Express and of others. */
const ENDS = [4096, 256];
/** In the capability of PCI Express, where a function is reset. */
const DEVICE_CONTROL = 8;
const RESET_FUNCTION = 0x8000;
/** Capabilities that are followed at most. */
const MOST_CAPABILITIES = 6;

/** Reads bytes at an offset; undefined where that failed. */
export function readAt(
  maker: Maker,
  process: Proc,
  on: Fd,
  offset: number,
  bytes: number,
): Uint8Array | undefined {
  const into = new Uint8Array(bytes);
  const number = Number(on.fd.value);
  const read = maker.addOn(process, on, [], "pread", number, into, offset);
  return read && read.result === bytes ? read.back : undefined;
}

/** Writes bytes at an offset. */
export function writeAt(
  maker: Maker,
  process: Proc,
  on: Fd,
  offset: number,
  bytes: Uint8Array<ArrayBuffer>,
): void {
  const number = Number(on.fd.value);
  maker.addOn(process, on, [], "pwrite", number, bytes, offset);
}

/** Has a device answer in its memory and do DMA, or what the bits of its command say. */
export function enable(maker: Maker, process: Proc, on: Fd, bits = 6): void {
  writeAt(
    maker,
    process,
    on,
    CONFIG + PCI_COMMAND,
    Uint8Array.of(bits, 0, 0, 0),
  );
}

function readConfig(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const on = someDevice(maker, process);
  if (on === undefined) return;
  const bytes = chance.maybe([1, 2, 4, 4, 8])!;
  const at = chance.percent(92)
    ? 4 * chance.below(16)
    : chance.maybe(ENDS)! - chance.maybe([0, 2, 4])!;
  readAt(maker, process, on, CONFIG + at, bytes);
}

/** Registers that can be written: the command, BARs, the interrupt line. What became of it is read sometimes. */
function writeConfig(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const on = someDevice(maker, process);
  if (on === undefined) return;
  const at = chance.maybe([PCI_COMMAND, PCI_COMMAND, ...BARS, 0x30, 0x3c, 0])!;
  const bits = chance.weighted([[40, 6], [25, 0], [15, 2], [20, 7]]);
  if (at === PCI_COMMAND) return enable(maker, process, on, bits);
  const bytes = chance.percent(50)
    ? new Uint8Array(4).fill(0xff)
    : chance.bytes(4);
  writeAt(maker, process, on, CONFIG + at, bytes);
  if (chance.percent(40)) readAt(maker, process, on, CONFIG + at, 4);
}

/** Where the control of PCI Express is in devices that were asked; 0 for nowhere. */
const controls = new WeakMap<OpenFile, number>();

/** Follows the list of capabilities to the one of PCI Express. */
function findControl(maker: Maker, process: Proc, on: Fd): number {
  const read = (at: number, bytes: number) =>
    readAt(maker, process, on, CONFIG + at, bytes);
  let [at] = read(PCI_CAPABILITY_LIST, 1) ?? [];
  for (let left = MOST_CAPABILITIES; at && left > 0; left--) {
    const [id, next] = read(at, 2) ?? [];
    if (id === PCI_CAP_ID_EXP) return at + DEVICE_CONTROL;
    at = next;
  }
  return 0;
}

/** Resets a function by its own register, or sets something else there. */
function writeControl(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const on = someDevice(maker, process);
  if (on === undefined) return;
  const at = controls.get(on.file) ?? findControl(maker, process, on);
  controls.set(on.file, at);
  if (at === 0) return;
  const bits = chance.percent(70) ? RESET_FUNCTION : 1 << chance.below(15);
  const bytes = Uint8Array.of(bits & 0xff, bits >> 8);
  writeAt(maker, process, on, CONFIG + at, bytes);
  if (chance.percent(60)) readAt(maker, process, on, CONFIG + at, 2);
}

/** Reads a ROM, or registers of a copy engine: those of other devices are each machine's own. */
function readRegion(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const on = someDevice(maker, process);
  if (on === undefined) return;
  if (maker.devices.areEngines && chance.percent(60)) {
    const at = 4 * chance.below(REGISTERS / 4);
    readAt(maker, process, on, at, chance.maybe([4, 8, REGISTERS - at])!);
    return;
  }
  const at = chance.maybe([0, 512, 1534, 2046, 4093, 4096])!;
  readAt(maker, process, on, ROM + at, chance.maybe([1, 4, 8])!);
}

/** Maps a part of a BAR, or of what cannot be mapped. */
function mapRegion(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const on = someDevice(maker, process);
  if (on === undefined) return;
  const pages = chance.percent(60) ? 1 : chance.between(1, 4);
  const region = REGION * chance.weighted([[70, 0], [20, 3], [10, 7]]);
  maker.add(
    process,
    patchOf(4, on.fd),
    "mmap",
    placeForPages(maker, pages),
    pages * PAGE_SIZE,
    PROT_READ | PROT_WRITE,
    MAP_FIXED | MAP_SHARED,
    Number(on.fd.value),
    region,
  );
}

/** What a process does with regions, by the names that profiles have. */
export const REGISTER_ACTIONS: Readonly<Record<string, Action>> = {
  "read config": readConfig,
  "write config": writeConfig,
  "write control": writeControl,
  "read region": readRegion,
  "map region": mapRegion,
};
