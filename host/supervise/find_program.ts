// SPDX-License-Identifier: GPL-2.0-only

/**
 * Finds a program as a shell does, and says why it cannot be run.
 *
 * @module
 */

import { O_CLOEXEC, O_RDONLY } from "../../impl/uapi/mman.ts";
import { AT_FDCWD } from "../sys/structs.ts";
import type { Sys } from "../sys/sys.ts";

const ENOENT = 2;
const ENOEXEC = 8;
const EACCES = 13;
const ENOTDIR = 20;
const EBUSY = 16;
const EISDIR = 21;
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
  /** The folders for a name without a slash, with colons between them; undefined for the usual ones. */
  readonly path: string | undefined;
}

/** A program could not be started. */
export class ProgramError extends Error {
  /** Name of the class. */
  override name = "ProgramError";
  /** The errno of it, positive: ENOENT if there is no such program. */
  readonly errno: number;

  /** Says which and why. */
  constructor(program: string, errno: number, where = "") {
    const why = WHY[errno];
    super(
      errno === ENOENT
        ? `There is no program ${program}${where}.`
        : why === undefined
        ? `${program} cannot be run: errno ${errno}.`
        : `${program} ${why}.`,
    );
    this.errno = errno;
  }
}

/** Why a program is none. */
const WHY: Readonly<Record<number, string>> = {
  [ENOEXEC]: "is no program for this machine, or one for 32 bits",
  [EACCES]: "is not executable",
  [EISDIR]: "is a folder",
  [EBUSY]: "cannot be run under two supervisors at a time",
};

/** The path of a program. Throws a {@link ProgramError}. */
export function findProgram(
  sys: Sys,
  program: string,
  { cwd, path = "/usr/local/bin:/usr/bin:/bin" }: Place,
): string {
  const isPath = program.includes("/");
  const candidates = isPath
    ? [program]
    : path.split(":").map((folder) => `${folder || "."}/${program}`);
  let refused: ProgramError | undefined;
  for (const candidate of candidates) {
    const from = cwd !== undefined && !candidate.startsWith("/")
      ? `${cwd}/${candidate}`
      : candidate;
    const errno = problemWith(sys, from);
    if (errno === 0) return candidate;
    if (errno !== ENOENT) refused ??= new ProgramError(candidate, errno);
  }
  throw refused ?? new ProgramError(program, ENOENT, isPath ? "" : " in PATH");
}

/** Why a file cannot be run, as an errno; 0 if nothing is in the way. */
function problemWith(sys: Sys, path: string): number {
  const { nr } = sys;
  const access = sys.call(nr.faccessat, AT_FDCWD, sys.text(path), X_OK);
  if (access < 0) return access === -ENOTDIR ? ENOENT : -access;
  const fd = sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  // What may be run need not be readable.
  if (fd < 0) return 0;
  const head = sys.alloc(8);
  const count = sys.read(fd, head);
  sys.close(fd);
  if (count < 0) return -count;
  const isElf = ELF.every((byte, i) => head.bytes[i] === byte);
  return isElf && head.bytes[ELF.length] === ELFCLASS32 ? ENOEXEC : 0;
}
