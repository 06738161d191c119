// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a machine calls its devices, as somebody sees who lists its folders.
 *
 * @module
 */

import {
  COPY_ENGINE_DEVICE,
  COPY_ENGINE_VENDOR,
} from "../../../../impl/pci/devices/copy_engine.ts";
import type { Model } from "../../../../selftests/target/impl_target.ts";

const FILE = /^\/dev\/vfio\/devices\//;
const GROUP = /^\/dev\/vfio\/(noiommu-)?\d+$/;
const COUNT = /\/sriov_numvfs$/;

/** The devices of a machine at a time. */
export class Devices {
  readonly #model: Model;

  /** Those of the model's machine, which has booted. */
  constructor(model: Model) {
    this.#model = model;
  }

  /** The files of devices. */
  get files(): string[] {
    return this.#paths(FILE);
  }

  /** The files of groups. */
  get groups(): string[] {
    return this.#paths(GROUP);
  }

  /** The files that say how many virtual functions a device has. */
  get counts(): string[] {
    return this.#paths(COUNT);
  }

  /** By which names groups give them. */
  get addresses(): string[] {
    return this.#functions().map(({ name }) => name);
  }

  /** Whether there are virtual functions. */
  get areVirtual(): boolean {
    return this.#functions().some(({ physFn }) => physFn !== undefined);
  }

  /** Whether they are copy engines, of which each has the same registers on every machine. */
  get areEngines(): boolean {
    const all = this.#functions();
    return all.length > 0 &&
      all.every(({ vendor, deviceId }) =>
        vendor === COPY_ENGINE_VENDOR && deviceId === COPY_ENGINE_DEVICE
      );
  }

  /** Whether they are behind no IOMMU, so that their DMA has addresses of memory. */
  get areWithoutIommu(): boolean {
    return this.#functions().some(({ group }) => group === null);
  }

  #functions() {
    return this.#model.kernel.vfio.devices.map(({ pci }) => pci);
  }

  #paths(which: RegExp): string[] {
    return [...this.#model.kernel.devices.keys()].filter((path) =>
      which.test(path)
    );
  }
}
