// SPDX-License-Identifier: GPL-2.0-only

/**
 * The PHY of an 82576, whose negotiation succeeds at once: at 1000 Mbit/s,
 * both ways at a time.
 *
 * Linux: drivers/net/ethernet/intel/igb/e1000_phy.c.
 *
 * @module
 */

/** Its address. */
const ADDRESS = 1;
/** Registers (Linux: PHY_*), and what they are after a reset. */
const INITIAL: Readonly<Record<number, number>> = {
  // Control: negotiates, 1000 Mbit/s, full duplex.
  0: 0x1140,
  // Status: negotiated, connected, all that there is.
  1: 0x796d,
  // Identifier of an IGP03E1000.
  2: 0x02a8,
  3: 0x0391,
  // What is offered, and what the partner offers.
  4: 0x0de1,
  5: 0x4de1,
  9: 0x0300,
  10: 0x3c00,
  15: 0x3000,
  // Status of the port: connected, 1000 Mbit/s, full duplex.
  0x11: 0xe400,
};
/** Control: resets it, and has it negotiate; both are over at once. */
const CONTROL = { at: 0, reset: 1 << 15, restart: 1 << 9 };
/** Where the page of the registers from {@link PAGED} on is chosen. */
const PAGE_SELECT = 0x1f;
const PAGED = 0x10;

/** Its registers. */
export class Phy {
  #registers: Map<number, number> = new Map();
  readonly #negotiated: () => void;

  /** As after a reset; `negotiated` is called when it has found its partner. */
  constructor(negotiated: () => void) {
    this.#negotiated = negotiated;
    this.reset();
  }

  /** Whether there is one at an address of the bus that it is on. */
  isAt(address: number): boolean {
    return address === ADDRESS;
  }

  /** All is as in the beginning. */
  reset(): void {
    const initial = Object.entries(INITIAL);
    this.#registers = new Map(
      initial.map(([at, value]) => [Number(at), value]),
    );
  }

  /** A register, 16 bits. */
  read(register: number): number {
    return this.#registers.get(this.#keyOf(register)) ?? 0;
  }

  /** Writes a register. What identifies it and what it tells cannot be changed. */
  write(register: number, value: number): void {
    if (register !== CONTROL.at) {
      const key = this.#keyOf(register);
      if (!READ_ONLY.has(key)) this.#registers.set(key, value);
      return;
    }
    if ((value & CONTROL.reset) !== 0) this.reset();
    this.#registers.set(register, value & ~(CONTROL.reset | CONTROL.restart));
    if ((value & (CONTROL.reset | CONTROL.restart)) !== 0) this.#negotiated();
  }

  #keyOf(register: number): number {
    if (register < PAGED || register === PAGE_SELECT) return register;
    const page = this.#registers.get(PAGE_SELECT) ?? 0;
    // Drivers write the whole address of a register as its page.
    return page & ~0x1f | register;
  }
}

const READ_ONLY: ReadonlySet<number> = new Set([1, 2, 3, 5, 10, 15, 0x11]);
