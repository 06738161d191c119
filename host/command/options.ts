// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command line of `deno task run`.
 *
 * @module
 */

import { suggestion, UsageError } from "../../conformance/lib/usage_error.ts";
import type { IommufdOptions } from "../../impl/iommufd/kernel.ts";
import { RLIM_INFINITY } from "../../impl/uapi/mman.ts";
import {
  isRevisionName,
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
} from "../../impl/uapi/revision.ts";
import { type DeviceRequest, parseDevice } from "./devices.ts";
import { parseBytes } from "./numbers.ts";

/** What the command line asks for. */
export interface Options {
  /** What to do. */
  readonly action: "help" | "run" | "sweep";
  /** The program, as the caller named it; empty for help. */
  readonly program: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** How the model behaves. */
  readonly uapi: RevisionName;
  /** The devices in the machine, in the order in which they are plugged in. */
  readonly devices: readonly DeviceRequest[];
  /** Whose container `/dev/vfio/vfio` is. */
  readonly container: IommufdOptions["vfioContainer"];
  /** Milliseconds that devices pause at most before they look at what programs stored; undefined is the default. */
  readonly pollMs: number | undefined;
  /** Whether each store to a mapped BAR is trapped, of whatever device. */
  readonly trapsStores: boolean;
  /** What the model believes of the caller; undefined is the truth. */
  readonly uid: number | undefined;
  /** RLIMIT_MEMLOCK as the model sees it, bytes; undefined is the truth. */
  readonly memlock: bigint | undefined;
  /** Where the log goes: a file, `""` for standard error; undefined for nowhere. */
  readonly log: string | undefined;
  /** The file of the transcript. */
  readonly transcript: string | undefined;
  /** Whether what is left behind is a failure. */
  readonly audit: boolean;
  /** Whether the state is drawn at the end. */
  readonly inspect: boolean;
  /** Which step of the kernel fails; 0 for none. */
  readonly failNth: number;
  /** Milliseconds that a run of a sweep may take. */
  readonly timeoutMs: number;
}

/** Whether an option has a value: never, always, or if one stands behind an equals sign. */
const VALUES = {
  "help": "never",
  "uapi": "always",
  "device": "always",
  "container": "always",
  "poll": "always",
  "trap": "never",
  "as-root": "never",
  "uid": "always",
  "memlock": "always",
  "log": "maybe",
  "transcript": "always",
  "audit": "never",
  "inspect": "never",
  "fail-nth": "always",
  "sweep": "never",
  "timeout": "always",
} as const;

type Name = keyof typeof VALUES;

/** Options that can be there more than once. */
const REPEATABLE: ReadonlySet<Name> = new Set(["device"]);

/** Whose container there can be. */
const CONTAINERS = ["type1", "iommufd"] as const;

/** The options that are there, with their values, which are empty where they have none. */
type Given = ReadonlyMap<Name, readonly string[]>;

/** User ids are below this: the last stands for none. */
const UID_NONE = 2 ** 32 - 1;
/** A longer pause would hold up all that the command does besides. */
const MAX_POLL = 100;
/** A longer timer would fire at once. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/**
 * Reads the command line: options up to the program, which is the first word
 * that is none, or the first behind `--`. All behind it are its own. Throws
 * {@link UsageError}.
 */
export function parseOptions(args: readonly string[]): Options {
  const { given, rest } = split(args);
  const [program = "", ...programArgs] = rest;
  const help = given.has("help");
  if (program === "" && !help) {
    throw new UsageError(
      "There is no program to run: name it behind the options. Try --help.",
    );
  }
  const sweep = given.has("sweep");
  refuseTogether(given, "as-root", "uid");
  for (const name of ["fail-nth", "log", "transcript", "inspect"] as const) {
    refuseTogether(given, "sweep", name);
  }
  if (given.has("timeout") && !sweep) {
    throw new UsageError("--timeout is for --sweep: one run ends by itself.");
  }
  return {
    action: help ? "help" : sweep ? "sweep" : "run",
    program,
    args: programArgs,
    uapi: revisionOf(given),
    devices: (given.get("device") ?? []).map(parseDevice),
    container: containerOf(given),
    pollMs: numberOf(given, "poll", 0, MAX_POLL),
    trapsStores: given.has("trap"),
    uid: given.has("as-root") ? 0 : numberOf(given, "uid", 0, UID_NONE - 1),
    memlock: bytesOf(first(given, "memlock")),
    log: first(given, "log"),
    transcript: first(given, "transcript"),
    audit: given.has("audit"),
    inspect: given.has("inspect"),
    failNth: numberOf(given, "fail-nth", 1, Number.MAX_SAFE_INTEGER) ?? 0,
    timeoutMs: numberOf(given, "timeout", 1, MAX_TIMEOUT) ?? 30_000,
  };
}

