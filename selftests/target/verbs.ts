// SPDX-License-Identifier: GPL-2.0-only

/**
 * System calls as data: the table of verbs, and a call as a row of it with
 * arguments.
 *
 * From this table are made the methods that tests call, the adapter protocol
 * on both ends, what is recorded, played back and told in reports. A verb has
 * one row here and one in the table of the model (impl_calls.ts).
 *
 * @module
 */

/**
 * What an argument is. As in C, what comes back is written to an argument:
 * beside its result a call has no values.
 */
export type Kind =
  /** A number: a descriptor, flags, a length, an address. */
  | "number"
  /** A number of which all 64 bits matter. */
  | "u64"
  /** The number of an ioctl. */
  | "command"
  /** The number of another process. */
  | "process"
  /** A text. */
  | "text"
  /** Bytes that the call reads. */
  | "bytes"
  /** Bytes that the call reads and writes, placed so that the byte after them is unmapped. */
  | "struct"
  /** Bytes that the call writes: as many as its result says, or all where it has none. */
  | "into"
  /** Numbers that the call writes; the name of the argument is the names of all. */
  | "numbers";

/** True for bytes that a call reads. */
export function isSent(kind: Kind): boolean {
  return kind === "struct" || kind === "bytes";
}

/** A verb: a row of the table. */
export interface Verb {
  /** Its name in the adapter protocol. */
  readonly name: string;
  /** Its arguments in order, by their names in the protocol. */
  readonly args: readonly (readonly [name: string, kind: Kind])[];
  /**
   * Its result: what the system call returns, a number that is not negative or
   * a negative errno, or the number of a new process. 0 where it has none.
   */
  readonly returns?: "RET" | "process";
  /** The result is -EFAULT where the process may not touch the memory; it has no other. */
  readonly faults?: true;
  /** Several of these calls can be made in one request. */
  readonly batched?: true;
  /** The call can be made again and again while its time is taken. */
  readonly timed?: true;
  /** The process is gone afterwards. */
  readonly ends?: true;
  /** The capability of a target without which it does not work. */
  readonly needs?: string;
  /** What people call it, where the protocol has another name. */
  readonly title?: string;
}

/** All verbs, in the order of protocol.md. */
export const VERBS = [
  {
    name: "open",
    args: [["PATH", "text"], ["FLAGS", "number"]],
    returns: "RET",
    timed: true,
  },
  { name: "close", args: [["FD", "number"]], returns: "RET", timed: true },
  { name: "dup", args: [["FD", "number"]], returns: "RET" },
  {
    name: "dup2",
    args: [["FD", "number"], ["NEWFD", "number"]],
    returns: "RET",
    needs: "dup2",
  },
  {
    name: "dup3",
    args: [["FD", "number"], ["NEWFD", "number"], ["FLAGS", "number"]],
    returns: "RET",
    needs: "dup2",
  },
  {
    name: "unlink",
    args: [["PATH", "text"]],
    returns: "RET",
    needs: "files",
  },
  {
    name: "passfd",
    args: [["FD", "number"], ["TO", "process"]],
    returns: "RET",
    needs: "passfd",
    title: "pass_fd",
  },
  {
    name: "ioctl",
    args: [["FD", "number"], ["CMD", "command"], ["STRUCT", "struct"]],
    returns: "RET",
    batched: true,
    timed: true,
  },
  {
    name: "ioctlarg",
    args: [["FD", "number"], ["CMD", "command"], ["ARG", "u64"]],
    returns: "RET",
    timed: true,
    title: "ioctl",
  },
  {
    name: "mmap",
    args: [
      ["ADDR", "number"],
      ["LENGTH", "number"],
      ["PROT", "number"],
      ["FLAGS", "number"],
      ["FD", "number"],
      ["OFFSET", "number"],
    ],
    returns: "RET",
  },
  {
    name: "munmap",
    args: [["ADDR", "number"], ["LENGTH", "number"]],
    returns: "RET",
  },
  {
    name: "mremap",
    args: [
      ["ADDR", "number"],
      ["OLDLENGTH", "number"],
      ["LENGTH", "number"],
      ["FLAGS", "number"],
      ["NEWADDR", "number"],
    ],
    returns: "RET",
    needs: "mremap",
  },
  {
    name: "mprotect",
    args: [["ADDR", "number"], ["LENGTH", "number"], ["PROT", "number"]],
    returns: "RET",
  },
  {
    name: "madvise",
    args: [["ADDR", "number"], ["LENGTH", "number"], ["ADVICE", "number"]],
    returns: "RET",
  },
  {
    name: "read",
    args: [["FD", "number"], ["COUNT", "into"]],
    returns: "RET",
  },
  {
    name: "write",
    args: [["FD", "number"], ["BYTES", "bytes"]],
    returns: "RET",
  },
  {
    name: "pread",
    args: [["FD", "number"], ["COUNT", "into"], ["OFFSET", "number"]],
    returns: "RET",
    needs: "files",
  },
  {
    name: "pwrite",
    args: [["FD", "number"], ["BYTES", "bytes"], ["OFFSET", "number"]],
    returns: "RET",
    needs: "files",
  },
  {
    name: "lseek",
    args: [["FD", "number"], ["OFFSET", "number"], ["WHENCE", "number"]],
    returns: "RET",
    needs: "files",
  },
  {
    name: "poll",
    args: [["FD", "number"], ["EVENTS", "number"]],
    returns: "RET",
  },
  {
    name: "peek",
    args: [["ADDR", "number"], ["LENGTH", "into"]],
    faults: true,
    batched: true,
  },
  {
    name: "poke",
    args: [["ADDR", "number"], ["BYTES", "bytes"]],
    faults: true,
    batched: true,
  },
  {
    name: "memfd",
    args: [["NAME", "text"], ["FLAGS", "number"]],
    returns: "RET",
    title: "memfd_create",
  },
  {
    name: "ftruncate",
    args: [["FD", "number"], ["LENGTH", "number"]],
    returns: "RET",
  },
  {
    name: "fallocate",
    args: [
      ["FD", "number"],
      ["MODE", "number"],
      ["OFFSET", "number"],
      ["LENGTH", "number"],
    ],
    returns: "RET",
    needs: "files",
  },
  {
    name: "fcntl",
    args: [["FD", "number"], ["CMD", "number"], ["ARG", "number"]],
    returns: "RET",
    needs: "files",
  },
  {
    name: "eventfd",
    args: [["VALUE", "number"], ["FLAGS", "number"]],
    returns: "RET",
  },
  { name: "pipe", args: [["READFD WRITEFD", "numbers"]], returns: "RET" },
  {
    name: "setrlimit",
    args: [["RESOURCE", "number"], ["SOFT", "u64"]],
    returns: "RET",
    needs: "setrlimit",
  },
  {
    name: "setuid",
    args: [["UID", "number"]],
    returns: "RET",
    needs: "setuid",
  },
  {
    name: "dropcap",
    args: [["CAPABILITY", "number"]],
    returns: "RET",
    needs: "setuid",
    title: "drop_capability",
  },
  {
    name: "vmstatus",
    args: [["VMLCK VMPIN", "numbers"]],
    title: "vm_status",
  },
  {
    name: "failnth",
    args: [["N", "number"]],
    returns: "RET",
    needs: "fail_nth",
    title: "set_fail_nth",
  },
  {
    name: "failnthleft",
    args: [],
    returns: "RET",
    needs: "fail_nth",
    title: "fail_nth_left",
  },
  { name: "fork", args: [], returns: "process", needs: "fork" },
  { name: "exec", args: [], returns: "RET", needs: "exec" },
  { name: "exit", args: [], ends: true },
] as const;

