// SPDX-License-Identifier: GPL-2.0-only

/**
 * Configuration space as the hardware has it: bytes, of which software can
 * write some bits, and clear others by writing ones. The numbers are those of
 * `include/uapi/linux/pci_regs.h`.
 *
 * @module
 */

import { numberOf, store } from "./bytes.ts";

/** Vendor id, 16 bits. */
export const PCI_VENDOR_ID = 0x00;
/** Device id, 16 bits. */
export const PCI_DEVICE_ID = 0x02;
/** Command, 16 bits. */
export const PCI_COMMAND = 0x04;
/** Command: I/O ports answer. */
export const PCI_COMMAND_IO = 0x1;
/** Command: memory answers. */
export const PCI_COMMAND_MEMORY = 0x2;
/** Command: the device may do DMA. */
export const PCI_COMMAND_MASTER = 0x4;
/** Command: errors are told. */
export const PCI_COMMAND_SERR = 0x100;
/** Command: the legacy interrupt is off. */
export const PCI_COMMAND_INTX_DISABLE = 0x400;
/** Status, 16 bits. */
export const PCI_STATUS = 0x06;
/** Status: the legacy interrupt is asserted. */
export const PCI_STATUS_INTERRUPT = 0x8;
/** Status: there are capabilities. */
export const PCI_STATUS_CAP_LIST = 0x10;
/** Revision, 8 bits, followed by 24 bits of class. */
export const PCI_REVISION_ID = 0x08;
/** Size of a cache line, 8 bits. */
export const PCI_CACHE_LINE_SIZE = 0x0c;
/** Latency timer, 8 bits. */
export const PCI_LATENCY_TIMER = 0x0d;
/** Self test, 8 bits. */
export const PCI_BIST = 0x0f;
/** The first of six BARs, 32 bits. */
export const PCI_BASE_ADDRESS_0 = 0x10;
/** BAR: I/O ports. */
export const PCI_BASE_ADDRESS_SPACE_IO = 0x1;
/** BAR: memory, of which the next one is the high half. */
export const PCI_BASE_ADDRESS_MEM_TYPE_64 = 0x4;
/** BAR: memory, prefetchable. */
export const PCI_BASE_ADDRESS_MEM_PREFETCH = 0x8;
/** Subsystem vendor id, 16 bits, followed by the subsystem id. */
export const PCI_SUBSYSTEM_VENDOR_ID = 0x2c;
/** Expansion ROM, 32 bits. */
export const PCI_ROM_ADDRESS = 0x30;
/** Expansion ROM: it answers. */
export const PCI_ROM_ADDRESS_ENABLE = 0x1;
/** Where the first capability is, 8 bits. */
export const PCI_CAPABILITY_LIST = 0x34;
/** Interrupt line, 8 bits. */
export const PCI_INTERRUPT_LINE = 0x3c;
/** Interrupt pin, 8 bits: 1 to 4, or 0. */
export const PCI_INTERRUPT_PIN = 0x3d;
/** Bytes of the header. */
export const PCI_STD_HEADER_SIZEOF = 0x40;
/** Bytes of a conventional device's configuration space. */
export const PCI_CFG_SPACE_SIZE = 256;
/** Bytes of a PCI Express device's. */
export const PCI_CFG_SPACE_EXP_SIZE = 4096;

/** Capability: power management. */
export const PCI_CAP_ID_PM = 0x01;
/** Capability: message signalled interrupts. */
export const PCI_CAP_ID_MSI = 0x05;
/** Capability: PCI Express. */
export const PCI_CAP_ID_EXP = 0x10;
/** Capability: MSI-X. */
export const PCI_CAP_ID_MSIX = 0x11;
/** Extended capability: advanced error reporting. */
export const PCI_EXT_CAP_ID_ERR = 0x01;
/** Extended capability: routing ids without a device number. */
export const PCI_EXT_CAP_ID_ARI = 0x0e;
/** Extended capability: virtual functions. */
export const PCI_EXT_CAP_ID_SRIOV = 0x10;
/** Extended capability: addresses that the device translates itself. */
export const PCI_EXT_CAP_ID_ATS = 0x0f;
/** Extended capability: requests for pages. */
export const PCI_EXT_CAP_ID_PRI = 0x13;
/** Extended capability: address spaces of processes. Users do not see it. */
export const PCI_EXT_CAP_ID_PASID = 0x1b;

