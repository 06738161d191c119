// SPDX-License-Identifier: GPL-2.0-only

/**
 * The base class of a device of one's own: what it is, its registers, and what
 * it can do: DMA and interrupts.
 *
 * @module
 */

import { Bar, type BarOptions, type Register, type Registers } from "./bar.ts";
import { type Identity, layOut, type MsixPlace } from "./config_layout.ts";
import {
  type ConfigSpace,
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  PCI_COMMAND,
  PCI_COMMAND_MASTER,
  PCI_DEVICE_ID,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSIX_FLAGS_ENABLE,
  PCI_STATUS,
  PCI_STATUS_INTERRUPT,
} from "./config_space.ts";
import type { Dma, DmaFault } from "../iommu/hardware/dma.ts";
import type { PageAnswer } from "../iommu/hardware/page_requests.ts";
import type { PciFunction } from "./function.ts";
import type { Migration } from "./migration.ts";
import { Rom } from "./rom.ts";
import type { SriovOptions } from "./sriov.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";

/** How many BARs a function can have. */
const BARS = 6;
/** Bytes of an entry of the table of MSI-X. */
const MSIX_ENTRY = 16;

/** What a device is. */
export interface PciDeviceOptions extends Identity {
  /** Its BARs by their number; one with `wide` takes the next place too. */
  readonly bars?: readonly (BarOptions | undefined)[];
  /**
   * It has to see each store to its BARs by itself, also one that changes
   * nothing, before the program goes on: for hardware whose driver looks at
   * once. Where programs are real that costs them some 50 µs a store. Default
   * false.
   */
  readonly seesStores?: boolean;
  /** Vectors of MSI-X, in a BAR of their own behind the others; or where they are. Default none. */
  readonly msix?: number | MsixPlace;
  /** The bytes of its expansion ROM; default none. */
  readonly rom?: Uint8Array;
  /** Whether it can note which memory it writes, for who copies that meanwhile; default false. */
  readonly logsDma?: boolean;
  /** The virtual functions that it can have; default none. */
  readonly sriov?: SriovOptions;
}

/** What is known of virtual functions before there are any. */
export interface VirtualFunctions extends SriovOptions {
  /** Their device id. */
  readonly deviceId: number;
  /** Their BARs, as of one that is never used. */
  readonly bars: readonly (Bar | undefined)[];
}

/**
 * A device that can be put into a machine: `kernel.addPciDevice(new MyDevice())`.
 * It is as after a reset until a program does something with it.
 */
export abstract class PciDevice {
  /** Its configuration space. */
  readonly config: ConfigSpace;
  /** Its BARs. */
  readonly bars: readonly (Bar | undefined)[];
  /** Where the table of MSI-X is. */
  readonly msix: MsixPlace | undefined;
  /** It has to see each store to its BARs. */
  readonly seesStores: boolean;
  /** The virtual functions that it can have. */
  readonly sriov: VirtualFunctions | undefined;
  /** Its expansion ROM. */
  readonly rom: Rom | undefined;
  /** Whether it can note which memory it writes. */
  readonly logsDma: boolean;
  /** How it moves to another machine: a device that can gives itself one. */
  migration: Migration | undefined;
  #function: PciFunction | undefined;
  #intx = false;

  /** A device that is in no machine. Throws a RangeError for what cannot be. */
  constructor(options: PciDeviceOptions) {
    const bars: (Bar | undefined)[] = [];
    for (const [index, bar] of (options.bars ?? []).entries()) {
      if (bar !== undefined) bars[index] = new Bar(bar);
    }
    this.msix = typeof options.msix === "number"
      ? ownBar(options.msix, bars)
      : options.msix;
    for (const [index, bar] of bars.entries()) {
      const taken = bar?.isWide ? index + 1 : index;
      if (taken >= BARS || (bar?.isWide && bars[taken] !== undefined)) {
        throw new RangeError(`There is no place for BAR ${index}`);
      }
    }
    this.bars = Object.freeze(bars);
    this.seesStores = options.seesStores ?? false;
    this.logsDma = options.logsDma ?? false;
    this.sriov = options.sriov && virtualFunctions(options.sriov);
    this.rom = options.rom && new Rom(options.rom);
    this.config = layOut(options, this);
  }

  /** Its place in a machine. Throws an Error while it is in none. */
  get function(): PciFunction {
    if (this.#function === undefined) {
      throw new Error("The device is not in a machine yet");
    }
    return this.#function;
  }

  /** Its DMA. */
  get dma(): Dma {
    return this.function.dma;
  }

