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
 * out. The table of verbs reads requests and writes replies; an adapter for
 * something else makes calls in another way than the model, and keeps the rest.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import {
  isRevisionName,
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
} from "../../impl/uapi/revision.ts";
import { type ImplOptions, Model } from "../../selftests/target/impl_target.ts";
import { type Verb, VERBS } from "../../selftests/target/verbs.ts";
import {
  formatReply,
  formatResults,
  formatTiming,
  parseCall,
  parseList,
} from "../protocol/calls.ts";
import { formatNumber, formatText, Words } from "../protocol/codec.ts";
import { formatHello } from "../protocol/hello.ts";
import { formatOutcomes, parseSteps } from "../protocol/program.ts";
import { serveSocket, serveStdio } from "../protocol/serve.ts";

/** What is served. */
export interface ServerOptions extends ImplOptions {
  /** The revision; default the newest. */
  readonly uapi?: RevisionName;
  /** The verbs; default all that there are. */
  readonly verbs?: readonly Verb[];
}

/** Bytes of memory: benchmarks are measured through it too. */
export const MEMORY = 2 ** 32;

/** One connection's machine. */
export class ModelServer {
  readonly #model: Model;
  readonly #verbs: ReadonlyMap<string, Verb>;

  /** A machine without processes. */
  constructor(options: ServerOptions = {}) {
    const { uapi = NEWEST, verbs = VERBS } = options;
    this.#model = new Model(uapi, {
      memory: MEMORY,
      container: "iommufd",
      hasOnlyCard: true,
      ...options,
    });
    this.#verbs = new Map(verbs.map((verb) => [verb.name, verb]));
  }

  /** The reply to a request, and whether it is the last. Never throws. */
  answer(line: string): { reply: string; last: boolean } {
    let sequence = "0";
    try {
      const words = new Words(line);
      sequence = formatNumber(words.bigint("SEQ"));
      const process = words.number("PROCESS");
      const name = words.name("VERB");
      const reply = process === 0
        ? ["ok", ...this.#adapterRequest(name, words)].join(" ")
        : this.#processRequest(process, name, words);
      const last = process === 0 && name === "bye";
      return { reply: `${sequence} ${reply}`, last };
    } catch (error) {
      // A request that makes no sense, or a defect of the model.
      const reason = formatText(String(error));
      return { reply: `${sequence} error ${reason}`, last: false };
    }
  }

  /** Requests of process 0. */
  #adapterRequest(name: string, words: Words): string[] {
    if (name !== "hello" && name !== "program") words.end();
    switch (name) {
      case "hello":
        if (words.number("the version") !== 1) words.refuse("only 1 is spoken");
        words.end();
        return [formatHello(this.#model.info)];
      case "program": {
        const program = parseSteps(words, (part) => this.#verb(part));
        return formatOutcomes(program, this.#model.program(program));
      }
      case "spawn":
        return [formatNumber(this.#model.spawn())];
      case "reset":
        return this.#model.reset().map(formatText);
      case "bye":
        return [];
      default:
        return words.refuse(`${name} is no request to the adapter`);
    }
  }

  /** Requests of the other processes. All of a request is read before any of it is done. */
  #processRequest(process: number, name: string, words: Words): string {
    switch (name) {
      case "batch": {
        const calls = parseList(words, (part) => this.#listed(part, "batched"));
        const results = this.#model.make(process, calls);
        return ["ok", ...formatResults(calls, results)].join(" ");
      }
      case "time": {
        const times = words.number("COUNT");
        if (times < 1) words.refuse("nothing is timed in no repetition");
        const calls = parseList(words, (part) => this.#listed(part, "timed"));
        const timing = this.#model.time(process, times, calls);
        return ["ok", ...formatTiming(calls, timing)].join(" ");
      }
      default: {
        const calls = [parseCall(this.#find(name, words), words)];
        return formatReply(calls, this.#model.make(process, calls));
      }
    }
  }

  /** The verb of a step. */
  #verb(words: Words): Verb {
    return this.#find(words.name("a call"), words);
  }

  #find(name: string, words: Words): Verb {
    return this.#verbs.get(name) ??
      words.refuse(`${name} is no request to a process`);
  }

  /** The verb of a call in a list. */
  #listed(words: Words, how: "batched" | "timed"): Verb {
    const name = words.name("a call");
    const verb = this.#verbs.get(name);
    if (verb?.[how]) return verb;
    return words.refuse(`${name} cannot be ${how}`);
  }
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
