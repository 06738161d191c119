// SPDX-License-Identifier: GPL-2.0-only

/**
 * Bits of the registers of an 82576 (Linux: E1000_* of e1000_defines.h).
 *
 * @module
 */

/** CTRL: no more DMA; resets the device, or the PHY. */
export const CTRL = { noMaster: 1 << 2, reset: 1 << 26, resetPhy: 1 << 31 };
/** STATUS of a device that is not connected, as QEMU's has it; that it is; that it may do DMA. */
export const STATUS = { initial: 0x80080481, linkUp: 1 << 1, master: 1 << 19 };
/** EECD: the EEPROM is the driver's, is there, was read, and how large it is. */
export const EECD = 1 << 7 | 1 << 8 | 1 << 9 | 2 << 11;
/** EERD: a word is wanted, and there. */
export const EERD = { start: 1 << 0, done: 1 << 1 };
/** EEMNGCTL: the port was set up. */
export const CFG_DONE = 1 << 18;
/** MDIC: what is wanted of the PHY, that it is done, and that there is none. */
export const MDIC = {
  read: 2 << 26,
  write: 1 << 26,
  ready: 1 << 28,
  error: 1 << 30,
};
/** RCTL and TCTL: on. */
export const ENABLE = 1 << 1;
/** RCTL: frames that are sent come back. */
export const RCTL_LOOPBACK = 1 << 6;
/** RXDCTL and TXDCTL: the queue is on. */
export const QUEUE_ENABLE = 1 << 25;
/** IVAR: the entry of a queue counts, and its vector. */
export const IVAR = { valid: 0x80, vector: 0x1f };
/** RAH: the address counts. */
export const ADDRESS_VALID = 2 ** 31;
/** Queues each way. */
export const QUEUES = { count: 4, stride: 0x100 };
