// SPDX-License-Identifier: GPL-2.0-only

/**
 * Records which steps of Linux can be made to fail, and compares them with the
 * model's: boots the kernel of `linux-vm:` with what traces its fault
 * injection, goes through the sequences of the sweeps, and writes the functions
 * that the steps were in to a file here. Where the model differs, its table
 * is impl/kernel/fault_steps.ts.
 *
 * @module
 */

import { O_RDONLY, O_WRONLY } from "../../../impl/uapi/mman.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import {
  type Target,
  TargetProcess,
} from "../../../selftests/target/target.ts";
import { connectTarget } from "../../protocol/client.ts";
import { spawnConnection } from "../../protocol/stdio.ts";
import { chosenKernels } from "../build.ts";
import { cacheFolder, findBuilt } from "../cache.ts";
import { buildKernel, TRACING_KERNEL } from "../kernels/build_kernel.ts";
import type { Kernel } from "../kernels/kernels.ts";
import {
  formatSteps,
  recordSteps,
  type StepRecorder,
  stepsOfModel,
} from "./steps.ts";
import { run } from "../programs.ts";
import { QEMU, qemuArgs } from "../qemu.ts";
import { addressesOf, KPROBES, stepsOf } from "./trace.ts";

const TRACING = "/sys/kernel/tracing/";

/** What open creates or empties a file for. */
const O_TRUNC = 0o1000;

/** The kernel's tracing, through a process of its own. */
class Tracer implements StepRecorder {
  readonly #target: Target;
  readonly #kernel: string;
  #process: TargetProcess | undefined;

  constructor(target: Target, kernel: string) {
    this.#target = target;
    this.#kernel = kernel;
  }

  /** Once for a boot. */
  async setUp(): Promise<void> {
    this.#process = await TargetProcess.spawn(this.#target);
    await this.#set("buffer_size_kb", "65536");
    await this.#set("kprobe_events", KPROBES.join("\n"));
    await this.#set("trace_options", "stacktrace");
    await this.#set("trace_options", "sym-addr");
    await this.#set("tracing_on", "0");
    await this.#set("events/steps/enable", "1");
    await this.#target.reset();
  }

  async start(): Promise<void> {
    this.#process = await TargetProcess.spawn(this.#target);
    await this.#set("trace", "", O_TRUNC);
    await this.#set("tracing_on", "1");
  }

  async stop(): Promise<string[]> {
    await this.#set("tracing_on", "0");
    const trace = await this.#get("trace");
    const names = await functionsAt(this.#kernel, addressesOf(trace));
    return stepsOf(trace, (address) => names.get(address) ?? []);
  }

  async #set(name: string, value: string, flags = 0): Promise<void> {
    const fd = await this.#open(name, O_WRONLY | flags);
    const bytes = new TextEncoder().encode(`${value}\n`);
    const written = await this.#process!.write(fd, bytes);
    if (written < 0) throw new Error(`Cannot write ${value} to ${name}`);
    await this.#process!.close(fd);
  }

  async #get(name: string): Promise<string> {
    const fd = await this.#open(name, O_RDONLY);
    const decoder = new TextDecoder();
    let text = "";
    const into = new Uint8Array(65536);
    for (let got; (got = await this.#process!.read(fd, into)) > 0;) {
      text += decoder.decode(into.subarray(0, got), { stream: true });
    }
    await this.#process!.close(fd);
    return text;
  }

  async #open(name: string, flags: number): Promise<number> {
    const fd = await this.#process!.open(TRACING + name, flags);
    if (fd < 0) throw new Error(`Cannot open ${TRACING}${name}`);
    return fd;
  }
}

/** The functions at return addresses of a kernel, those that are inlined first. */
async function functionsAt(
  kernel: string,
  addresses: Set<string>,
): Promise<Map<string, string[]>> {
  // The call is before the address to which it returns.
  const calls = [...addresses].map((address) =>
    (BigInt(`0x${address}`) - 1n).toString(16)
  );
  const args = ["-e", kernel, "-a", "-f", "-i", ...calls];
  const lines = (await run("addr2line", args)).trimEnd().split("\n");
  const found: string[][] = [];
  let isName = false;
  for (const line of lines) {
    if (line.startsWith("0x")) {
      found.push([]);
      isName = true;
      continue;
    }
    if (isName) found.at(-1)!.push(line);
    isName = !isName;
  }
  return new Map([...addresses].map((address, at) => [address, found[at]!]));
}

/** Records a kernel and compares; resolves to whether the model's steps are the same. */
async function record(chosen: Kernel): Promise<boolean> {
  const folder = cacheFolder();
  const { initramfs } = await findBuilt(folder, chosen);
  const [kernel, symbols] = await buildKernel(chosen, {
    folder,
    say: console.log,
    variants: [TRACING_KERNEL],
  });
  const args = qemuArgs({ kernel: kernel!, initramfs }, "tcg");
  const target = await connectTarget(spawnConnection(QEMU.what, args), {});
  try {
    const tracer = new Tracer(target, symbols!);
    await tracer.setUp();
    const { uapi, version } = target.info;
    const seen = formatSteps(await recordSteps(target, tracer));
    const record = new URL(`${uapi}.txt`, import.meta.url);
    await Deno.writeTextFile(record, seen);
    const modelled = formatSteps(await stepsOfModel(uapi as RevisionName));
    const same = seen === modelled;
    console.log(`Recorded ${version} in ${record.pathname}`);
    console.log(`The model's are ${same ? "the same" : "others"}.`);
    return same;
  } finally {
    await target.close();
  }
}

/** The task, for the kernels that the arguments name; resolves to the exit code. */
async function main(args: readonly string[]): Promise<number> {
  let code = 0;
  for (const kernel of chosenKernels(args)) {
    if (!await record(kernel)) code = 1;
  }
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
