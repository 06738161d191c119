// SPDX-License-Identifier: GPL-2.0-only

/**
 * Configuration space as a user sees it: some bits are the hardware's, others
 * are kept for the user alone; some can be written, others cannot. Two masks
 * say which.
 *
 * Linux: drivers/vfio/pci/vfio_pci_config.c. There each capability has its
 * masks; here they are laid out over the whole space when the device is opened.
 *
 * @module
 */

import type { Bar } from "../../pci/bar.ts";
import { numberOf, store } from "../../pci/bytes.ts";
import * as pci from "../../pci/config_space.ts";
import type { PciDevice } from "../../pci/device.ts";

/** What changes in configuration space ask of the device. */
export interface ConfigActions {
  /** Whether the mode of interrupts is MSI, and for how many at most, as a power of two. */
  readonly msi: { readonly isOn: boolean; readonly log2: number };
  /** Memory answers from now on, or no more, as the user and the power state say. */
  memoryChanged(): void;
  /** The legacy interrupt is masked by the user's command register, or not. */
  maskIntx(masked: boolean): void;
  /** Resets the function. */
  resetFunction(): void;
}

/** Bytes of the capabilities that users see, and those of variable length. */
const CAP_LENGTHS: Readonly<Record<number, number>> = {
  [pci.PCI_CAP_ID_PM]: 8,
  [pci.PCI_CAP_ID_MSI]: 24,
  [pci.PCI_CAP_ID_EXP]: 0x3c,
  [pci.PCI_CAP_ID_MSIX]: 12,
};

/** The same of extended ones; others are left out of the list. */
const EXT_CAP_LENGTHS: Readonly<Record<number, number>> = {
  [pci.PCI_EXT_CAP_ID_ERR]: 0x2c,
  [pci.PCI_EXT_CAP_ID_ARI]: 8,
  [pci.PCI_EXT_CAP_ID_ATS]: 8,
  [pci.PCI_EXT_CAP_ID_PRI]: 16,
  [pci.PCI_EXT_CAP_ID_SRIOV]: 0x40,
};

/** A byte that no capability has. */
const UNASSIGNED = 0xffff;

/** AER: errors that software may mask and clear, uncorrectable and correctable. */
const AER_UNCORRECTABLE = 0x3fff031;
const AER_CORRECTABLE = 0xf1c1;
const AER_CONTROL = 0x140;

/** PM: bits about wake-up events, which are not the user's. */
const PM_PME = 0x8100;
const PM_CAP_PME = 0xf800;
/** PCI Express: bits of the control register that are the user's own: size of packets, of reads, and the reset. */
const DEVCTL_VIRTUAL = 0xf0e0;
/** PCI Express: the bit of the control register that cannot be written. */
const DEVCTL_PHANTOM = 0x200;

/** One open device's configuration space. */
export class VirtualConfig {
  readonly #device: PciDevice;
  readonly #actions: ConfigActions;
  readonly #hardware: pci.ConfigSpace;
  /** What the user has: the hardware's at the open, then what the user writes. */
  readonly #user: Uint8Array;
  /** Bits that are read from {@link VirtualConfig.#user}. */
  readonly #virtual: Uint8Array;
  /** Bits that can be written. */
  readonly #writable: Uint8Array;
  /** Where the capability of a byte begins: 0 for the header. */
  readonly #starts: Uint16Array;
  /** What happens after a write to a register, by its offset. */
  readonly #after: Map<number, (value: number) => void> = new Map();

  /** As it is when a device is opened (Linux: vfio_config_init). */
  constructor(device: PciDevice, actions: ConfigActions) {
    const { config } = device;
    this.#device = device;
    this.#actions = actions;
    this.#hardware = config;
    this.#user = config.save();
    this.#virtual = new Uint8Array(config.size);
    this.#writable = new Uint8Array(config.size)
      .fill(0xff, pci.PCI_STD_HEADER_SIZEOF);
    this.#starts = new Uint16Array(config.size)
      .fill(UNASSIGNED, pci.PCI_STD_HEADER_SIZEOF);
    this.#addHeader();
    if (device.function.physFn !== undefined) this.#addVirtual();
    this.#addCapabilities();
    this.#addExtended();
  }

