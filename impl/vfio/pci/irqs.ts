// SPDX-License-Identifier: GPL-2.0-only

/**
 * Interrupts of a device, delivered to eventfds.
 *
 * One kind of the three is on at a time. Legacy interrupts are masked when they
 * fire; messages are counted. Two more "interrupts" are the kernel's own:
 * errors, and the wish to have the device back.
 *
 * Linux: drivers/vfio/pci/vfio_pci_intrs.c.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import {
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSIX_FLAGS_ENABLE,
} from "../../pci/config_space.ts";
import type { InterruptSink, PciFunction } from "../../pci/function.ts";
import { EINVAL, ENOTTY, ERANGE } from "../../uapi/errno.ts";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_REQ_IRQ_INDEX,
} from "../../uapi/vfio/device.ts";
import { eventfdOf, Trigger, Waiter } from "./signal.ts";

/** What SET_IRQS says, checked: see {@link Irqs.set}. */
export interface IrqRequest {
  /** `VFIO_PCI_*_IRQ_INDEX`. */
  readonly index: number;
  /** One of `VFIO_IRQ_SET_ACTION_*`. */
  readonly action: number;
  /** One of `VFIO_IRQ_SET_DATA_*`. */
  readonly type: number;
  /** The first interrupt. */
  readonly start: number;
  /** How many. */
  readonly count: number;
  /** For each a descriptor, or whether it is meant; as many as `count`, none without data. */
  readonly data: readonly number[];
}

/** What is on: the index of a kind of interrupts. */
type Mode =
  | typeof VFIO_PCI_INTX_IRQ_INDEX
  | typeof VFIO_PCI_MSI_IRQ_INDEX
  | typeof VFIO_PCI_MSIX_IRQ_INDEX
  | undefined;

/** No data: all of the interrupts that the request names are meant. */
const NONE_IS_ON = EINVAL.because("interrupts of this kind are not on");
const OTHER_IS_ON = EINVAL.because("interrupts of another kind are on");

/** The interrupts of one open device. */
export class Irqs implements InterruptSink {
  readonly #pci: PciFunction;
  #mode: Mode;
  /** Eventfds of vectors. */
  readonly #vectors: Map<number, Trigger> = new Map();
  /** Vectors that MSI was switched on with. */
  #enabled = 0;
  /** The eventfd of the legacy interrupt. */
  readonly #intx = new Trigger();
  readonly #unmask = new Waiter(() => this.unmaskIntx());
  #masked = false;
  /** The user's command register says so (Linux: virq_disabled). */
  #disabled = false;
  readonly #error = new Trigger();
  readonly #request = new Trigger();

  /** Nothing is on. */
  constructor(pci: PciFunction) {
    this.#pci = pci;
  }

  /** What is on. */
  get mode(): number | undefined {
    return this.#mode;
  }

  /** Log2 of the messages that MSI was switched on with last (Linux: msi_qmax). */
  get msiLog2(): number {
    return this.#enabled === 0 ? 0 : Math.ceil(Math.log2(this.#enabled));
  }

