// SPDX-License-Identifier: GPL-2.0-only

/**
 * Finds a program as a shell does, and says why it cannot be run.
 *
 * @module
 */

import { O_CLOEXEC, O_RDONLY } from "../../impl/uapi/mman.ts";
import { AT_FDCWD } from "../sys/structs.ts";
import type { Sys } from "../sys/sys.ts";
import { CannotRun } from "./program.ts";

/** Linux: ENOENT, EISDIR, ENOTDIR. */
const [ENOENT, EISDIR, ENOTDIR] = [-2, -21, -20];
/** access: may be executed. */
const X_OK = 1;
/** What an ELF file begins with. */
const ELF = [0x7f, 0x45, 0x4c, 0x46];
/** The byte behind it in a file for 32 bits. */
const ELFCLASS32 = 1;

/** Where a program is looked for. */
export interface Place {
  /** The folder that paths start from; undefined for this process's. */
  readonly cwd: string | undefined;
  /** The folders for a name without a slash, with colons between them. */
  readonly path: string;
}

/** The path of a program. Throws a {@link CannotRun}. */
export function findProgram(
  sys: Sys,
  program: string,
  { cwd, path }: Place,
): string {
  const isPath = program.includes("/");
  const candidates = isPath
    ? [program]
    : path.split(":").map((folder) => `${folder || "."}/${program}`);
  let refused: CannotRun | undefined;
  for (const candidate of candidates) {
    const from = cwd !== undefined && !candidate.startsWith("/")
      ? `${cwd}/${candidate}`
      : candidate;
    const why = problemWith(sys, from, candidate);
    if (why === undefined) return candidate;
    if (why.code !== 127) refused ??= why;
  }
  throw refused ?? new CannotRun(
    127,
    isPath
      ? `There is no program ${program}.`
      : `There is no program ${program} in PATH.`,
  );
}

/** Why a file cannot be run; undefined if nothing is in the way. */
function problemWith(
  sys: Sys,
  path: string,
  name: string,
): CannotRun | undefined {
  const { nr } = sys;
  const at = sys.text(path);
  const access = sys.call(nr.faccessat, AT_FDCWD, at, X_OK);
  if (access === ENOENT || access === ENOTDIR) {
    return new CannotRun(127, `There is no program ${name}.`);
  }
  if (access < 0) return new CannotRun(126, `${name} is not executable.`);
  const fd = sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  // What may be run need not be readable.
  if (fd < 0) return undefined;
  const head = sys.alloc(8);
  const count = sys.read(fd, head);
  sys.close(fd);
  if (count === EISDIR) return new CannotRun(126, `${name} is a folder.`);
  const isElf = ELF.every((byte, i) => head.bytes[i] === byte);
  if (isElf && head.bytes[ELF.length] === ELFCLASS32) {
    return new CannotRun(
      126,
      `${name} is a program for 32 bits: only those for 64 can be run.`,
    );
  }
  return undefined;
}