/** What an argument of each kind is in a call. */
export interface ArgumentTypes {
  /** A safe integer, or an address that a JavaScript number holds exactly. */
  number: number;
  /** At most 64 bits. */
  u64: number | bigint;
  /** As C has it. */
  command: number;
  /** As the target numbers them. */
  process: number;
  /** Without its end. */
  text: string;
  /** Left as they are. */
  bytes: Uint8Array;
  /** Updated in place. */
  struct: Uint8Array;
  /** Filled from its beginning. */
  into: Uint8Array;
  /** As long as there are names. */
  numbers: number[];
}

/** An argument of a call. */
export type Argument = ArgumentTypes[Kind];

/** The name of a verb of {@link VERBS}. */
export type VerbName = typeof VERBS[number]["name"];

/** The arguments that are described by the `args` of a row. */
export type ArgumentsFor<A extends Verb["args"]> = {
  [I in keyof A]: ArgumentTypes[A[I][1]];
};

/** The arguments of a verb of {@link VERBS}. */
export type ArgumentsOf<N extends VerbName> = ArgumentsFor<
  Extract<typeof VERBS[number], { readonly name: N }>["args"]
>;

/** A system call as data. What comes back is written to its arguments. */
export interface Call {
  /** What to do. */
  readonly verb: Verb;
  /** With what: an argument for each that the verb has. */
  readonly args: readonly Argument[];
}

const BY_NAME = new Map<string, Verb>(VERBS.map((verb) => [verb.name, verb]));

/** A call of a verb of {@link VERBS}. */
export function call<N extends VerbName>(
  name: N,
  ...args: ArgumentsOf<N>
): Call {
  return { verb: BY_NAME.get(name)!, args };
}

/** Whether a call is an ioctl. */
export function isIoctl({ verb }: Call): boolean {
  return verb.args.some(([, kind]) => kind === "command");
}

/** The struct of a call, where it has one by value. */
export function structOf({ verb, args }: Call): Uint8Array | undefined {
  const index = verb.args.findIndex(([, kind]) => kind === "struct");
  return args[index] as Uint8Array | undefined;
}

/** The same call with another struct. */
export function withStruct({ verb, args }: Call, struct: Uint8Array): Call {
  return {
    verb,
    args: args.map((arg, i) => verb.args[i]![1] === "struct" ? struct : arg),
  };
}

/** The same calls with other numbers for the processes that they name. */
export function withProcesses(
  calls: readonly Call[],
  renumber: (process: number) => number,
): readonly Call[] {
  const names = ({ verb }: Call) =>
    verb.args.some(([, kind]) => kind === "process");
  if (!calls.some(names)) return calls;
  return calls.map(({ verb, args }) => ({
    verb,
    args: args.map((arg, i) =>
      verb.args[i]![1] === "process" ? renumber(arg as number) : arg
    ),
  }));
}

/**
 * Cuts a list of calls into what can be one request each: a single call, or
 * several that can be batched.
 */
export function requestsOf(calls: readonly Call[]): Call[][] {
  const requests: Call[][] = [];
  let batch: Call[] | undefined;
  for (const call of calls) {
    if (batch && call.verb.batched) {
      batch.push(call);
      continue;
    }
    requests.push([call]);
    batch = call.verb.batched && requests.at(-1);
  }
  return requests;
}
