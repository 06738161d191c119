// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a real program has of devices that it uses through their mapped BARs.
 *
 * @module
 */

import { CopyEngine } from "../../impl/pci/devices/copy_engine.ts";
import { NvmeDrive } from "../../impl/pci/devices/nvme/nvme.ts";
import type { PciDevice } from "../../impl/pci/device.ts";
import type { Sys } from "../sys/sys.ts";
import { supervised } from "./programs.ts";

/** A copy engine that sees each store to its BAR. */
class SeeingEngine extends CopyEngine {
  override readonly seesStores = true;
}

/** One use of a device. */
interface DeviceKind {
  readonly what: string;
  readonly device: () => PciDevice;
  /** What `devices.c` calls it. */
  readonly kind: string;
  /** Rounds. */
  readonly count: number;
  /** Bytes that are moved in one. */
  readonly bytes?: number;
}

/** What is measured. */
export const DEVICE_KINDS: Readonly<Record<string, DeviceKind>> = {
  latency: {
    what: "copy engine: a doorbell, until it is seen to be over",
    device: () => new CopyEngine(),
    kind: "latency",
    count: 10_000,
  },
  trapped: {
    what: "the same, each store trapped",
    device: () => new SeeingEngine(),
    kind: "latency",
    count: 1000,
  },
  copy_4k: {
    what: "copy engine: 4 KiB",
    device: () => new CopyEngine(),
    kind: "copy_4k",
    count: 10_000,
    bytes: 4096,
  },
  copy_1m: {
    what: "copy engine: 1 MiB",
    device: () => new CopyEngine(),
    kind: "copy_1m",
    count: 200,
    bytes: 2 ** 20,
  },
  nvme_4k: {
    what: "NVMe drive: a read of 4 KiB",
    device: () => new NvmeDrive(2 ** 26),
    kind: "nvme_4k",
    count: 10_000,
    bytes: 4096,
  },
  nvme_64k: {
    what: "NVMe drive: reads of 64 KiB, 32 at a time, each",
    device: () => new NvmeDrive(2 ** 26),
    kind: "nvme_64k",
    count: 100,
    bytes: 65536,
  },
};

/** Measures each once; keeps the best. */
export async function measureDevices(
  sys: Sys,
  path: string,
  best: Map<string, number>,
): Promise<void> {
  for (const [name, { device, kind, count }] of Object.entries(DEVICE_KINDS)) {
    const time = await supervised(sys, path, kind, count, device());
    best.set(name, Math.min(best.get(name) ?? Infinity, time));
  }
}