/** The options, and all from the program on. */
function split(args: readonly string[]): { given: Given; rest: string[] } {
  const given = new Map<Name, string[]>();
  const left = args[0] === "--" ? args.slice(1) : [...args];
  while (left[0]?.startsWith("-") && left[0] !== "-") {
    const word = left.shift()!;
    if (word === "--") break;
    const [flag, inline] = cut(word);
    const name = nameOf(flag);
    const values = given.get(name) ?? [];
    if (values.length > 0 && !REPEATABLE.has(name)) {
      throw new UsageError(`--${name} is there twice.`);
    }
    given.set(name, [...values, valueOf(name, inline, left)]);
  }
  return { given, rest: left };
}

/** What stands before the first equals sign, and what behind it. */
function cut(word: string): [flag: string, value: string | undefined] {
  const equals = word.indexOf("=");
  return equals < 0
    ? [word, undefined]
    : [word.slice(0, equals), word.slice(equals + 1)];
}

function nameOf(flag: string): Name {
  if (flag === "-h") return "help";
  const names = Object.keys(VALUES) as Name[];
  const found = names.find((name) => flag === `--${name}`);
  if (found !== undefined) return found;
  const near = suggestion(flag, names.map((name) => `--${name}`));
  throw new UsageError(
    `Unknown option "${flag}".${near} Options of the program stand behind it. Try --help.`,
  );
}

/** The value of an option; one that must have one takes it from the words that are left. */
function valueOf(
  name: Name,
  inline: string | undefined,
  left: string[],
): string {
  const values = VALUES[name];
  if (values === "never" && inline !== undefined) {
    throw new UsageError(`--${name} has no value.`);
  }
  const value = values === "always" ? inline ?? left.shift() : inline;
  if (value === "" || (values === "always" && value === undefined)) {
    throw new UsageError(`--${name} needs a value.`);
  }
  return value ?? "";
}

/** The value of an option that is there once at most. */
function first(given: Given, name: Name): string | undefined {
  return given.get(name)?.[0];
}

function refuseTogether(given: Given, one: Name, other: Name): void {
  if (!given.has(one) || !given.has(other)) return;
  throw new UsageError(`--${one} and --${other} cannot be together.`);
}

function revisionOf(given: Given): RevisionName {
  const name = first(given, "uapi") ?? NEWEST;
  if (isRevisionName(name)) return name;
  throw new UsageError(
    `Unknown revision "${name}": it must be ${REVISION_NAMES.join(", ")}.${
      suggestion(name, REVISION_NAMES)
    }`,
  );
}

function containerOf(given: Given): Options["container"] {
  const name = first(given, "container") ?? "type1";
  const found = CONTAINERS.find((each) => each === name);
  if (found !== undefined) return found;
  throw new UsageError(
    `Unknown container "${name}": it must be ${CONTAINERS.join(" or ")}.${
      suggestion(name, CONTAINERS)
    }`,
  );
}

/** A whole number from `min` to `max`. */
function numberOf(
  given: Given,
  name: Name,
  min: number,
  max: number,
): number | undefined {
  const text = first(given, name);
  if (text === undefined) return undefined;
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= min && number <= max) return number;
  throw new UsageError(
    `Cannot parse --${name} "${text}": it must be a number from ${min} to ${max}.`,
  );
}

/** A number of bytes, `64K`, or `unlimited`. */
function bytesOf(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (text === "unlimited") return RLIM_INFINITY;
  const bytes = parseBytes(text);
  if (bytes !== undefined && bytes < RLIM_INFINITY) return bytes;
  throw new UsageError(
    `Cannot parse --memlock "${text}": it must be a number of bytes, as in 8M or 64K, or unlimited.`,
  );
}
