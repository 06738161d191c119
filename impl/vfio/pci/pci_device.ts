// SPDX-License-Identifier: GPL-2.0-only

/**
 * A PCI device that VFIO has, and its state while it is open.
 *
 * Linux: drivers/vfio/pci/vfio_pci_core.c, struct vfio_pci_core_device.
 *
 * @module
 */

import type { KernelCore } from "../../kernel/core.ts";
import type { PhysicalRange } from "../../kernel/files/dma_buf.ts";
import type { Eventfd } from "../../kernel/files/file.ts";
import { KernelBug } from "../../kernel/warn.ts";
import {
  type ConfigSpace,
  PCI_CAP_ID_EXP,
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_PM,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  PCI_EXP_DEVCAP,
  PCI_EXP_DEVCAP_FLR,
  PCI_MSI_FLAGS,
  PCI_PM_CTRL,
  PCI_PM_CTRL_STATE_MASK,
} from "../../pci/config_space.ts";
import type { PciFunction } from "../../pci/function.ts";
import { EINVAL } from "../../uapi/errno.ts";
import {
  VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_NUM_IRQS,
} from "../../uapi/vfio/device.ts";
import { DeviceMigration } from "../migration/migration.ts";
import { type ConfigActions, VirtualConfig } from "./config.ts";
import { BarExporter } from "./dma_buf.ts";
import { Ioeventfds } from "./ioeventfd.ts";
import { Irqs } from "./irqs.ts";
import { Trigger } from "./signal.ts";
import { VfToken } from "./vf_token.ts";

/** Power states from this one on: memory does not answer. */
const D3HOT = 3;

/** What a device answers to where it is on. */
const ANSWERS = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;

/** A device begins to answer, or no longer does, and does no DMA; what else firmware chose stays. */
function setAnswers(config: ConfigSpace, answers: number): void {
  const command = config.read(PCI_COMMAND, 2);
  const rest = command & ~(ANSWERS | PCI_COMMAND_MASTER);
  config.write(PCI_COMMAND, 2, rest | answers);
}

/** What there is while a device is open. */
interface Open {
  readonly ioeventfds: Ioeventfds;
  readonly config: VirtualConfig;
  readonly irqs: Irqs;
  /** How it moves, if it can. */
  readonly migration: DeviceMigration | undefined;
  /** The hardware's configuration space at the open. */
  readonly saved: Uint8Array;
}

/** One device of VFIO's. */
export class VfioPciDevice implements ConfigActions {
  /** The device. */
  readonly pci: PciFunction;
  /** A function reset works. */
  readonly canReset: boolean;
  /** The token of those that use it and its virtual functions; undefined where it can have none. */
  readonly vfToken: VfToken | undefined;
  /** VFIO's device that it is a virtual function of (Linux: sriov_pf_core_dev). */
  readonly physFn: VfioPciDevice | undefined;
  #open: Open | undefined;
  /** Whether its memory answers now. */
  #answers = false;
  /** Its power is down until somebody wants something (Linux: pm_runtime_engaged). */
  #lowPower = false;
  readonly #wakeup = new Trigger();
  readonly #shared: Set<BarExporter> = new Set();