  /** The user's command register. */
  get command(): number {
    return numberOf(this.#user, pci.PCI_COMMAND, 2);
  }

  /** The pin of the legacy interrupt that the user sees. */
  get interruptPin(): number {
    return this.#user[pci.PCI_INTERRUPT_PIN]!;
  }

  /** Bytes from `at` on that are read or written at once, of `count`: a part of one capability within a dword. */
  chunk(at: number, count: number): number {
    const start = this.#starts[at];
    let length = 1;
    while ((at + length) % 4 !== 0 && this.#starts[at + length] === start) {
      length++;
    }
    const most = Math.min(count, length);
    if (most >= 4 && at % 4 === 0) return 4;
    return most >= 2 && at % 2 === 0 ? 2 : 1;
  }

  /** Reads a chunk. */
  read(at: number, count: number): number {
    if (isBar(at)) this.#fixBars();
    const virtual = numberOf(this.#virtual, at, count);
    const user = numberOf(this.#user, at, count);
    return (this.#hardware.read(at, count) & ~virtual | user & virtual) >>> 0;
  }

  /** Writes a chunk. */
  write(at: number, count: number, value: number): void {
    const writable = numberOf(this.#writable, at, count);
    if (writable === 0) return;
    const virtual = numberOf(this.#virtual, at, count);
    this.#mix(at, count, value, writable & virtual);
    const real = writable & ~virtual;
    if (real !== 0) {
      const old = this.#hardware.read(at, count);
      this.#hardware.write(at, count, old & ~real | value & real);
    }
    for (let i = 0; i < count; i++) this.#after.get(at + i)?.(value >>> 8 * i);
  }

  /** Linux: init_pci_cap_basic_perm. */
  #addHeader(): void {
    const all = 0xffffffff;
    this.#declare(pci.PCI_VENDOR_ID, 4, all, 0);
    this.#declare(pci.PCI_COMMAND, 2, pci.PCI_COMMAND_INTX_DISABLE, all);
    this.#declare(pci.PCI_STATUS, 2, pci.PCI_STATUS_CAP_LIST, 0);
    this.#declare(pci.PCI_CACHE_LINE_SIZE, 1, 0, all);
    this.#declare(pci.PCI_LATENCY_TIMER, 1, 0, all);
    this.#declare(pci.PCI_BIST, 1, 0, all);
    for (let bar = 0; bar < 6; bar++) {
      this.#declare(pci.PCI_BASE_ADDRESS_0 + 4 * bar, 4, all, all);
    }
    this.#declare(pci.PCI_ROM_ADDRESS, 4, all, all);
    this.#declare(pci.PCI_CAPABILITY_LIST, 1, all, 0);
    this.#declare(pci.PCI_INTERRUPT_LINE, 1, all, all);
    this.#declare(pci.PCI_INTERRUPT_PIN, 1, all, 0);
    this.#after.set(pci.PCI_COMMAND, (value) => this.#commandWritten(value));
    this.#after.set(pci.PCI_COMMAND + 1, () => this.#intxWritten());
  }

  /** What the hardware does not say of a virtual function; its MEMORY bit is the user's own. */
  #addVirtual(): void {
    const { vendor, deviceId } = this.#device.function;
    store(this.#user, pci.PCI_VENDOR_ID, 2, vendor);
    store(this.#user, pci.PCI_DEVICE_ID, 2, deviceId);
    const own = pci.PCI_COMMAND_INTX_DISABLE | pci.PCI_COMMAND_MEMORY;
    this.#declare(pci.PCI_COMMAND, 2, own, 0xffff);
    this.#mix(pci.PCI_COMMAND, 2, -1, pci.PCI_COMMAND_MEMORY);
  }

  /** Linux: vfio_cap_init. */
  #addCapabilities(): void {
    let link = pci.PCI_CAPABILITY_LIST;
    for (let at = this.#user[link]!; at !== 0;) {
      const id = this.#user[at]!;
      const next = this.#user[at + 1]!;
      const length = CAP_LENGTHS[id];
      if (length === undefined) this.#user[link] = next;
      else {
        this.#claim(at, length);
        this.#declare(at + 1, 1, 0xff, 0);
        this.#addCapability(id, at);
        link = at + 1;
      }
      at = next;
    }
  }

  #addCapability(id: number, at: number): void {
    switch (id) {
      case pci.PCI_CAP_ID_PM: {
        this.#declare(at + 2, 2, PM_CAP_PME, 0);
        this.#mix(at + 2, 2, 0, PM_CAP_PME);
        const ctrl = at + pci.PCI_PM_CTRL;
        const fixed = PM_PME | pci.PCI_PM_CTRL_STATE_MASK;
        this.#declare(ctrl, 4, PM_PME, ~fixed);
        this.#mix(ctrl, 2, 0, PM_PME);
        this.#after.set(ctrl, (value) => {
          const state = value & pci.PCI_PM_CTRL_STATE_MASK;
          if (state !== 0 && this.#device.function.sriov?.numVfs) return;
          this.#hardware.write(ctrl, 1, state);
          this.#actions.memoryChanged();
        });
        return;
      }
      case pci.PCI_CAP_ID_MSI: {
        const flags = at + pci.PCI_MSI_FLAGS;
        this.#declare(flags, 1, 0xff, 0xff);
        this.#declare(at + 4, 4, -1, -1);
        this.#declare(at + 8, 4, -1, -1);
        this.#declare(at + 12, 2, 0xffff, 0xffff);
        this.#declare(at + 16, 4, 0, -1);
        this.#declare(at + 20, 4, 0, -1);
        this.#after.set(flags, () => this.#msiWritten(flags));
        return;
      }
      case pci.PCI_CAP_ID_EXP: {
        const devctl = at + pci.PCI_EXP_DEVCTL;
        this.#declare(devctl, 2, DEVCTL_VIRTUAL, ~DEVCTL_PHANTOM);
        this.#declare(at + 0x28, 2, 0, ~0x20);
        this.#after.set(devctl + 1, () => this.#resetWritten(at));
        return;
      }
    }
  }

  /** Linux: vfio_ecap_init. */
  #addExtended(): void {
    let link = 0;
    for (let at = pci.PCI_CFG_SPACE_SIZE; at !== 0;) {
      const header = numberOf(this.#user, at, 4);
      const next = header >>> 20;
      const id = header & 0xffff;
      const length = EXT_CAP_LENGTHS[id];
      if (length === undefined && link !== 0) {
        this.#mix(link, 4, next << 20, 0xfff00000);
      } else {
        this.#claim(at, length ?? 4);
        this.#declare(at, 4, -1, 0);
        if (length === undefined) this.#mix(at, 4, 0, 0x000fffff);
        if (id === pci.PCI_EXT_CAP_ID_ERR) this.#addErrors(at);
        link = at;
      }
      at = next;
    }
  }

  /** Linux: init_pci_ext_cap_err_perm. */
  #addErrors(at: number): void {
    for (const offset of [4, 8, 12]) {
      this.#declare(at + offset, 4, 0, AER_UNCORRECTABLE);
    }
    this.#declare(at + 16, 4, 0, AER_CORRECTABLE);
    this.#declare(at + 20, 4, 0, AER_CORRECTABLE);
    this.#declare(at + 24, 4, 0, AER_CONTROL);
  }

  /** The bytes of a capability: read-only, and the hardware's, until said otherwise. */
  #claim(at: number, length: number): void {
    this.#starts.fill(at, at, at + length);
    this.#writable.fill(0, at, at + length);
  }

  #declare(at: number, count: number, virtual: number, writable: number): void {
    store(this.#virtual, at, count, virtual);
    store(this.#writable, at, count, writable);
  }

  /** Gives the user's bytes the bits of `value` that are in `mask`. */
  #mix(at: number, count: number, value: number, mask: number): void {
    const old = numberOf(this.#user, at, count);
    store(this.#user, at, count, old & ~mask | value & mask);
  }

  /** The user's command remembers MEMORY and IO, which the hardware has too (Linux: vfio_basic_config_write). */
  #commandWritten(value: number): void {
    this.#mix(
      pci.PCI_COMMAND,
      1,
      value,
      pci.PCI_COMMAND_MEMORY | pci.PCI_COMMAND_IO,
    );
    this.#actions.memoryChanged();
  }

  #intxWritten(): void {
    const masked = (this.command & pci.PCI_COMMAND_INTX_DISABLE) !== 0;
    this.#actions.maskIntx(masked);
  }

