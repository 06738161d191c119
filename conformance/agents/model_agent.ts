// SPDX-License-Identifier: GPL-2.0-only

/**
 * An adapter to copy from: serves the model of this package in the adapter
 * protocol (../protocol.md), over standard input and output or a socket.
 *
 * ```sh
 * deno task conformance --target "stdio:deno run conformance/agents/model_agent.ts"
 * deno run --allow-net conformance/agents/model_agent.ts --listen tcp:127.0.0.1:7000
 * ```
 *
 * Every request is answered by {@link ModelServer.answer}: a line in, a line
 * out. Below it stand the verbs, one line each; an adapter for something else
 * has other verbs there, and keeps the rest.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { Kernel } from "../../impl/kernel.ts";
import type { FrameOrder } from "../../impl/kernel/memory/frames.ts";
import type { Process } from "../../impl/kernel/process.ts";
import {
  BusError,
  SegmentationFault,
} from "../../impl/kernel/memory/user_pages.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../impl/uapi/mman.ts";
import {
  isRevisionName,
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
} from "../../impl/uapi/revision.ts";
import { kernelCapabilities } from "../../selftests/harness/capabilities.ts";
import {
  formatBytes,
  formatNumber,
  formatText,
  Words,
} from "../protocol/codec.ts";
import { serveSocket, serveStdio } from "../protocol/serve.ts";
import { VERSION } from "../version.ts";

/** A value of a reply: a number, bytes, or a word that is ready. */
type Value = number | Uint8Array | string;

/** How many arguments a system call has, and how it is made: the values of the reply. */
type Verb = readonly [number, (process: Process, args: Words) => Value[]];

const CALLS: Readonly<Record<string, Verb>> = {
  open: [2, (p, a) => [p.open(a.text("PATH"), a.number("FLAGS"))]],
  close: [1, (p, a) => [p.close(a.number("FD"))]],
  dup: [1, (p, a) => [p.dup(a.number("FD"))]],
  ioctl: [3, (p, a) => {
    const [fd, cmd] = [a.number("FD"), a.number("CMD")];
    const struct = a.bytes("STRUCT");
    // Before a guard page, as the protocol says.
    return [p.ioctlStruct(fd, cmd, struct), struct];
  }],
  ioctlarg: [3, (p, a) => [
    p.ioctl(a.number("FD"), a.number("CMD"), a.bigint("ARG")),
  ]],
  mmap: [6, (p, a) => [
    p.mmap(
      a.number("ADDR"),
      a.number("LENGTH"),
      a.number("PROT"),
      a.number("FLAGS"),
      a.number("FD"),
      a.number("OFFSET"),
    ),
  ]],
  munmap: [2, (p, a) => [p.munmap(a.number("ADDR"), a.number("LENGTH"))]],
  mprotect: [3, (p, a) => [
    p.mprotect(a.number("ADDR"), a.number("LENGTH"), a.number("PROT")),
  ]],
  madvise: [3, (p, a) => [
    p.madvise(a.number("ADDR"), a.number("LENGTH"), a.number("ADVICE")),
  ]],
  read: [2, (p, a) => {
    const [fd, into] = [a.number("FD"), new Uint8Array(a.number("COUNT"))];
    const ret = p.read(fd, into);
    return [ret, into.subarray(0, Math.max(ret, 0))];
  }],
  write: [2, (p, a) => [p.write(a.number("FD"), a.bytes("BYTES"))]],
  poll: [2, (p, a) => [p.poll(a.number("FD"), a.number("EVENTS"))]],
  peek: [2, (p, a) => [p.peek(a.number("ADDR"), a.number("LENGTH"))]],
  poke: [2, (p, a) => {
    p.poke(a.number("ADDR"), a.bytes("BYTES"));
    return [];
  }],
  memfd: [2, (p, a) => [p.memfdCreate(a.text("NAME"), a.number("FLAGS"))]],
  ftruncate: [2, (p, a) => [p.ftruncate(a.number("FD"), a.number("LENGTH"))]],
  eventfd: [2, (p, a) => [p.eventfd(a.number("VALUE"), a.number("FLAGS"))]],
  pipe: [0, (p) => {
    const { ret, readFd, writeFd } = p.pipe();
    return [ret, readFd, writeFd];
  }],
  setrlimit: [2, (p, a) => [
    p.setrlimit(a.number("RESOURCE"), a.bigint("SOFT")),
  ]],
  setuid: [1, (p, a) => [p.setuid(a.number("UID"))]],
  dropcap: [1, (p, a) => [p.dropCapability(a.number("CAPABILITY"))]],
  vmstatus: [0, (p) => {
    const { vmLck, vmPin } = p.vmStatus();
    return [vmLck, vmPin];
  }],
  failnth: [1, (p, a) => [p.setFailNth(a.number("N"))]],
  failnthleft: [0, (p) => [p.failNthLeft()]],
};

