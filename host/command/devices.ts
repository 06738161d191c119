// SPDX-License-Identifier: GPL-2.0-only

/**
 * The devices that a command line asks for.
 *
 * @module
 */

import {
  orUsageError,
  suggestion,
  UsageError,
} from "../../conformance/lib/usage_error.ts";
import type { Kernel } from "../../impl/kernel.ts";
import type { PciPlace } from "../../impl/pci/bus.ts";
import { PciDevice } from "../../impl/pci/device.ts";
import {
  DEVICE_KINDS,
  type DeviceOption,
  type DeviceSettings,
} from "../../impl/pci/devices/kinds.ts";
import type { NvmeStorage } from "../../impl/pci/devices/nvme/storage.ts";
import type { PciFunction } from "../../impl/pci/function.ts";
import { parseBytes } from "./numbers.ts";

/** A device that is to be in the machine. */
export interface DeviceRequest {
  /** What was asked for, as it was written. */
  readonly text: string;
  /** Its kind, or the path of a module. */
  readonly kind: string;
  /** What is said of it, as it was written. */
  readonly options: ReadonlyMap<DeviceOption, string>;
  /** Its address; undefined for the next that is free. */
  readonly at: string | undefined;
  /** Those with the same name are in one group; undefined for a group of its own. */
  readonly group: string | undefined;
  /** Whether an IOMMU is in front of it. */
  readonly hasIommu: boolean;
}

/** Where devices come from that are not in the table of kinds, and what is behind them. */
export interface DeviceSources {
  /** The default export of a module. */
  load(path: string): Promise<unknown>;
  /** Opens a file, for a drive to keep its bytes in. */
  openStorage(
    path: string,
    options?: { readonly isReadOnly?: boolean },
  ): NvmeStorage;
}

/** The most of a part that a device can have. */
const MAX_COUNT = 256;

/** What can be said of every device. */
const PLACES = ["at", "group", "iommu"] as const;

/** Reads `KIND[,OPTION=VALUE]…`. Throws {@link UsageError}. */
export function parseDevice(text: string): DeviceRequest {
  const [kind = "", ...words] = text.split(",");
  const known = optionsOf(kind);
  const given = new Map<string, string>();
  for (const word of words) {
    const [name = "", value = ""] = cut(word);
    if (!known.includes(name)) {
      throw new UsageError(
        `Unknown option "${name}" of device ${kind}: it must be ${
          known.join(", ")
        }.${suggestion(name, known)}`,
      );
    }
    if (value === "") {
      throw new UsageError(`Option ${name} of device ${kind} needs a value.`);
    }
    if (given.has(name)) {
      throw new UsageError(`Option ${name} of device ${kind} is there twice.`);
    }
    given.set(name, value);
  }
  const [at, group, iommu] = PLACES.map((name) => given.get(name));
  if (iommu !== undefined && iommu !== "none") {
    throw new UsageError(
      `Option iommu of device ${kind} must be none, not "${iommu}".`,
    );
  }
  for (const name of PLACES) given.delete(name);
  const options = given as ReadonlyMap<DeviceOption, string>;
  const hasIommu = iommu === undefined;
  return { text, kind, options, at, group, hasIommu };
}

/** The name of an option, and its value. */
function cut(word: string): readonly [name: string, value: string] {
  const equals = word.indexOf("=");
  return equals < 0
    ? [word, ""]
    : [word.slice(0, equals), word.slice(equals + 1)];
}

/** Whether it names a module: a path. */
function isModule(kind: string): boolean {
  return kind.includes("/") || /\.[cm]?[jt]s$/.test(kind);
}

/** What can be said of a device of a kind. */
function optionsOf(kind: string): readonly string[] {
  if (isModule(kind)) return PLACES;
  if (Object.hasOwn(DEVICE_KINDS, kind)) {
    return [...DEVICE_KINDS[kind]!.options, ...PLACES];
  }
  const kinds = Object.keys(DEVICE_KINDS);
  throw new UsageError(
    `Unknown device "${kind}": it must be ${
      kinds.join(", ")
    }, or the path of a module that exports one.${suggestion(kind, kinds)}`,
  );
}

/** Makes devices and puts them into a machine. Throws {@link UsageError}. */
export async function plugDevices(
  kernel: Kernel,
  requests: readonly DeviceRequest[],
  sources: DeviceSources,
): Promise<void> {
  const groups = new Map<string, PciFunction>();
  for (const { text, kind, options, at, group, hasIommu } of requests) {
    const device = isModule(kind)
      ? await deviceOfModule(kind, sources)
      : orUsageError(
        `Cannot make device "${text}"`,
        () => DEVICE_KINDS[kind]!.make(settingsOf(options, sources)),
      );
    const groupWith = group === undefined ? undefined : groups.get(group);
    const place: PciPlace = {
      ...at !== undefined && { address: at },
      ...groupWith && { groupWith },
      iommu: hasIommu,
    };
    const { pci } = orUsageError(
      `Cannot plug in device "${text}"`,
      () => kernel.addPciDevice(device, place),
    );
    if (group !== undefined) groups.set(group, pci);
  }
}

/** What the options say. Throws an Error for what cannot be read. */
function settingsOf(
  options: ReadonlyMap<DeviceOption, string>,
  sources: DeviceSources,
): DeviceSettings {
  const read = {
    size: bytesOf,
    namespaces: countOf,
    file: (path: string) => sources.openStorage(path),
    readonly: (path: string) => sources.openStorage(path, { isReadOnly: true }),
    vfs: numberOf,
    pri: isOn,
    wire: (text: string) => onlyOf(text, "loop"),
  } satisfies { [Name in DeviceOption]: (text: string) => unknown };
  return Object.fromEntries(
    [...options].map(([name, text]) => [name, read[name](text)]),
  );
}

/** The one value that an option has. Throws a RangeError for another. */
function onlyOf<Only extends string>(text: string, only: Only): Only {
  if (text === only) return only;
  throw new RangeError(`"${text}" must be ${only}`);
}

function numberOf(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new RangeError(`"${text}" is no number`);
}

function isOn(text: string): boolean {
  if (text === "on" || text === "off") return text === "on";
  throw new RangeError(`"${text}" is not "on" or "off"`);
}

function bytesOf(text: string): number {
  const bytes = parseBytes(text);
  if (bytes !== undefined && bytes <= Number.MAX_SAFE_INTEGER) {
    return Number(bytes);
  }
  throw new RangeError(
    `"${text}" is no number of bytes, as in 64M or 1G`,
  );
}

function countOf(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= MAX_COUNT) return count;
  throw new RangeError(`"${text}" is no number from 1 to ${MAX_COUNT}`);
}

/** The device that a module exports, or that what it exports makes. */
async function deviceOfModule(
  path: string,
  sources: DeviceSources,
): Promise<PciDevice> {
  const what = `Cannot get a device from "${path}"`;
  let exported: unknown;
  try {
    exported = await sources.load(path);
    if (typeof exported === "function") {
      exported = isClass(exported) ? new exported() : await exported();
    }
  } catch (error) {
    throw new UsageError(
      `${what}: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (exported instanceof PciDevice) return exported;
  throw new UsageError(
    `${what}: its default export must be a PciDevice, a class of one, or a function that makes one.`,
  );
}

/** Whether it is a class of devices. */
function isClass(exported: object): exported is new () => PciDevice {
  return "prototype" in exported && exported.prototype instanceof PciDevice;
}
