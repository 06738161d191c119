// SPDX-License-Identifier: GPL-2.0-only

/**
 * The EEPROM of an 82576: the address of its port, and a checksum.
 *
 * @module
 */

/** Words that drivers look at. */
const WORDS = 0x40;
/** The word that the checksum is in, and what all words are together then. */
const CHECKSUM = { at: 0x3f, sum: 0xbaba };
/** Words that say something else than nothing (Linux: NVM_* of e1000_defines.h). */
const CONTENT: Readonly<Record<number, number>> = {
  // Device id, vendor id.
  0x0d: 0x10c9,
  0x0e: 0x8086,
  // No other address for the port.
  0x37: 0xffff,
};

/** Its words. */
export class Nvm {
  readonly #words = new Uint16Array(WORDS);

  /** With an address of 6 bytes. */
  constructor(address: Uint8Array) {
    for (const [at, word] of Object.entries(CONTENT)) {
      this.#words[Number(at)] = word;
    }
    for (let at = 0; at < 3; at++) {
      this.#words[at] = address[2 * at]! | address[2 * at + 1]! << 8;
    }
    const sum = this.#words.reduce((sum, word) => sum + word, 0);
    this.#words[CHECKSUM.at] = CHECKSUM.sum - sum;
  }

  /** A word; ones where there is none. */
  read(at: number): number {
    return this.#words[at] ?? 0xffff;
  }
}
