// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs small programs on a kernel of the test's own, and takes what they tell.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Kernel } from "../../../impl/kernel.ts";
import { HostMachine } from "../../memory/machine.ts";
import {
  Supervisor,
  type SupervisorOptions,
} from "../../supervise/supervisor.ts";
import type { ProgramEnd } from "../../supervise/program.ts";
import { AT_FDCWD, O_CLOEXEC } from "../../sys/structs.ts";
import { must, Sys } from "../../sys/sys.ts";

const sys = Sys.shared;
const MFD_CLOEXEC = 1;
/** Most bytes that a program can tell. */
const MAX_OUTPUT = 1 << 18;

/** What programs have as their environment: little, and the same everywhere. */
const ENVIRONMENT = { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" };

/** How a program ended and what it printed, on both of its outputs. */
export interface Run {
  readonly end: ProgramEnd;
  readonly output: string;
}

/** A kernel whose programs are real. */
export function hostKernel(): Kernel {
  return new Kernel({ machine: new HostMachine(sys) });
}

/** Where a program runs, and what the model believes of it. */
export type Setting = Pick<SupervisorOptions, "kernel" | "pretence">;

/** Runs a program until it and all its descendants have ended. */
export async function runProgram(
  setting: Setting,
  program: string,
  ...args: readonly string[]
): Promise<Run> {
  const supervisor = new Supervisor(setting);
  const name = sys.text("output");
  const out = must(sys.call(sys.nr.memfd_create, name, MFD_CLOEXEC), "memfd");
  const stdin = sys.openat(AT_FDCWD, "/dev/null", O_CLOEXEC);
  try {
    const stdio = [stdin, out, out] as const;
    const options = { program, args, stdio, env: ENVIRONMENT };
    const end = await supervisor.start(options).ended;
    return { end, output: contentOf(out) };
  } finally {
    sys.close(out);
    sys.close(stdin);
  }
}

function contentOf(fd: number): string {
  const block = sys.map(MAX_OUTPUT);
  const length = sys.call(sys.nr.pread64, fd, block.address, MAX_OUTPUT, 0);
  const text = new TextDecoder().decode(block.bytes.slice(0, length));
  sys.unmap(block.address, MAX_OUTPUT);
  return text;
}

/** What a program prints; undefined if there is no such program. */
function printedBy(program: string, ...args: string[]): string | undefined {
  try {
    const { stdout } = new Deno.Command(program, { args }).outputSync();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The interpreter itself: what is found by its name may be a script that looks for it. */
const PYTHON = printedBy("python3", "-c", "import sys; print(sys.executable)");

/** Options of a test that needs Python: without it the test is reported as skipped, and why. */
export const withPython: { readonly skip: string | false } = {
  skip: PYTHON === undefined ? "there is no python3" : false,
};

/** What each program in Python begins with: `tell(value)` tells the test. */
const PRELUDE = `
import array, ctypes, errno, fcntl, json, mmap, os, select, signal, socket, stat, struct, sys, threading, time
def tell(value):
    print(json.dumps(value), flush=True)
def errno_of(body, *args):
    try:
        body(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None
libc = ctypes.CDLL(None, use_errno=True)
IOAS_ALLOC = 0x3b81
def alloc(fd):
    "The id of a new IOAS."
    request = bytearray(struct.pack("III", 12, 0, 0))
    fcntl.ioctl(fd, IOAS_ALLOC, request)
    return struct.unpack("III", request)[2]
def child(body):
    "Runs body in a child, and returns how that ended."
    pid = os.fork()
    if pid == 0:
        try:
            body()
        except BaseException as error:
            print("child:", repr(error), flush=True)
            os._exit(99)
        os._exit(0)
    return os.waitpid(pid, 0)[1]
`;

/** Runs a program in Python, which must end well; returns what it told. */
export async function python(
  body: string,
  setting: Partial<Setting> = {},
): Promise<unknown[]> {
  const { end, output } = await runProgram(
    { kernel: hostKernel(), ...setting },
    PYTHON!,
    "-c",
    PRELUDE + body,
  );
  assertEquals(end, { code: 0, signal: undefined }, output);
  return output.split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}