  /** Puts it into a machine, once. Throws an Error for a device that is in one. For `PciBus` only. */
  plug(into: PciFunction): void {
    if (this.#function !== undefined) {
      throw new Error("The device is in a machine already");
    }
    this.#function = into;
  }

  /** Declares registers in a BAR. Throws a RangeError for one that is not there. */
  protected registers<Name extends string>(
    bar: number,
    table: Readonly<Record<Name, Register>>,
  ): Registers<Name> {
    const found = this.bars[bar];
    if (found === undefined) throw new RangeError(`There is no BAR ${bar}`);
    return found.declare(table);
  }

  /**
   * Sends a message: the user's interrupt of that vector. It is dropped while
   * bus mastering is off, as it is a write, and where nobody takes it.
   */
  msi(vector: number): void {
    const command = this.config.read(PCI_COMMAND, 2);
    if ((command & PCI_COMMAND_MASTER) === 0) return;
    this.function.sink?.message(vector);
  }

  /** Whether its user has switched messages on, MSI or MSI-X: a device with both asserts no legacy interrupt then. */
  get usesMessages(): boolean {
    const { config } = this;
    const isOn = (id: number, bit: number): boolean => {
      const at = config.findCapability(id);
      return at !== 0 && (config.read(at + PCI_MSI_FLAGS, 2) & bit) !== 0;
    };
    return isOn(PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS_ENABLE) ||
      isOn(PCI_CAP_ID_MSI, PCI_MSI_FLAGS_ENABLE);
  }

  /** Whether the legacy interrupt is asserted; the user gets it until the device takes it back. */
  get intx(): boolean {
    return this.#intx;
  }

  /** Asserts the legacy interrupt, or takes it back. */
  set intx(asserted: boolean) {
    this.#intx = asserted;
    const status = this.config.read(PCI_STATUS, 2) & ~PCI_STATUS_INTERRUPT;
    this.config.set(
      PCI_STATUS,
      2,
      asserted ? status | PCI_STATUS_INTERRUPT : status,
    );
    if (asserted) this.function.sink?.intx();
  }

  /**
   * Asks for the page that DMA did not find: `answered` is told once whether
   * to try again, at once with false where nobody can be asked, and never after
   * a reset. It must not ask again for what was refused.
   */
  protected requestPage(fault: DmaFault, answered: PageAnswer): void {
    this.function.pageRequests.ask([fault], answered);
  }

  /** Reports an error that it cannot correct: its user is told, if it wants to know. */
  reportError(): void {
    this.function.sink?.error();
  }

  /** A function level reset, or another: registers and configuration are as in the beginning. */
  reset(): void {
    this.resetRegisters();
    this.config.reset();
    this.#intx = false;
    this.#function?.pageRequests.forget();
    this.onReset();
  }

  /** All registers are as in the beginning, but not the configuration: a reset of the device's own. */
  protected resetRegisters(): void {
    for (const bar of this.bars) bar?.reset();
  }

  /**
   * Looks what programs stored in memory that they have mapped, and acts on
   * it; returns whether there was something. For whoever cannot see stores.
   */
  poll(): boolean {
    let found = false;
    for (const bar of this.bars) if (bar?.poll()) found = true;
    return found;
  }

  /** What the device forgets at a reset, beside its registers. */
  protected onReset(): void {}
}

/** What one of them says of all. Throws a RangeError for what cannot be. */
function virtualFunctions(options: SriovOptions): VirtualFunctions {
  const { vfs, make } = options;
  if (!Number.isInteger(vfs) || vfs < 1 || vfs > 2 ** 12) {
    throw new RangeError(
      `A device has 1 to ${2 ** 12} virtual functions, not ${vfs}`,
    );
  }
  const { bars, config } = make(0);
  if (bars.some((bar) => bar?.isIo || bar && bar.size < PAGE_SIZE)) {
    throw new RangeError(
      "BARs of virtual functions are memory, of whole pages",
    );
  }
  return { ...options, deviceId: config.read(PCI_DEVICE_ID, 2), bars };
}

/** Puts the table of MSI-X into a BAR of its own, behind all others. */
function ownBar(vectors: number, bars: (Bar | undefined)[]): MsixPlace {
  if (!Number.isInteger(vectors) || vectors < 1 || vectors > 2048) {
    throw new RangeError(`A device has 1 to 2048 vectors, not ${vectors}`);
  }
  const bar = bars.length + (bars.at(-1)?.isWide ? 1 : 0);
  const half = Math.max(
    4096,
    2 ** Math.ceil(Math.log2(vectors * MSIX_ENTRY)),
  );
  bars[bar] = new Bar({ size: 2 * half });
  return { vectors, bar, table: 0, pending: half };
}
