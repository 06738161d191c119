// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO_DEVICE_FEATURE of the typed client: low power, DMA buffers, tokens.
 *
 * @module
 */

import { O_CLOEXEC, O_RDWR } from "../uapi/mman.ts";
import * as uapi from "../uapi/vfio/feature.ts";
import type { U64 } from "../uapi/layout/struct.ts";
import { pass } from "./arguments.ts";
import type { Descriptor } from "./descriptor.ts";
import { IommufdError } from "./error.ts";

/** A part of a BAR. */
export interface BarRange {
  /** Where it begins; default 0. */
  readonly offset?: U64;
  /** Bytes, of whole pages. */
  readonly length: U64;
}

/** Features of a device; see `VfioDevice.features`. */
export class VfioFeatures {
  readonly #descriptor: Descriptor;

  /** For `VfioDevice`. */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  /** Whether a feature can be got or set: `VFIO_DEVICE_FEATURE_*` and the flags GET and SET. */
  has(flags: number): boolean {
    try {
      this.#feature(flags | uapi.VFIO_DEVICE_FEATURE_PROBE);
      return true;
    } catch (error) {
      if (error instanceof IommufdError) return false;
      throw error;
    }
  }

  /** LOW_POWER_ENTRY: mappings of BARs are of no use until something wakes the device; with an eventfd, that is signalled then. Throws EINVAL while it is in low power. */
  enterLowPower(options: { readonly wakeup?: number } = {}): void {
    const { wakeup } = options;
    const set = uapi.VFIO_DEVICE_FEATURE_SET;
    if (wakeup === undefined) {
      this.#feature(set | uapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);
      return;
    }
    this.#feature(
      set | uapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
      new Uint8Array(Int32Array.of(wakeup, 0).buffer),
    );
  }

  /** LOW_POWER_EXIT. */
  exitLowPower(): void {
    this.#feature(
      uapi.VFIO_DEVICE_FEATURE_SET | uapi.VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
    );
  }

  /**
   * DMA_BUF: a DMA buffer of a BAR, which iommufd can map if it is one range;
   * returns the descriptor. Throws ENODEV where there is no such BAR, EINVAL
   * for what is not of whole pages or beyond it.
   */
  exportDmaBuf(bar: number, ranges: readonly BarRange[]): number {
    const head = uapi.VfioDeviceFeatureDmaBuf.encode({
      regionIndex: bar,
      openFlags: O_RDWR | O_CLOEXEC,
      nrRanges: ranges.length,
    });
    const layout = uapi.VfioRegionDmaRange;
    const data = new Uint8Array(head.length + ranges.length * layout.size);
    data.set(head);
    ranges.forEach(({ offset = 0, length }, i) => {
      const range = { offset: BigInt(offset), length: BigInt(length) };
      data.set(layout.encode(range), head.length + i * layout.size);
    });
    const get = uapi.VFIO_DEVICE_FEATURE_GET;
    return this.#feature(get | uapi.VFIO_DEVICE_FEATURE_DMA_BUF, data);
  }

  /** PCI_VF_TOKEN: whoever opens a virtual function of the device from now on needs this token. Throws ENOTTY for a device that cannot have any. */
  setToken(token: string): void {
    this.#feature(
      uapi.VFIO_DEVICE_FEATURE_SET | uapi.VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
      tokenBytes(token),
    );
  }

  /** FEATURE with data; returns its result. */
  #feature(flags: number, data: Uint8Array = new Uint8Array(0)): number {
    const layout = uapi.VfioDeviceFeature;
    const argsz = layout.size + data.length;
    const passed = pass(layout, { argsz, flags });
    const bytes = new Uint8Array(argsz);
    bytes.set(layout.encode(passed.values));
    bytes.set(data, layout.size);
    return this.#descriptor.send(layout.ioctl, bytes, passed);
  }
}

/** The 16 bytes of a token. Throws a TypeError for what is none, as `00112233-4455-6677-8899-aabbccddeeff` is. */
export function tokenBytes(token: string): Uint8Array {
  const form = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
  if (!form.test(token)) throw new TypeError(`"${token}" is no UUID`);
  const digits = token.replaceAll("-", "").match(/../g)!;
  return Uint8Array.from(digits, (byte) => parseInt(byte, 16));
}