  /** MSI is switched on by an ioctl alone (Linux: vfio_msi_config_write). */
  #msiWritten(at: number): void {
    const { isOn, log2 } = this.#actions.msi;
    let flags = numberOf(this.#user, at, 2);
    if (!isOn) flags &= ~pci.PCI_MSI_FLAGS_ENABLE;
    if ((flags & pci.PCI_MSI_FLAGS_QSIZE) >> 4 > log2) {
      flags = flags & ~pci.PCI_MSI_FLAGS_QSIZE | log2 << 4;
    }
    store(this.#user, at, 2, flags);
    this.#hardware.write(at, 2, flags);
  }

  /** The bit that resets reads 0 again at once (Linux: vfio_exp_config_write). */
  #resetWritten(at: number): void {
    const devctl = at + pci.PCI_EXP_DEVCTL;
    if ((numberOf(this.#user, devctl, 2) & pci.PCI_EXP_DEVCTL_BCR_FLR) === 0) {
      return;
    }
    this.#mix(devctl, 2, 0, pci.PCI_EXP_DEVCTL_BCR_FLR);
    const cap = this.#hardware.read(at + pci.PCI_EXP_DEVCAP, 4);
    if (cap & pci.PCI_EXP_DEVCAP_FLR) this.#actions.resetFunction();
  }

  /** Makes the user's BARs look as hardware that is asked for their size (Linux: vfio_bar_fixup). */
  #fixBars(): void {
    const { bars } = this.#device;
    for (let index = 0; index < 6; index++) {
      const bar: Bar | undefined = bars[index];
      const at = pci.PCI_BASE_ADDRESS_0 + 4 * index;
      if (bar === undefined) {
        store(this.#user, at, 4, 0);
        continue;
      }
      const value = numberOf(this.#user, at, 4) & -bar.size | bar.flags;
      store(this.#user, at, 4, value);
      if (!bar.isWide) continue;
      index++;
      const high = numberOf(this.#user, at + 4, 4);
      const mask = Math.floor(-bar.size / 2 ** 32);
      store(this.#user, at + 4, 4, high & mask);
    }
    const rom = this.#device.function.physFn ? undefined : this.#device.rom;
    const mask = rom ? -rom.size | pci.PCI_ROM_ADDRESS_ENABLE : 0;
    this.#mix(pci.PCI_ROM_ADDRESS, 4, 0, ~mask);
  }
}

/** Whether a chunk is one of a BAR, or of the ROM's. */
function isBar(at: number): boolean {
  const end = pci.PCI_BASE_ADDRESS_0 + 24;
  return at >= pci.PCI_BASE_ADDRESS_0 && at < end ||
    at >= pci.PCI_ROM_ADDRESS && at < pci.PCI_ROM_ADDRESS + 4;
}