/** Memory that the process may not touch. */
const FAULT = "fault";

/** The calls that may stand in a batch. */
const BATCHED = ["ioctl", "peek", "poke"];

/** What is served. */
export interface ServerOptions {
  /** The revision; default the newest. */
  readonly uapi?: RevisionName;
  /** In which order memory is handed out; default `ordered`. */
  readonly frameOrder?: FrameOrder;
}

/** One connection's machine. */
export class ModelServer {
  readonly #uapi: RevisionName;
  readonly #frameOrder: FrameOrder;
  readonly #processes = new Map<number, Process>();
  #kernel: Kernel;

  /** A machine without processes. */
  constructor({ uapi = NEWEST, frameOrder = "ordered" }: ServerOptions = {}) {
    this.#uapi = uapi;
    this.#frameOrder = frameOrder;
    this.#kernel = this.#boot();
  }

  /** The reply to a request, and whether it is the last. Never throws. */
  answer(line: string): { reply: string; last: boolean } {
    let sequence = "0";
    try {
      const words = new Words(line);
      sequence = formatNumber(words.bigint("SEQ"));
      const number = words.number("PROCESS");
      const verb = words.name("VERB");
      const values = number === 0
        ? this.#adapterRequest(verb, words)
        : this.#processRequest(number, verb, words);
      const reply = values === FAULT
        ? `${sequence} fault`
        : [sequence, "ok", ...values.map(formatValue)].join(" ");
      return { reply, last: number === 0 && verb === "bye" };
    } catch (error) {
      // A request that makes no sense, or a defect of the model.
      const reason = formatText(String(error));
      return { reply: `${sequence} error ${reason}`, last: false };
    }
  }

  /** Requests of process 0. */
  #adapterRequest(verb: string, args: Words): Value[] {
    if (verb !== "hello") args.end();
    switch (verb) {
      case "hello":
        if (args.number("the version") !== 1) args.refuse("only 1 is spoken");
        args.end();
        return this.#hello();
      case "spawn":
        return [this.#add(this.#kernel.spawn())];
      case "reset":
        return this.#reset().map(formatText);
      case "bye":
        return [];
      default:
        return args.refuse(`${verb} is no request to the adapter`);
    }
  }

  #hello(): string[] {
    const capabilities = [
      ...["hugetlb", "fork", "fail_nth", "setrlimit", "setuid", "time"],
      ...kernelCapabilities(this.#uapi),
    ];
    return [
      "protocol=1",
      "name=iommufd-kit-model",
      `version=${VERSION}`,
      `uapi=${this.#uapi}`,
      `page=${PAGE_SIZE}`,
      `hugepage=${HPAGE_SIZE}`,
      `capabilities=${capabilities.join(",")}`,
    ];
  }

  /** Requests of the other processes. */
  #processRequest(
    number: number,
    verb: string,
    args: Words,
  ): Value[] | typeof FAULT {
    const process = this.#processes.get(number);
    if (process === undefined) args.refuse(`there is no process ${number}`);
    switch (verb) {
      case "fork":
        args.end();
        return [this.#add(process.fork())];
      case "exit":
        args.end();
        process.exit();
        this.#processes.delete(number);
        return [];
      case "batch":
        return batch(process, args);
      case "time":
        return time(process, args);
      default:
        return call(process, verb, args);
    }
  }

  /** Ends all processes; says what they left. The next ones get a machine of their own. */
  #reset(): string[] {
    for (const process of [...this.#kernel.processes]) process.exit();
    const problems = this.#kernel.audit();
    this.#processes.clear();
    this.#kernel = this.#boot();
    return problems;
  }

  #boot(): Kernel {
    const [revision, frameOrder] = [this.#uapi, this.#frameOrder];
    return new Kernel({ revision, frameOrder });
  }

  /** Numbers a process. */
  #add(process: Process): number {
    this.#processes.set(process.pid, process);
    return process.pid;
  }
}

