// SPDX-License-Identifier: GPL-2.0-only

/**
 * Numbers by the names that C has for them.
 *
 * @module
 */

import type { Field } from "../../../impl/uapi/layout/struct.ts";
import * as mman from "../../../impl/uapi/mman.ts";

/** Constants by their names. */
export type Constants = Readonly<Record<string, number | bigint>>;

/** All constants of memory and file system calls; any number of a program can be written with them. */
export const CONSTANTS: Constants = mman as Constants;

/** The constants whose names begin so. */
function named(prefix: string, ...without: readonly string[]): Constants {
  return Object.fromEntries(
    Object.entries(CONSTANTS).filter(([name]) =>
      name.startsWith(prefix) && !without.includes(name)
    ),
  );
}

/** What an argument's number is made of. */
export interface Naming {
  /** The names that it is told with. */
  readonly names: Constants;
  /** It is several of them, each a bit or a few; else it is one. */
  readonly areFlags: boolean;
}

const PROT = { names: named("PROT_"), areFlags: true };

/** How arguments are told, by verb and argument. */
const NAMINGS: Readonly<Record<string, Naming>> = {
  "open FLAGS": { names: named("O_", "O_ACCMODE"), areFlags: true },
  "mmap PROT": PROT,
  "mmap FLAGS": { names: named("MAP_"), areFlags: true },
  "mremap FLAGS": { names: named("MREMAP_"), areFlags: true },
  "mprotect PROT": PROT,
  "madvise ADVICE": { names: named("MADV_"), areFlags: false },
  "lseek WHENCE": { names: named("SEEK_"), areFlags: false },
  "poll EVENTS": { names: named("POLL"), areFlags: true },
  "memfd FLAGS": { names: named("MFD_"), areFlags: true },
  "fallocate MODE": { names: named("FALLOC_FL_"), areFlags: true },
  "fcntl CMD": {
    names: named("F_", ...Object.keys(named("F_SEAL_"))),
    areFlags: false,
  },
  "setrlimit RESOURCE": { names: named("RLIMIT_"), areFlags: false },
  "setrlimit SOFT": { names: named("RLIM_"), areFlags: false },
  "dropcap CAPABILITY": { names: named("CAP_"), areFlags: false },
};

/** How an argument of a verb is told; undefined for a plain number. */
export function namingOf(verb: string, argument: string): Naming | undefined {
  return NAMINGS[`${verb} ${argument}`];
}

const NO_NAMES: Naming = { names: {}, areFlags: false };

/** How a field's value is told. */
export function namingOfField({ role }: Field): Naming {
  switch (role.kind) {
    case "flags":
      return { names: role.bits, areFlags: true };
    case "choice":
      return { names: role.values, areFlags: false };
    default:
      return NO_NAMES;
  }
}

/** A number as it is written: small ones in decimal, others in hexadecimal. */
export function numberText(value: number | bigint): string {
  const exact = BigInt(value);
  if (exact < 0n) return `-${numberText(-exact)}`;
  return exact < 4096n ? `${exact}` : `0x${exact.toString(16)}`;
}

/** A number by its names, as far as it has any. */
export function namedText(
  value: number | bigint,
  { names, areFlags }: Naming,
): string {
  const exact = BigInt(value);
  const same = Object.keys(names).find((name) =>
    BigInt(names[name]!) === exact
  );
  if (same !== undefined) return same;
  if (!areFlags || exact <= 0n) return numberText(value);
  let rest = exact;
  const parts: string[] = [];
  // The widest first: O_TMPFILE is more than O_DIRECTORY.
  const entries = Object.entries(names)
    .map(([name, bits]) => [name, BigInt(bits)] as const)
    .filter(([, bits]) => bits !== 0n)
    .sort(([, a], [, b]) => ones(b) - ones(a));
  for (const [name, bits] of entries) {
    if ((rest & bits) !== bits) continue;
    parts.push(name);
    rest &= ~bits;
  }
  if (rest !== 0n) parts.push(numberText(rest));
  return parts.join(" | ");
}

function ones(bits: bigint): number {
  return bits.toString(2).replaceAll("0", "").length;
}
