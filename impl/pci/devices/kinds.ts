// SPDX-License-Identifier: GPL-2.0-only

/**
 * The kinds of devices that there are, for who chooses one by its name.
 *
 * @module
 */

import type { PciDevice } from "../device.ts";
import { CopyEngine } from "./copy_engine.ts";
import { Igb } from "./igb/igb.ts";
import { IGB_VFS } from "./igb/virtual.ts";
import { Ioat } from "./ioat.ts";
import { NvmeDrive } from "./nvme/nvme.ts";
import type { NvmeStorage } from "./nvme/storage.ts";

/** What can be said of a device, by the name of the option that says it. */
export interface DeviceSettings {
  /** Bytes of memory behind a drive. */
  readonly size?: number;
  /** How many parts with so much memory a drive has. */
  readonly namespaces?: number;
  /** What is behind a drive in place of memory. */
  readonly file?: NvmeStorage;
  /** The same, if nothing may be written. */
  readonly readonly?: NvmeStorage;
  /** Virtual functions that it can have. */
  readonly vfs?: number;
  /** Whether it asks for pages that its DMA does not find. */
  readonly pri?: boolean;
  /** Where the wire of a controller leads. */
  readonly wire?: "loop";
}

/** The name of an option. */
export type DeviceOption = keyof DeviceSettings;

/** What people are told of each option. */
export const DEVICE_OPTIONS: Readonly<
  Record<DeviceOption, { readonly form: string; readonly summary: string }>
> = {
  size: { form: "BYTES", summary: "its memory; default 64M" },
  namespaces: {
    form: "N",
    summary: "namespaces of that size; default 1",
  },
  file: { form: "PATH", summary: "a file in place of memory" },
  readonly: { form: "PATH", summary: "a file that nobody can write to" },
  vfs: {
    form: "N",
    summary: `virtual functions; default ${IGB_VFS} of igb`,
  },
  pri: { form: "on", summary: "asks for pages that are not mapped" },
  wire: { form: "loop", summary: "a plug that leads all frames back" },
};

/** A kind of device. */
export interface DeviceKind {
  /** What it is, for people. */
  readonly summary: string;
  /** What can be said of it. */
  readonly options: readonly DeviceOption[];
  /** Makes one, which is in no machine yet. Throws a RangeError for what cannot be. */
  make(settings: DeviceSettings): PciDevice;
}

/** All kinds, by name. */
export const DEVICE_KINDS: Readonly<Record<string, DeviceKind>> = {
  dma: {
    summary: "a copy engine, for a first test",
    options: ["vfs", "pri"],
    make: (settings) => new CopyEngine(settings),
  },
  igb: {
    summary: "an Ethernet controller (82576)",
    options: ["vfs", "wire"],
    make: (settings) => new Igb(settings),
  },
  ioat: {
    summary: "a DMA engine (I/OAT)",
    options: [],
    make: () => new Ioat(),
  },
  nvme: {
    summary: "an NVMe drive",
    options: ["size", "namespaces", "file", "readonly"],
    make: makeDrive,
  },
};

/** A drive with memory or a file behind it. */
function makeDrive(
  { size, namespaces, file, readonly }: DeviceSettings,
): PciDevice {
  const files = [file, readonly].filter((storage) => storage !== undefined);
  if (files.length === 0) {
    const memory = new Array<number>(namespaces ?? 1).fill(size ?? 2 ** 26);
    return new NvmeDrive(memory[0]!, ...memory.slice(1));
  }
  if (files.length === 2 || (size ?? namespaces) !== undefined) {
    throw new RangeError("A drive has memory, or one file behind it");
  }
  return new NvmeDrive(files[0]!);
}
