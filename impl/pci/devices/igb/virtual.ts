// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual functions of an 82576: they can be opened and mapped, and send
 * nothing.
 *
 * @module
 */

import { PciDevice } from "../../device.ts";
import { STATUS } from "./registers.ts";

/** How many there can be, as the driver of the 82576 allows. */
export const IGB_VFS = 7;

/** One of them. */
export class IgbVirtual extends PciDevice {
  /** With 3 vectors. */
  constructor() {
    super({
      vendor: 0x8086,
      device: 0x10ca,
      class: 0x020000,
      revision: 1,
      bars: [
        { size: 0x4000, wide: true, prefetchable: true },
        undefined,
        undefined,
        { size: 0x4000, wide: true, prefetchable: true },
      ],
      msi: 0,
      msix: { vectors: 3, bar: 3, table: 0, pending: 0x2000 },
    });
    const status = { at: 8, reset: STATUS.initial, readOnly: true };
    this.registers(0, { STATUS: status });
  }
}