/** PASID: capabilities, 16 bits; log2 of the number of PASIDs begins at bit 8. */
export const PCI_PASID_CAP = 4;
/** PM: control and status, 16 bits. */
export const PCI_PM_CTRL = 4;
/** PM: the power state in that, 0 to 3. */
export const PCI_PM_CTRL_STATE_MASK = 0x3;
/** MSI and MSI-X: control, 16 bits. */
export const PCI_MSI_FLAGS = 2;
/** MSI: on. */
export const PCI_MSI_FLAGS_ENABLE = 0x1;
/** MSI: log2 of the vectors that are used. */
export const PCI_MSI_FLAGS_QSIZE = 0x70;
/** MSI-X: on. */
export const PCI_MSIX_FLAGS_ENABLE = 0x8000;
/** PCI Express: capabilities, 32 bits. */
export const PCI_EXP_DEVCAP = 4;
/** PCI Express: it has a function level reset. */
export const PCI_EXP_DEVCAP_FLR = 0x10000000;
/** PCI Express: control, 16 bits. */
export const PCI_EXP_DEVCTL = 8;
/** PCI Express: resets the function. */
export const PCI_EXP_DEVCTL_BCR_FLR = 0x8000;

/** One function's configuration space. */
export class ConfigSpace {
  /** Bytes. */
  readonly size: number;
  readonly #bytes: Uint8Array;
  readonly #writable: Uint8Array;
  readonly #clearable: Uint8Array;
  #initial: Uint8Array;

  /** All zero; what is behind the header can be written as memory, until it is something. */
  constructor(size: number) {
    this.size = size;
    this.#bytes = new Uint8Array(size);
    this.#writable = new Uint8Array(size).fill(0xff, PCI_STD_HEADER_SIZEOF);
    this.#clearable = new Uint8Array(size);
    this.#initial = this.#bytes;
  }

  /** `count` bytes at `at`, little-endian. */
  read(at: number, count: number): number {
    return numberOf(this.#bytes, at, count);
  }

  /** Writes as software does. */
  write(at: number, count: number, value: number): void {
    for (let i = 0; i < count; i++) {
      const given = (value >>> 8 * i) & 0xff;
      const mask = this.#writable[at + i]!;
      const kept = this.#bytes[at + i]! & ~mask;
      this.#bytes[at + i] = (kept | given & mask) &
        ~(given & this.#clearable[at + i]!);
    }
  }

  /** Changes bytes as the device itself does. */
  set(at: number, count: number, value: number): void {
    store(this.#bytes, at, count, value);
  }

  /** Declares what is at `at`: its value, the bits that can be written, and those that are cleared by writing ones. */
  declare(
    at: number,
    count: number,
    value: number,
    writable = 0,
    clearable = 0,
  ): void {
    store(this.#bytes, at, count, value);
    store(this.#writable, at, count, writable);
    store(this.#clearable, at, count, clearable);
  }

  /** What is there now is there after a {@link reset}. */
  finish(): void {
    this.#initial = this.#bytes.slice();
  }

  /** All that there is, to {@link restore} later (Linux: pci_store_saved_state). */
  save(): Uint8Array {
    return this.#bytes.slice();
  }

  /** Makes everything as it was saved. */
  restore(saved: Uint8Array): void {
    this.#bytes.set(saved);
  }

  /** Makes everything as it was when the power came on. */
  reset(): void {
    this.#bytes.set(this.#initial);
  }

  /** Where an extended capability begins; 0 if there is none. */
  findExtended(id: number): number {
    let at = this.size > PCI_CFG_SPACE_SIZE ? PCI_CFG_SPACE_SIZE : 0;
    while (at !== 0 && this.read(at, 2) !== id) at = this.read(at + 2, 2) >> 4;
    return at;
  }

  /** Where a capability begins; 0 if there is none. */
  findCapability(id: number): number {
    let at = this.#bytes[PCI_CAPABILITY_LIST]!;
    while (at !== 0 && this.#bytes[at] !== id) at = this.#bytes[at + 1]!;
    return at;
  }
}