  /** A device that is not open. */
  constructor(pci: PciFunction, physFn: VfioPciDevice | undefined) {
    const { config } = pci.device;
    const exp = config.findCapability(PCI_CAP_ID_EXP);
    this.pci = pci;
    this.physFn = physFn;
    this.vfToken = pci.sriov && new VfToken();
    this.canReset =
      (config.read(exp + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR) !== 0;
  }

  /** Whether somebody has it open. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** Its configuration space. A bug while it is not open. */
  get config(): VirtualConfig {
    return this.#state.config;
  }

  /** Its interrupts. A bug while it is not open. */
  get irqs(): Irqs {
    return this.#state.irqs;
  }

  /** Its eventfds that write. A bug while it is not open. */
  get ioeventfds(): Ioeventfds {
    return this.#state.ioeventfds;
  }

  /** How it moves, if it can. A bug while it is not open. */
  get migration(): DeviceMigration | undefined {
    return this.#state.migration;
  }

  /** Its kernel. */
  get kernel(): KernelCore {
    return this.pci.iommu.kernel;
  }

  /** Whether MSI is on, and log2 of the messages at most. */
  get msi(): { readonly isOn: boolean; readonly log2: number } {
    const { mode, msiLog2 } = this.irqs;
    return { isOn: mode === VFIO_PCI_MSI_IRQ_INDEX, log2: msiLog2 };
  }

  /** Whether its memory may be accessed: the user's MEMORY bit, which a virtual function has not, and the power state (Linux: __vfio_pci_memory_enabled). */
  get memoryEnabled(): boolean {
    const { config } = this.pci.device;
    const at = config.findCapability(PCI_CAP_ID_PM) + PCI_PM_CTRL;
    const state = config.read(at, 1) & PCI_PM_CTRL_STATE_MASK;
    const isOn = this.pci.physFn !== undefined ||
      (this.config.command & PCI_COMMAND_MEMORY) !== 0;
    return state < D3HOT && isOn;
  }

  /** Somebody opens it: it answers, is reset, and may not do DMA yet (Linux: vfio_pci_core_enable). */
  enable(): void {
    const { device } = this.pci;
    const { machine } = this.kernel;
    setAnswers(device.config, ANSWERS);
    if (this.canReset) this.#reset();
    const saved = device.config.save();
    const irqs = new Irqs(this.pci);
    this.pci.sink = irqs;
    const ioeventfds = new Ioeventfds();
    const config = new VirtualConfig(device, this);
    const migration = device.migration && new DeviceMigration(device.migration);
    this.#open = { config, irqs, ioeventfds, migration, saved };
    for (const bar of device.bars) bar?.enable(machine.createObject());
    this.#answers = true;
    const token = this.physFn?.vfToken;
    if (token !== undefined) token.users++;
  }

  /** Nobody has it open any more (Linux: vfio_pci_core_disable). */
  disable(): void {
    const { irqs, ioeventfds, migration, saved } = this.#state;
    const { device } = this.pci;
    const token = this.physFn?.vfToken;
    if (token !== undefined) token.users--;
    this.exitLowPower();
    irqs.release();
    ioeventfds.release();
    this.pci.dma.log = undefined;
    for (const exporter of this.#shared) exporter.move(true);
    this.#shared.clear();
    this.pci.sink = undefined;
    device.poll();
    for (const bar of device.bars) bar?.disable();
    device.config.restore(saved);
    if (this.canReset) this.#reset();
    setAnswers(device.config, 0);
    migration?.reset();
    this.#open = undefined;
    this.#answers = false;
  }

  /** How many interrupts of a kind it has (Linux: vfio_pci_get_irq_count). */
  irqCount(index: number): number {
    const { config, msix } = this.pci.device;
    if (index === VFIO_PCI_INTX_IRQ_INDEX) {
      return this.config.interruptPin === 0 ? 0 : 1;
    }
    if (index === VFIO_PCI_MSI_IRQ_INDEX) {
      const at = config.findCapability(PCI_CAP_ID_MSI);
      if (at === 0) return 0;
      return 1 << (config.read(at + PCI_MSI_FLAGS, 1) >> 1 & 7);
    }
    if (index === VFIO_PCI_MSIX_IRQ_INDEX) return msix?.vectors ?? 0;
    return index >= VFIO_PCI_ERR_IRQ_INDEX && index < VFIO_PCI_NUM_IRQS ? 1 : 0;
  }

  /** The device's memory answers, or not, as it should now: what was stored before counts. */
  memoryChanged(): void {
    const answers = this.memoryEnabled && !this.#lowPower;
    if (answers === this.#answers) return;
    const { device } = this.pci;
    device.poll();
    this.#answers = answers;
    for (const exporter of this.#shared) exporter.move(!answers);
    for (const bar of device.bars) {
      if (bar !== undefined && !bar.isIo) bar.resize(answers);
    }
  }

  /** Shares ranges of its BARs as a DMA buffer. */
  share(ranges: readonly PhysicalRange[]): BarExporter {
    const exporter = new BarExporter(
      ranges,
      !this.#answers,
      (gone) => this.#shared.delete(gone),
    );
    this.#shared.add(exporter);
    return exporter;
  }

  /** Its power goes down; an eventfd, whose reference it takes over, says when it is back. Throws EINVAL if it is down. (Linux: vfio_pci_runtime_pm_entry.) */
  enterLowPower(wakeup: Eventfd | undefined): void {
    if (this.#lowPower) {
      wakeup?.put();
      throw EINVAL.because("the power is down already");
    }
    this.#lowPower = true;
    this.#wakeup.replace(wakeup);
    this.memoryChanged();
  }

  /** Its power is back, and nobody is told. */
  exitLowPower(): void {
    this.#lowPower = false;
    this.#wakeup.replace(undefined);
    this.memoryChanged();
  }

  /** It shall be awake, and stay so: its virtual functions need it (Linux: vfio_pci_set_power_state). */
  powerUp(): void {
    const { config } = this.pci.device;
    this.wake();
    const at = config.findCapability(PCI_CAP_ID_PM) + PCI_PM_CTRL;
    config.write(at, 1, 0);
    if (this.isOpen) this.memoryChanged();
  }

  /** Somebody wants something: with an eventfd that is told, the power stays (Linux: vfio_pci_core_runtime_resume). */
  wake(): void {
    if (!this.#wakeup.isSet) return;
    this.#wakeup.signal();
    this.exitLowPower();
  }

  /** The user's command register masks the legacy interrupt, or not. */
  maskIntx(masked: boolean): void {
    this.irqs.disableIntx(masked);
  }

  /** Resets it, while it is open: its configuration and its interrupts stay (Linux: pci_try_reset_function). */
  resetFunction(): void {
    this.#reset();
  }

  /** RESET. Throws EINVAL for a device without function reset. (Linux: vfio_pci_ioctl_reset.) */
  resetByUser(): void {
    if (!this.canReset) throw EINVAL.because("the device has no reset");
    this.#reset();
  }

  get #state(): Open {
    if (this.#open === undefined) {
      throw new KernelBug(`${this.pci.name} is not open`);
    }
    return this.#open;
  }

  /** A function reset with the configuration as it was before. DMA buffers are taken back. */
  #reset(): void {
    const { device } = this.pci;
    for (const exporter of this.#shared) exporter.move(true);
    const before = device.config.save();
    this.pci.cutOff(() => device.reset());
    device.config.restore(before);
    this.#open?.migration?.reset();
    for (const exporter of this.#shared) exporter.move(!this.#answers);
  }
}
