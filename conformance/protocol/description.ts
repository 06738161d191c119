// SPDX-License-Identifier: GPL-2.0-only

/**
 * The adapter protocol as data, for programs: what protocol.md says in
 * sentences. It is made from the tables that requests are read and written by,
 * and kept in conformance/protocol.json.
 *
 * `deno run --allow-write=conformance conformance/protocol/description.ts`
 * writes that file anew.
 *
 * @module
 */

import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { NEEDS } from "../../selftests/target/capabilities.ts";
import { type Kind, type Verb, VERBS } from "../../selftests/target/verbs.ts";
import { argumentsSent } from "./calls.ts";
import { HELLO_KEYS, PROTOCOL_VERSION } from "./hello.ts";

/** How a word is written: a regular expression, and what it stands for. */
const WORDS = {
  number: {
    pattern: "^-?(0|[1-9][0-9]*|0x[0-9a-fA-F]+)$",
    is: "at most 64 bits: unsigned, or signed where it is a result",
  },
  bytes: { pattern: "^(-|([0-9a-f]{2})+)$", is: "two digits each; - for none" },
  text: { pattern: "^(-|([0-9a-f]{2})+)$", is: "UTF-8, as bytes" },
  pair: {
    pattern: "^[\\w.-]+=[\\w.,=-]*$",
    is: "KEY=NAME",
  },
} as const;

/** How a word is written. */
type Word = keyof typeof WORDS;

/** What each kind of argument is: the word of the request, and what comes back for it. */
const KINDS: Readonly<
  Record<Kind, { readonly sent?: Word; readonly back?: Word }>
> = {
  number: { sent: "number" },
  u64: { sent: "number" },
  command: { sent: "number" },
  process: { sent: "number" },
  text: { sent: "text" },
  bytes: { sent: "bytes" },
  struct: { sent: "bytes", back: "bytes" },
  into: { sent: "number", back: "bytes" },
  numbers: { back: "number" },
};

/** How a request can be answered. */
const REPLIES = {
  ok: { words: "VALUE…", when: "the request was carried out" },
  fault: {
    words: "",
    when: "the process may not touch the memory that it named",
  },
  died: {
    words: "REASON",
    when: "the process ended while it carried the request out, or before",
  },
  error: {
    words: "REASON",
    when: "the adapter could not carry the request out, or it makes no sense",
  },
} as const;

/** A reply. */
type Reply = keyof typeof REPLIES;

/** A named word of a request or of its values. */
interface Named {
  readonly name: string;
  readonly word: Word;
}

/** An argument of a call. */
interface DescribedArgument extends Named {
  readonly kind: Kind;
}

/** A system call. */
export interface DescribedCall {
  /** The verb. */
  readonly name: string;
  /** Its arguments, all of which are there. */
  readonly args: readonly DescribedArgument[];
  /** The values of an `ok`, in order. */
  readonly values: readonly Named[];
  /** How it can be answered. */
  readonly replies: readonly Reply[];
  /** The capability without which nothing asks for it. */
  readonly needs?: string;
  /** It can be in a `batch`. */
  readonly batched: boolean;
  /** It can be in a `time`. */
  readonly timed: boolean;
}

/** The protocol as data. */
export function describeProtocol() {
  return {
    protocol: PROTOCOL_VERSION,
    request: "SEQ PROCESS VERB ARGUMENT…",
    reply: "SEQ KIND WORD…",
    words: WORDS,
    kinds: KINDS,
    replies: REPLIES,
    hello: { keys: HELLO_KEYS, optional: ["testops"], uapi: REVISION_NAMES },
    capabilities: [...NEEDS, "time", "program", "linux"],
    adapter: [
      { name: "hello", args: "1", values: "KEY=NAME…" },
      { name: "spawn", args: "", values: "PROCESS" },
      {
        name: "program",
        args: "STEP ; STEP…",
        step: "PROCESS CALL",
        values: "VALUES ; VALUES…",
        instead: ["fault", "died REASON", "gone"],
        needs: "program",
      },
      { name: "reset", args: "", values: "PROBLEM…" },
      { name: "bye", args: "", values: "" },
    ],
    lists: [
      {
        name: "batch",
        args: "CALL ; CALL…",
        values: "VALUES ; VALUES…",
        instead: ["fault"],
      },
      {
        name: "time",
        args: "COUNT CALL ; CALL…",
        values: "NANOSECONDS… ; VALUES ; VALUES…",
        needs: "time",
      },
    ],
    calls: (VERBS as readonly Verb[]).map(describeCall),
    /** What must be answered with `error`, and change nothing. */
    errors: [
      "an unknown verb",
      "an argument too few or too many",
      "a word of the wrong form",
      "a process that is not there",
      "a verb of a process asked of the adapter, or the other way round",
      "a call in a batch or a time that cannot be there",
      "a line without a sequence number: the reply has 0",
    ],
  };
}

function describeCall(verb: Verb): DescribedCall {
  const { name, args, returns, needs, faults } = verb;
  const result: Named[] = returns ? [{ name: returns, word: "number" }] : [];
  return {
    name,
    args: argumentsSent(verb).map(([place, kind]) => ({
      name: args[place]![0],
      kind,
      word: KINDS[kind].sent!,
    })),
    values: [
      ...result,
      ...args.flatMap(([name, kind]) => {
        const { back: word } = KINDS[kind];
        return word
          ? name.split(" ").map((each) => ({ name: each, word }))
          : [];
      }),
    ],
    replies: faults
      ? ["ok", "fault", "died", "error"]
      : ["ok", "died", "error"],
    ...needs !== undefined && { needs },
    batched: verb.batched === true,
    timed: verb.timed === true,
  };
}

/** The description as the text of protocol.json. */
export function formatDescription(): string {
  return JSON.stringify(describeProtocol(), null, 2) + "\n";
}

if (import.meta.main) {
  const file = new URL("../protocol.json", import.meta.url);
  Deno.writeTextFileSync(file, formatDescription());
}