  /** Vectors with an eventfd, for a drawing. */
  get connected(): readonly number[] {
    return [...this.#vectors.keys()].sort((a, b) => a - b);
  }

  /** Whether the legacy interrupt is masked. */
  get isMasked(): boolean {
    return this.#masked;
  }

  /**
   * SET_IRQS. Returns its result. Throws ENOTTY for an action that the kind
   * does not have, EINVAL, EBADF, EBUSY, ERANGE. (Linux:
   * vfio_pci_set_irqs_ioctl.)
   */
  set(task: Task, request: IrqRequest): number {
    const { index, action } = request;
    const isIntx = index === VFIO_PCI_INTX_IRQ_INDEX;
    if (action === VFIO_IRQ_SET_ACTION_TRIGGER) {
      if (isIntx) return this.#triggerIntx(task, request);
      if (index === VFIO_PCI_ERR_IRQ_INDEX) {
        return triggerSingle(task, this.#error, request);
      }
      if (index === VFIO_PCI_REQ_IRQ_INDEX) {
        return triggerSingle(task, this.#request, request);
      }
      return this.#triggerMessages(task, request);
    }
    if (isIntx && action === VFIO_IRQ_SET_ACTION_MASK) {
      return this.#maskRequest(request);
    }
    if (isIntx && action === VFIO_IRQ_SET_ACTION_UNMASK) {
      return this.#unmaskRequest(task, request);
    }
    throw ENOTTY.because("interrupts of this kind do not have the action");
  }

  /** Turns all off: the device is closed. */
  release(): void {
    if (this.#mode === VFIO_PCI_INTX_IRQ_INDEX) this.#disableIntx();
    else this.#disableMessages();
    this.#error.replace(undefined);
    this.#request.replace(undefined);
    this.#disabled = false;
  }

  /** A message of the device. */
  message(vector: number): void {
    this.#vectors.get(vector)?.signal();
  }

  /** The device asserts its legacy interrupt (Linux: vfio_intx_handler). */
  intx(): void {
    if (this.#mode !== VFIO_PCI_INTX_IRQ_INDEX || this.#masked) return;
    this.#masked = true;
    this.#signalIntx();
  }

  /** The user's command register masks the legacy interrupt, or not. */
  disableIntx(disabled: boolean): void {
    if (disabled === this.#disabled) return;
    this.#disabled = disabled;
    if (disabled) this.#masked = true;
    else this.unmaskIntx();
  }

  /** Lets the legacy interrupt through again, which fires at once if it is asserted still (Linux: vfio_pci_intx_unmask). */
  unmaskIntx(): void {
    if (!this.#masked || this.#disabled) return;
    this.#masked = false;
    if (this.#pci.device.intx) this.intx();
  }

  /** An error of the device: tells the user, if it wants to know. */
  error(): void {
    this.#error.signal();
  }

  /** The kernel wants the device back: tells the user, if it wants to know; returns whether it does. */
  signalRequest(): boolean {
    this.#request.signal();
    return this.#request.isSet;
  }

  #signalIntx(): void {
    if (!this.#disabled) this.#intx.signal();
  }

  /** Linux: vfio_pci_set_intx_trigger. */
  #triggerIntx(task: Task, request: IrqRequest): number {
    const { type, start, count, data } = request;
    const isOn = this.#mode === VFIO_PCI_INTX_IRQ_INDEX;
    if (isOn && turnsOff(request)) {
      this.#disableIntx();
      return 0;
    }
    if (!isOn && this.#mode !== undefined) throw OTHER_IS_ON;
    if (start !== 0 || count !== 1) {
      throw EINVAL.because("there is one legacy interrupt");
    }
    if (type === VFIO_IRQ_SET_DATA_EVENTFD) {
      const [fd] = data as [number];
      const eventfd = fd < 0 ? undefined : eventfdOf(task, fd);
      this.#intx.replace(eventfd);
      if (!isOn) {
        this.#mode = VFIO_PCI_INTX_IRQ_INDEX;
        this.#masked = this.#disabled;
        if (this.#pci.device.intx) this.intx();
      }
      return 0;
    }
    if (!isOn) throw NONE_IS_ON;
    if (isMeant(request, 0)) this.#signalIntx();
    return 0;
  }

  /** Linux: vfio_pci_set_intx_mask. */
  #maskRequest(request: IrqRequest): number {
    this.#checkIntx(request);
    if (request.type === VFIO_IRQ_SET_DATA_EVENTFD) {
      throw ENOTTY.because("an eventfd cannot mask");
    }
    if (isMeant(request, 0)) this.#masked = true;
    return 0;
  }

  /** Linux: vfio_pci_set_intx_unmask. */
  #unmaskRequest(task: Task, request: IrqRequest): number {
    this.#checkIntx(request);
    if (request.type === VFIO_IRQ_SET_DATA_EVENTFD) {
      const [fd] = request.data as [number];
      if (fd < 0) this.#unmask.disable();
      else this.#unmask.enable(eventfdOf(task, fd));
    } else if (isMeant(request, 0)) this.unmaskIntx();
    return 0;
  }

  #checkIntx({ start, count }: IrqRequest): void {
    if (this.#mode !== VFIO_PCI_INTX_IRQ_INDEX) throw NONE_IS_ON;
    if (start !== 0 || count !== 1) {
      throw EINVAL.because("there is one legacy interrupt");
    }
  }

  #disableIntx(): void {
    this.#unmask.disable();
    this.#intx.replace(undefined);
    this.#mode = undefined;
    this.#masked = false;
  }

  /** Linux: vfio_pci_set_msi_trigger. */
  #triggerMessages(task: Task, request: IrqRequest): number {
    const { index, type, start, count, data } = request;
    const isOn = this.#mode === index;
    if (isOn && turnsOff(request)) {
      this.#disableMessages();
      return 0;
    }
    if (!isOn && this.#mode !== undefined) throw OTHER_IS_ON;
    if (type === VFIO_IRQ_SET_DATA_EVENTFD) {
      if (!isOn) this.#enableMessages(index as Mode, start + count);
      try {
        this.#connect(task, start, data);
      } catch (error) {
        if (!isOn) this.#disableMessages();
        throw error;
      }
      return 0;
    }
    if (!isOn) throw NONE_IS_ON;
    for (let i = 0; i < count; i++) {
      if (isMeant(request, i)) this.message(start + i);
    }
    return 0;
  }

  /** Linux: vfio_msi_enable. */
  #enableMessages(mode: Mode, count: number): void {
    if (count === 0) throw ERANGE.because("no vector is asked for");
    this.#mode = mode;
    if (mode === VFIO_PCI_MSI_IRQ_INDEX) this.#enabled = count;
    this.#setEnabled(true);
  }

  /** Connects vectors one after the other; all are disconnected if one fails (Linux: vfio_msi_set_block). */
  #connect(task: Task, start: number, fds: readonly number[]): void {
    const isMsi = this.#mode === VFIO_PCI_MSI_IRQ_INDEX;
    fds.forEach((fd, i) => {
      const vector = start + i;
      this.#disconnect(vector);
      if (fd < 0) return;
      try {
        if (isMsi && vector >= this.#enabled) {
          throw EINVAL.because("MSI was switched on with fewer vectors");
        }
        const trigger = new Trigger();
        trigger.replace(eventfdOf(task, fd));
        this.#vectors.set(vector, trigger);
      } catch (error) {
        for (let undo = start; undo < vector; undo++) this.#disconnect(undo);
        throw error;
      }
    });
  }

  #disconnect(vector: number): void {
    this.#vectors.get(vector)?.replace(undefined);
    this.#vectors.delete(vector);
  }

  #disableMessages(): void {
    for (const vector of this.connected) this.#disconnect(vector);
    if (this.#mode !== undefined) this.#setEnabled(false);
    this.#mode = undefined;
  }

  /** The enable bit of the hardware follows, whatever the user wrote. */
  #setEnabled(enabled: boolean): void {
    const { config } = this.#pci.device;
    const isMsix = this.#mode === VFIO_PCI_MSIX_IRQ_INDEX;
    const at = PCI_MSI_FLAGS +
      config.findCapability(isMsix ? PCI_CAP_ID_MSIX : PCI_CAP_ID_MSI);
    const bit = isMsix ? PCI_MSIX_FLAGS_ENABLE : PCI_MSI_FLAGS_ENABLE;
    const flags = config.read(at, 2) & ~bit;
    config.set(at, 2, enabled ? flags | bit : flags);
  }
}

/** Whether a request turns its kind of interrupts off. */
function turnsOff({ type, count }: IrqRequest): boolean {
  const isNone = type !== VFIO_IRQ_SET_DATA_BOOL &&
    type !== VFIO_IRQ_SET_DATA_EVENTFD;
  return isNone && count === 0;
}

/** Whether a request without eventfds means its interrupt `i`. */
function isMeant({ type, data }: IrqRequest, i: number): boolean {
  return type !== VFIO_IRQ_SET_DATA_BOOL || data[i] !== 0;
}

/** An interrupt that the kernel fires (Linux: vfio_pci_set_ctx_trigger_single). */
function triggerSingle(
  task: Task,
  trigger: Trigger,
  request: IrqRequest,
): number {
  const { type, start, count, data } = request;
  if (start !== 0 || count > 1) throw EINVAL.because("there is one of it");
  if (type === VFIO_IRQ_SET_DATA_EVENTFD) {
    const fd = data[0] ?? -2;
    if (fd < -1) throw EINVAL.because("the descriptor cannot be one");
    trigger.replace(fd < 0 ? undefined : eventfdOf(task, fd));
    return 0;
  }
  if (type === VFIO_IRQ_SET_DATA_BOOL) {
    if (count === 0) throw EINVAL;
    if (isMeant(request, 0)) trigger.signal();
    return 0;
  }
  if (!trigger.isSet) throw NONE_IS_ON;
  if (count === 0) trigger.replace(undefined);
  else trigger.signal();
  return 0;
}
