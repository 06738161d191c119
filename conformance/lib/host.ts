// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the command needs of the system it runs on.
 *
 * @module
 */

import { type EndingSignal, onSignal } from "./ending.ts";

/** Where the command's output goes. */
export interface Host {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** True if standard output is a terminal that wants colours. */
  readonly color: boolean;
  /** True if standard error is a terminal. */
  readonly errIsTerminal: boolean;
  /** Creates a file, or empties it; the function it returns appends to it. */
  create(path: string): (text: string) => void;
  /**
   * Makes sure that a file can be written, and leaves it alone: the function
   * that is returned writes all of it.
   */
  prepare(path: string): (text: string) => void;
  /** Writes a whole file, and creates the folders that it is in. */
  save(path: string, text: string): void;
  /** The text of a file; undefined if there is no such file. */
  readText(path: string): string | undefined;
  /** What time it is. */
  now(): Date;
  /** The machine that this runs on. */
  machine(): Machine;
  /** Calls `stop` instead of ending when a signal asks for the end, once; what is returned takes that back. */
  onSignal(stop: (signal: EndingSignal) => void): () => void;
}

/** A machine, as far as this program may ask for it. */
export interface Machine {
  /** The operating system, such as `linux`. */
  readonly os: string;
  /** The architecture, such as `x86_64`. */
  readonly arch: string;
  /** The version of the operating system's kernel. */
  readonly release?: string;
  /** How many processors it has. */
  readonly processors: number;
  /** The version of Deno that runs this. */
  readonly deno: string;
}

/** Bytes of the longest file that is read: a device may have no end. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;

/** The process that Deno runs. NO_COLOR is respected. */
export function denoHost(): Host {
  return {
    out: (text) => write(Deno.stdout, text),
    err: (text) => write(Deno.stderr, text),
    color: Deno.stdout.isTerminal() && !Deno.noColor,
    errIsTerminal: Deno.stderr.isTerminal(),
    create(path) {
      Deno.writeTextFileSync(path, "");
      return (text) => Deno.writeTextFileSync(path, text, { append: true });
    },
    prepare,
    save(path, text) {
      const folder = path.slice(0, path.lastIndexOf("/") + 1);
      if (folder !== "") Deno.mkdirSync(folder, { recursive: true });
      prepare(path)(text);
    },
    now: () => new Date(),
    machine,
    onSignal,
    readText(path) {
      try {
        using file = Deno.openSync(path);
        return readAll(file);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    },
  };
}

/** What may be asked of this machine without a permission, and its kernel's version with one. */
function machine(): Machine {
  const { state } = Deno.permissions.querySync({
    name: "sys",
    kind: "osRelease",
  });
  return {
    os: Deno.build.os,
    arch: Deno.build.arch,
    ...state === "granted" && { release: Deno.osRelease() },
    processors: navigator.hardwareConcurrency,
    deno: Deno.version.deno,
  };
}

/** A file that is written as a whole or not at all, as far as that can be. */
function prepare(path: string): (text: string) => void {
  const place = placeOf(path);
  if (place === undefined) return (text) => Deno.writeTextFileSync(path, text);
  const draft = `${place}.${crypto.randomUUID()}`;
  Deno.openSync(draft, { write: true, createNew: true }).close();
  Deno.removeSync(draft);
  return (text) => {
    try {
      Deno.writeTextFileSync(draft, text);
      Deno.renameSync(draft, place);
    } catch (error) {
      try {
        Deno.removeSync(draft);
      } catch {
        // It was not even created.
      }
      throw error;
    }
  };
}

/**
 * Where a file can be put that takes the place of another; undefined where it
 * must be written in place: it is a link or no file at all, or we may not look.
 * Throws if it cannot be written.
 */
function placeOf(path: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "read", path });
  if (state !== "granted") {
    Deno.openSync(path, { append: true, create: true }).close();
    return undefined;
  }
  try {
    // A link may lead to what somebody else has open, such as standard output.
    const { isFile, isSymlink } = Deno.lstatSync(path);
    if (isFile || isSymlink) {
      Deno.openSync(path, { append: true, create: true }).close();
    }
    return isFile ? path : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw error;
  }
}

/** All of a file as text. */
function readAll(file: Deno.FsFile): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (let bytes = 0; bytes <= MAX_FILE_BYTES;) {
    const count = file.readSync(buffer);
    if (count === null) return text + decoder.decode();
    bytes += count;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
}

/** Writes all of a text. A reader that went away, such as `head`, is no error. */
function write(
  stream: { writeSync(bytes: Uint8Array): number },
  text: string,
): void {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) {
      bytes = bytes.subarray(stream.writeSync(bytes));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
