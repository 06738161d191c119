// SPDX-License-Identifier: GPL-2.0-only

/**
 * DMA over PCI: only of a bus master, to memory and to BARs, and noted while
 * somebody wants to know what is written.
 *
 * @module
 */

import { Dma, DmaFault } from "../iommu/hardware/dma.ts";
import { PCI_COMMAND, PCI_COMMAND_MASTER } from "./config_space.ts";
import type { DmaLog } from "./dma_log.ts";
import type { PciFunction } from "./function.ts";

/** The DMA of one function. */
export class PciDma extends Dma {
  /** Where what is written is noted, while somebody wants to know. */
  log: DmaLog | undefined;
  readonly #pci: PciFunction;

  /** For {@link PciFunction}. */
  constructor(pci: PciFunction) {
    super(pci.iommu, (pasid) => pci.translation(pasid), pci);
    this.#pci = pci;
  }

  /** Throws {@link DmaFault} while bus mastering is off. */
  protected override checkEnabled(access: number, iova: number, pasid: number) {
    const command = this.#pci.device.config.read(PCI_COMMAND, 2);
    if ((command & PCI_COMMAND_MASTER) === 0) {
      throw new DmaFault(access, iova, pasid, false);
    }
  }

  /** Whether it is not a BAR. */
  protected override isMemory(paddr: number): boolean {
    return this.#pci.bus.isMemory(paddr);
  }

  /** Reads memory, or a BAR. */
  protected override load(paddr: number, to: Uint8Array): void {
    const { bus } = this.#pci;
    if (bus.isMemory(paddr)) super.load(paddr, to);
    else bus.read(paddr, to);
  }

  /** Writes memory, or a BAR. */
  protected override store(paddr: number, from: Uint8Array): void {
    const { bus } = this.#pci;
    if (bus.isMemory(paddr)) super.store(paddr, from);
    else bus.write(paddr, from);
  }

  /** Notes it, where somebody wants to know. */
  protected override willWrite(iova: number, length: number): void {
    this.log?.wrote(iova, length);
  }
}
