// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the runner uses of Deno, over Node's modules. Where there is a Deno, it
 * is that.
 *
 * @module
 */

import * as fs from "node:fs";
import { release } from "node:os";
import process from "node:process";
import { isatty } from "node:tty";
import { BrokenPipe, NotFound, translated } from "./errors.ts";
import { Command } from "./command.ts";
import { connect } from "./connect.ts";

/** An open file. */
class FsFile implements Disposable {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  readSync(into: Uint8Array): number | null {
    return fs.readSync(this.#fd, into) || null;
  }

  close(): void {
    fs.closeSync(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

interface OpenOptions {
  readonly write?: boolean;
  readonly append?: boolean;
  readonly create?: boolean;
  readonly createNew?: boolean;
}

/** The flags of fopen for options of `Deno.openSync()`, of which the runner uses three kinds. */
function flagsOf({ append, createNew }: OpenOptions): string {
  if (append) return "a";
  return createNew ? "wx" : "r";
}

/** Standard output or standard error. */
function stream(fd: number) {
  return {
    writeSync: (bytes: Uint8Array) => translated(() => fs.writeSync(fd, bytes)),
    isTerminal: () => isatty(fd),
  };
}

const onNode = {
  args: process.argv.slice(2),
  pid: process.pid,
  build: { os: process.platform, arch: process.arch },
  version: { deno: `none, but ${process.title} ${process.version}` },
  osRelease: () => release(),
  noColor: Boolean(process.env["NO_COLOR"]),
  stdout: stream(1),
  stderr: stream(2),
  errors: { BrokenPipe, NotFound },
  permissions: { querySync: () => ({ state: "granted" }) },
  Command,
  connect,
  cwd: () => process.cwd(),
  // Only asked where an adapter is run by Deno.
  execPath: () => "deno",
  exit: (code: number) => process.exit(code),
  kill: (pid: number, signal: NodeJS.Signals) => process.kill(pid, signal),
  addSignalListener: (signal: NodeJS.Signals, act: () => void) =>
    process.on(signal, act),
  removeSignalListener: (signal: NodeJS.Signals, act: () => void) =>
    process.off(signal, act),
  lstatSync: (path: string) => infoOf(translated(() => fs.lstatSync(path))),
  statSync: (path: string) => infoOf(translated(() => fs.statSync(path))),
  mkdirSync: (path: string, options: { recursive: boolean }) =>
    translated(() => fs.mkdirSync(path, options)),
  openSync: (path: string, options: OpenOptions = {}) =>
    new FsFile(translated(() => fs.openSync(path, flagsOf(options)))),
  readFileSync: (path: string) => translated(() => fs.readFileSync(path)),
  removeSync: (path: string) => translated(() => fs.rmSync(path)),
  renameSync: (from: string, to: string) =>
    translated(() => fs.renameSync(from, to)),
  writeTextFileSync: (
    path: string,
    text: string,
    { append = false }: { append?: boolean } = {},
  ) =>
    translated(() =>
      fs.writeFileSync(path, text, { flag: append ? "a" : "w" })
    ),
};

function infoOf(stats: fs.Stats) {
  const [isFile, isSymlink] = [stats.isFile(), stats.isSymbolicLink()];
  return { isFile, isSymlink, size: stats.size };
}

const there = (globalThis as { Deno?: unknown }).Deno;

/** Deno's namespace, or as much of it as the runner uses. */
export const Deno: unknown = there ?? onNode;
