// SPDX-License-Identifier: GPL-2.0-only

/**
 * Loads the generated object.
 *
 * @module
 */

import { sharedObject } from "./elf.ts";

const DOUBLES = ["f64", "f64", "f64", "f64", "f64", "f64", "f64"] as const;

const SYMBOLS = {
  call: { parameters: DOUBLES, result: "f64" },
  callLater: {
    name: "call",
    parameters: DOUBLES,
    result: "f64",
    nonblocking: true,
  },
  run: { parameters: ["i64"], result: "f64" },
} as const;

/** The number of a call, and its arguments: integers that a double has exactly, such as addresses. */
export type CallArguments = [
  nr: number,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
];

/** The functions of the object, once it is loaded: see machine_code.ts. */
export interface LoadedObject {
  /** Makes a call. */
  call(...args: CallArguments): number;
  /** Makes a call in another thread. */
  callLater(...args: CallArguments): Promise<number>;
  /** Runs a script. */
  run(entry: number): number;
}

/** Folders that may be allowed to hold a program: the usual one is mounted without that right in places. */
function folders(): (string | undefined)[] {
  return [undefined, "/dev/shm", "/var/tmp", "/run", "."];
}

/**
 * Loads an object with the functions `call` and `run`, from a file that is gone
 * afterwards. Throws an Error that says what is in the way.
 */
export function loadObject(
  machine: number,
  functions: { readonly call: Uint8Array; readonly run: Uint8Array },
): LoadedObject {
  const bytes = sharedObject(machine, functions);
  const reasons: string[] = [];
  for (const dir of folders()) {
    try {
      return loadFrom(dir, bytes);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      reasons.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(
    `No folder takes the shared object that makes system calls; set TMPDIR to one that is mounted without noexec. ${
      reasons.join(" ")
    }`,
  );
}

function loadFrom(dir: string | undefined, bytes: Uint8Array): LoadedObject {
  const path = Deno.makeTempFileSync({
    ...(dir === undefined ? {} : { dir }),
    prefix: "iommufd-kit-",
    suffix: ".so",
  });
  try {
    Deno.writeFileSync(path, bytes);
    // Deno's types ask for bigints, which cost; numbers do as well.
    return Deno.dlopen(path, SYMBOLS).symbols as unknown as LoadedObject;
  } finally {
    Deno.removeSync(path);
  }
}