/** Makes a system call. */
function call(
  process: Process,
  verb: string,
  args: Words,
): Value[] | typeof FAULT {
  const [count, make] =
    (Object.hasOwn(CALLS, verb) ? CALLS[verb] : undefined) ??
      args.refuse(`${verb} is no request to a process`);
  if (args.left !== count) args.refuse(`${verb} has ${count} arguments`);
  try {
    return make(process, args);
  } catch (error) {
    const fault = error instanceof SegmentationFault ||
      error instanceof BusError;
    if (!fault) throw error;
    return FAULT;
  }
}

/** Makes all calls of a batch, whatever those before came to. */
function batch(process: Process, args: Words): Value[] {
  return args.split(";").flatMap((args, index) => {
    const verb = args.name("a call");
    if (!BATCHED.includes(verb)) args.refuse(`${verb} cannot be in a batch`);
    const values = call(process, verb, args);
    return [...index > 0 ? [";"] : [], ...values === FAULT ? [FAULT] : values];
  });
}

/** A call that is made again and again. */
interface Timed {
  readonly make: () => number;
  /** The struct as it was sent, and the one that the call is made with. */
  readonly sent?: Uint8Array;
  readonly struct?: Uint8Array;
}

/** How the calls that can be timed are made. */
const TIMED: Readonly<Record<string, (p: Process, a: Words) => Timed>> = {
  ioctl: (p, a) => {
    const [fd, cmd] = [a.number("FD"), a.number("CMD")];
    const sent = a.bytes("STRUCT");
    const struct = sent.slice();
    return { make: () => p.ioctlStruct(fd, cmd, struct), sent, struct };
  },
  ioctlarg: (p, a) => {
    const [fd, cmd, arg] = [a.number("FD"), a.number("CMD"), a.bigint("ARG")];
    return { make: () => p.ioctl(fd, cmd, arg) };
  },
  open: (p, a) => {
    const [path, flags] = [a.text("PATH"), a.number("FLAGS")];
    return { make: () => p.open(path, flags) };
  },
  close: (p, a) => {
    const fd = a.number("FD");
    return { make: () => p.close(fd) };
  },
};

/** Makes calls again and again; the times, and the values of the last time. */
function time(process: Process, args: Words): Value[] {
  const times = args.number("COUNT");
  if (times < 1) args.refuse("nothing is timed in no repetition");
  const calls = args.split(";").map((part) => parseTimed(process, part));
  const milliseconds = new Float64Array(calls.length);
  const results = new Float64Array(calls.length);
  for (let left = times; left > 0; left--) {
    for (const [i, { make, sent, struct }] of calls.entries()) {
      if (sent !== undefined) struct?.set(sent);
      const start = performance.now();
      results[i] = make();
      milliseconds[i]! += performance.now() - start;
    }
  }
  return [
    ...Array.from(milliseconds, (each) => Math.round(each * 1e6)),
    ...calls.flatMap((
      { struct },
      i,
    ) => [";", results[i]!, ...struct ? [struct] : []]),
  ];
}

function parseTimed(process: Process, args: Words): Timed {
  const verb = args.name("a call");
  const parse = (Object.hasOwn(TIMED, verb) ? TIMED[verb] : undefined) ??
    args.refuse(`${verb} cannot be timed`);
  const timed = parse(process, args);
  args.end();
  return timed;
}

/** A value as a word. */
function formatValue(value: Value): string {
  if (typeof value === "string") return value;
  return typeof value === "number" ? formatNumber(value) : formatBytes(value);
}

/** Serves what the command line says. */
async function main(args: readonly string[]): Promise<void> {
  const { uapi, scattered, listen: address } = parseArgs(args, {
    string: ["uapi", "scattered", "listen"],
    unknown: (arg) => fail(`Unknown argument "${arg}"`),
  });
  const options = {
    ...uapi !== undefined && { uapi: parseRevision(String(uapi)) },
    ...scattered !== undefined &&
      { frameOrder: { scattered: Number(scattered) } },
  };
  if (address === undefined) serveStdio(new ModelServer(options));
  else await serveSocket(String(address), () => new ModelServer(options));
}

function parseRevision(name: string): RevisionName {
  if (isRevisionName(name)) return name;
  return fail(`--uapi must be ${REVISION_NAMES.join(" or ")}`);
}

function fail(message: string): never {
  console.error(message);
  Deno.exit(2);
}

if (import.meta.main) await main(Deno.args);
