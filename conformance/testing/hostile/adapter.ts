// SPDX-License-Identifier: GPL-2.0-only

/**
 * Adapters that misbehave, to test the runner with: `adapter.ts KIND TAG`
 * serves the model, except where the kind says otherwise. The tag is only
 * there to find its processes by.
 *
 * @module
 */

import { NEWEST } from "../../../impl/uapi/revision.ts";
import { ModelServer } from "../../agents/model_agent.ts";
import { formatText } from "../../protocol/codec.ts";
import { LineBuffer } from "../../protocol/line_buffer.ts";

/** A request, in its parts. */
interface Request {
  readonly sequence: string;
  readonly process: string;
  readonly verb: string;
  readonly args: readonly string[];
}

/** Answers a request; `honest` is the answer that would be right. It may also never return. */
type Kind = (request: Request, honest: () => string) => string;

/** Writes text as it is. */
function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) {
    sent += Deno.stdout.writeSync(bytes.subarray(sent));
  }
}

/** Does nothing for ever, and tells the runner's test so: time may pass now. */
function hang(): never {
  Deno.kill(Deno.ppid, "SIGUSR2");
  const never = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(never, 0, 0);
  throw new Error("Woken from an endless sleep");
}

/** Writes text for ever. */
function flood(text: string): never {
  for (const many = text.repeat(1 << 16);;) write(many);
}

/** A kind that does something else for one verb. */
function at(verb: string, kind: Kind): Kind {
  return (request, honest) =>
    request.verb === verb ? kind(request, honest) : honest();
}

/** Replies in the right form that all say the same; nothing happens. */
function always(result: number): Kind {
  return ({ sequence, process, verb, args }, honest) => {
    if (process === "0") return honest();
    const ok = `${sequence} ok`;
    switch (verb) {
      case "ioctl":
        return `${ok} ${result} ${args[2]}`;
      case "read":
      case "pread":
        return `${ok} ${result} -`;
      case "peek":
        return `${ok} ${"00".repeat(Number(args[1])) || "-"}`;
      case "pipe":
        return `${ok} ${result} 3 4`;
      case "vmstatus":
        return `${ok} 0 0`;
      case "batch":
      case "fork":
        return honest();
      case "poke":
      case "exit":
        return ok;
      default:
        return `${ok} ${result}`;
    }
  };
}

/** Flips a bit in the last byte of a reply's last word. */
function flipped(reply: string): string {
  const last = Number.parseInt(reply.slice(-1), 16);
  return Number.isNaN(last)
    ? reply
    : reply.slice(0, -1) + (last ^ 1).toString(16);
}

/** Replies to `hello` with one thing changed. */
function greeting(from: string, to: string): Kind {
  return at("hello", (_, honest) => honest().replace(from, to));
}

/** All kinds of misbehaviour. */
export const KINDS: Readonly<Record<string, Kind>> = {
  "dies at hello": at("hello", () => Deno.exit(1)),
  "dies in mid-line": at("ioctl", ({ sequence }) => {
    write(`${sequence} ok 0 0c`);
    return Deno.exit(0);
  }),
  "dies of a signal": at("ioctl", () => {
    Deno.kill(Deno.pid, "SIGKILL");
    return hang();
  }),
  "dies at reset": at("reset", () => Deno.exit(0)),
  "says nothing": () => hang(),
  "hangs in an ioctl": at("ioctl", () => hang()),
  "hangs in a reset": at("reset", () => hang()),
  "floods with one line": at("ioctl", () => flood("x")),
  "floods with lines": at("ioctl", () => flood("1 ok\n")),
  "lies about fork": at(
    "fork",
    ({ sequence }) => `${sequence} error ${formatText("not implemented")}`,
  ),
  "lies about fail_nth": at("failnth", ({ sequence }) => `${sequence} ok 0`),
  "lies about setrlimit": at(
    "setrlimit",
    ({ sequence }) => `${sequence} ok 0`,
  ),
  "answers every call with 0": always(0),
  "answers every call with EINVAL": always(-22),
  "answers everything with ok 0": ({ sequence, verb }, honest) =>
    verb === "hello" ? honest() : `${sequence} ok 0`,
  "answers with the wrong sequence number": ({ sequence, verb }, honest) =>
    verb === "ioctl"
      ? honest().replace(sequence, `${Number(sequence) + 1}`)
      : honest(),
  "answers with garbage": at("ioctl", () => "Segmentation fault (core dumped)"),
  "answers with bytes that are no text": at(
    "ioctl",
    () => "\u0000\u00ff\ufffd",
  ),
  "answers twice": at("ioctl", (_, honest) => {
    const reply = honest();
    return `${reply}\n${reply}`;
  }),
  "shortens structs": at("ioctl", (_, honest) => honest().slice(0, -2)),
  "corrupts memory": at("peek", (_, honest) => flipped(honest())),
  "corrupts structs": at("ioctl", (_, honest) => flipped(honest())),
  "leaves something behind": at(
    "reset",
    (_, honest) => `${honest()} ${formatText("A page is pinned.")}`,
  ),
  "leaves a child": at("ioctl", () => {
    new Deno.Command("sh", {
      args: ["-c", `: ${Deno.args[1]}; sleep 300; :`],
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    return Deno.exit(1);
  }),
  "speaks another version": greeting("protocol=1", "protocol=2"),
  "has an unknown uAPI": greeting(`uapi=${NEWEST}`, "uapi=7.0"),
  // What follows may be done: it is no reason to fail.
  "writes to standard error": (_, honest) => {
    console.error("x".repeat(100_000));
    return honest();
  },
  "does not end": at("bye", (_, honest) => {
    write(`${honest()}\n`);
    return hang();
  }),
  "ends without an answer to bye": at("bye", () => Deno.exit(0)),
};

/** Serves standard input and output. */
function main(): void {
  const kind = KINDS[Deno.args[0]!]!;
  const server = new ModelServer();
  const lines = new LineBuffer();
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const count = Deno.stdin.readSync(buffer);
    if (count === null) return;
    for (const line of lines.push(buffer.subarray(0, count))) {
      const [sequence, process, verb, ...args] = line.split(" ");
      const request = {
        sequence: sequence!,
        process: process!,
        verb: verb!,
        args,
      };
      write(`${kind(request, () => server.answer(line).reply)}\n`);
    }
  }
}

if (import.meta.main) main();
