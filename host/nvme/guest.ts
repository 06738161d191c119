// SPDX-License-Identifier: GPL-2.0-only

/**
 * A guest of some bytes: a boot sector that reads 64 blocks from its disk,
 * writes them to another place there, prints the text that they begin with, and
 * switches itself off.
 *
 * @module
 */

const BLOCK = 512;
/** Where the text is that the guest reads, and where it writes it, in blocks. */
const TEXT_BLOCK = 1;
/** See above. */
export const COPY_BLOCK = 1000;
/** Blocks that it moves. */
const BLOCKS = 64;
/** Where the sector is in the guest's memory, what the BIOS is asked for in it, and where the text goes. */
const [SECTOR, READ, WRITE, BUFFER] = [0x7c00, 0x40, 0x50, 0x8000];
/** Where the machine is switched off (ACPI's PM1a control), and by what. */
const [POWER_PORT, POWER_OFF] = [0x604, 0x2000];

/** QEMU's arguments for a guest without anything but a serial line. */
export const BARE_GUEST: readonly string[] = [
  "-nodefaults",
  "-no-user-config",
  ...["-display", "none"],
  ...["-serial", "stdio"],
  ...["-m", "32"],
];

/** The beginning of a disk that boots. */
export function bootable(text: string): Uint8Array {
  const disk = new Uint8Array((TEXT_BLOCK + BLOCKS) * BLOCK);
  disk.set(CODE);
  disk.set(diskRequest(TEXT_BLOCK), READ);
  disk.set(diskRequest(COPY_BLOCK), WRITE);
  disk.set([0x55, 0xaa], BLOCK - 2);
  disk.set(new TextEncoder().encode(text), TEXT_BLOCK * BLOCK);
  return disk;
}

/** What the BIOS is told of a read or a write: its own size, how many blocks, where in memory, where on the disk. */
function diskRequest(block: number): number[] {
  const low = [block & 0xff, block >> 8, 0, 0, 0, 0, 0, 0];
  return [16, 0, BLOCKS, 0, ...word(BUFFER), 0, 0, ...low];
}

function word(value: number): number[] {
  return [value & 0xff, value >> 8];
}

const CODE: readonly number[] = [
  ...[0x31, 0xc0], //                     xor ax, ax
  ...[0x8e, 0xd8], //                     mov ds, ax
  ...[0x8e, 0xc0], //                     mov es, ax
  ...[0x8e, 0xd0], //                     mov ss, ax
  ...[0xbc, ...word(SECTOR)], //          mov sp, SECTOR
  ...[0xbe, ...word(SECTOR + READ)], //   mov si, READ
  ...[0xb4, 0x42], //                     mov ah, 0x42
  ...[0xcd, 0x13], //                     int 0x13
  ...[0x72, 24], //                       jc off
  ...[0xbe, ...word(SECTOR + WRITE)], //  mov si, WRITE
  ...[0xb8, 0x00, 0x43], //               mov ax, 0x4300
  ...[0xcd, 0x13], //                     int 0x13
  ...[0x72, 14], //                       jc off
  ...[0xbe, ...word(BUFFER)], //          mov si, BUFFER
  0xac, //                          next: lodsb
  ...[0x84, 0xc0], //                     test al, al
  ...[0x74, 6], //                        jz off
  ...[0xba, 0xf8, 0x03], //               mov dx, 0x3f8
  0xee, //                                out dx, al
  ...[0xeb, -11 & 0xff], //               jmp next
  ...[0xba, ...word(POWER_PORT)], // off: mov dx, POWER_PORT
  ...[0xb8, ...word(POWER_OFF)], //       mov ax, POWER_OFF
  0xef, //                                out dx, ax
  0xf4, //                                hlt
];
