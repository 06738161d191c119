// SPDX-License-Identifier: GPL-2.0-only

/**
 * How a program is started: two scripts of system calls, of its guard and of
 * the process that becomes the program.
 *
 * The guard is the program's parent. It shares the supervisor's memory, has
 * none of its descriptors, and becomes the parent of all orphans among the
 * program's descendants. When the program ends, or the supervisor, it kills
 * all that are left of them, waits for their ends, and ends.
 *
 * It finds its children by asking for every number that a process can have
 * whether that is a child, for which nothing must be parsed; a child's number
 * cannot become another's before the guard has waited for it.
 *
 * @module
 */

import { chain, Entry } from "../sys/script.ts";
import {
  CLONE_FILES,
  CLONE_PARENT_SETTID,
  CLONE_VM,
  CLOSE_RANGE_UNSHARE,
  PR_SET_CHILD_SUBREAPER,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
  SECCOMP_SET_MODE_FILTER,
  SIGCHLD,
  SIGKILL,
  SIGPIPE,
} from "../sys/structs.ts";
import type { Arena, Block } from "../sys/sys.ts";

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** Bytes of a set of signals. */
const SIGSET = 8;
const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
const F_DUPFD_CLOEXEC = 1030;
/** Descriptors are moved out of the way to this and above. */
const MOVED = 64;
const SEEK_SET = 0;
const SEEK_CUR = 1;
const POLLIN = 1;
const P_PID = 1;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x1000000;
/** Children that end with any signal. */
const WALL = 0x40000000;
const SFD_NONBLOCK = 0o4000;
/** Where the guard has its descriptors: they are opened in this order. */
const GUARD_FD = {
  listener: 0,
  supervisor: 1,
  counter: 2,
  signals: 3,
} as const;
/** Exit status of a process that could not become its program. */
const NOT_STARTED = 127;
/** Nanoseconds between two rounds of killing. */
const ROUND_NS = 1_000_000n;

/** What is to be started. */
export interface Start {
  /** The program's file. */
  readonly path: string;
  /** Its arguments, its name included. */
  readonly args: readonly string[];
  /** Its environment, `NAME=value` each. */
  readonly env: readonly string[];
  /** Its working folder; undefined for the supervisor's. */
  readonly cwd: string | undefined;
  /** What its descriptors from 0 on are, as descriptors of the supervisor. */
  readonly stdio: readonly number[];
  /** The filter it runs under, as bytes. */
  readonly filter: Uint8Array;
  /** Whether the supervisor may filter calls of programs that gain rights by exec. */
  readonly mayGainRights: boolean;
}

/** What a guard needs of the supervisor. */
export interface GuardNeeds {
  /** The supervisor's process. */
  readonly supervisor: number;
  /** One more than the highest number of a process. */
  readonly pidMax: number;
}

/** The scripts. The supervisor runs from `first`, and is back at once. */
export interface Scripts {
  /** Where the supervisor begins. */
  readonly first: Entry;
  /** The guard's number, once there is one: 64 bits. */
  readonly guard: Block;
  /** The process's number, once there is one: 64 bits. */
  readonly process: Block;
  /** Installs the filter; its result is the listener's number, in the supervisor too. */
  readonly filter: Entry;
  /** Gives it descriptors of its own: until it has a result, those of the supervisor must stay as they are. */
  readonly own: Entry;
  /** Becomes the program: a result is an errno. */
  readonly exec: Entry;
  /** The program's end, as wait tells it: 32 bits. */
  readonly status: Block;
}

/** Writes the scripts. */
export function scriptsOf(
  arena: Arena,
  start: Start,
  needs: GuardNeeds,
): Scripts {
  const all = arena.alloc(SIGSET);
  all.bytes.fill(0xff);
  const old = arena.alloc(SIGSET);
  const masks = { all: all.address, old: old.address };
  const block = new Entry(arena, "rt_sigprocmask", [
    SIG_BLOCK,
    masks.all,
    masks.old,
    SIGSET,
  ]);
  const restore = new Entry(arena, "rt_sigprocmask", [
    SIG_SETMASK,
    masks.old,
    0,
    SIGSET,
  ]);
  const guardPid = arena.alloc(8);
  const guard = cloneTo(arena, guardPid);
  const isThere = new Entry(arena, "kill", [0, 0]);
  const processPid = isThere.argument(0);
  const process = cloneTo(arena, processPid);
  const program = programScript(arena, start, masks);
  const status = arena.alloc(8);
  const { cwd } = start;
  const parts = { ...needs, cwd, process, isThere, program, status };
  const entry = guardScript(arena, parts);
  block.then({ zero: guard });
  guard.then({ negative: restore, zero: entry, positive: restore });
  restore.then({});
  const { filter, own, exec } = program;
  return {
    first: block,
    guard: guardPid,
    process: processPid,
    filter,
    own,
    exec,
    status,
  };
}

/**
 * Makes a child that shares memory and descriptors. The kernel stores its
 * number: the child, for which it is 0, would store over the entry's result.
 */
function cloneTo(arena: Arena, pid: Block): Entry {
  const flags = CLONE_VM | CLONE_FILES | CLONE_PARENT_SETTID | SIGCHLD;
  return new Entry(arena, "clone", [flags, 0, pid.address]);
}

/** The part that becomes the program. */
interface ProgramScript {
  readonly first: Entry;
  readonly filter: Entry;
  readonly own: Entry;
  readonly exec: Entry;
  /** The guard's copy of the listener, whose number is the filter's result. */
  readonly keep: Entry;
}

function programScript(
  arena: Arena,
  start: Start,
  masks: { readonly old: number },
): ProgramScript {
  const { path, args, env, stdio } = start;
  const keep = new Entry(arena, "dup3", [0, GUARD_FD.listener, 0]);
  const filter = new Entry(arena, "seccomp", [
    SECCOMP_SET_MODE_FILTER,
    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    programOfFilter(arena, start.filter),
  ]);
  const exec = new Entry(arena, "execve", [
    arena.text(path),
    arena.texts(args),
    arena.texts(env),
  ]);
  filter.storeIn(keep, 0);
  const before = [
    // Else exec would not be what it is without a filter: root has all rights after it.
    ...start.mayGainRights
      ? []
      : [new Entry(arena, "prctl", [PR_SET_NO_NEW_PRIVS, 1])],
    new Entry(arena, "prctl", [PR_SET_PDEATHSIG, SIGKILL]),
    filter,
  ];
  const byDefault = arena.alloc(32).address;
  const own = ownDescriptors(arena);
  const after = [
    own,
    ...descriptorEntries(arena, stdio),
    // This runtime ignores the signal, and exec would keep that.
    new Entry(arena, "rt_sigaction", [SIGPIPE, byDefault, 0, SIGSET]),
    new Entry(arena, "rt_sigprocmask", [SIG_SETMASK, masks.old, 0, SIGSET]),
    exec,
  ];
  const end = new Entry(arena, "exit_group", [NOT_STARTED]);
  end.then({});
  exec.then({ negative: end });
  chain(after, end);
  chain(before, end);
  // The guard waits for the filter, whatever comes of it.
  const wakeThen = (next: Entry) => {
    const at = filter.resultAddress;
    const wake = new Entry(arena, "futex", [at, FUTEX_WAKE, 1]);
    wake.then({ negative: next, zero: next, positive: next });
    return wake;
  };
  const going = wakeThen(own);
  filter.then({ negative: wakeThen(end), zero: going, positive: going });
  return { first: before[0]!, filter, own, exec, keep };
}

/** Makes the table of descriptors one's own: unshare would do it, but containers have no such call. */
function ownDescriptors(arena: Arena): Entry {
  const none = 0xffffffff;
  return new Entry(arena, "close_range", [none, none, CLOSE_RANGE_UNSHARE]);
}

/** Puts the supervisor's descriptors `stdio` at 0 and following. */
function descriptorEntries(arena: Arena, stdio: readonly number[]): Entry[] {
  if (stdio.every((fd, i) => fd === i)) return [];
  // First out of each other's way.
  const moved = stdio.map((fd) =>
    new Entry(arena, "fcntl", [fd, F_DUPFD_CLOEXEC, MOVED])
  );
  const placed = stdio.map((_, i) => new Entry(arena, "dup3", [0, i, 0]));
  moved.forEach((entry, i) => entry.storeIn(placed[i]!, 0));
  return [...moved, ...placed];
}

/** A struct sock_fprog. */
function programOfFilter(arena: Arena, filter: Uint8Array): number {
  const code = arena.alloc(filter.length);
  code.bytes.set(filter);
  const program = arena.alloc(16);
  program.view.setUint16(0, filter.length / 8, true);
  program.view.setBigUint64(8, BigInt(code.address), true);
  return program.address;
}

/** What the guard's script is about. */
interface GuardParts extends GuardNeeds {
  /** The program's working folder. */
  readonly cwd: string | undefined;
  /** Makes the process. */
  readonly process: Entry;
  /** Asks whether that is there. */
  readonly isThere: Entry;
  /** What it does. */
  readonly program: ProgramScript;
  /** Where its end is stored. */
  readonly status: Block;
}

/** What the guard does from its beginning on. */
function guardScript(arena: Arena, parts: GuardParts): Entry {
  const { process, program, supervisor } = parts;
  const killing = killingScript(arena, parts.pidMax);
  const watching = watchingScript(arena, parts, killing);
  const { resultAddress } = program.filter;
  const wait = new Entry(arena, "futex", [resultAddress, FUTEX_WAIT, 0]);
  const begin = [
    new Entry(arena, "prctl", [PR_SET_CHILD_SUBREAPER, 1]),
    ...folderEntries(arena, parts.cwd),
    process,
  ];
  const rest = [
    ownDescriptors(arena),
    program.keep,
    new Entry(arena, "close_range", [GUARD_FD.listener + 1, 0xffffffff, 0]),
    new Entry(arena, "pidfd_open", [supervisor, 0]),
    new Entry(arena, "memfd_create", [arena.text("pids"), 0]),
    new Entry(arena, "signalfd4", [
      -1,
      setOf(arena, SIGCHLD),
      SIGSET,
      SFD_NONBLOCK,
    ]),
    watching,
  ];
  chain(begin, killing);
  chain(rest, killing);
  const [going] = rest;
  process.then({ negative: killing, zero: program.first, positive: wait });
  wait.then({ negative: going!, zero: going!, positive: going! });
  return begin[0]!;
}

/** Goes to the program's working folder: the program has the guard's. */
function folderEntries(arena: Arena, cwd: string | undefined): Entry[] {
  return cwd === undefined
    ? []
    : [new Entry(arena, "chdir", [arena.text(cwd)])];
}

/** Waits until the program or the supervisor ends, and for orphans meanwhile; then comes `killing`. */
function watchingScript(
  arena: Arena,
  { isThere, status }: GuardParts,
  killing: Entry,
): Entry {
  const { supervisor, signals } = GUARD_FD;
  const both = pollOf(arena, [supervisor, signals]);
  const first = new Entry(arena, "ppoll", [both, 2, 0, 0, SIGSET]);
  const now = arena.alloc(16).address;
  const alive = new Entry(arena, "ppoll", [both, 1, now, 0, SIGSET]);
  const buffer = arena.alloc(128).address;
  const drain = new Entry(arena, "read", [signals, buffer, 128]);
  const reap = new Entry(arena, "wait4", [
    -1,
    status.address,
    WNOHANG | WALL,
    0,
  ]);
  first.then({ negative: first, zero: first, positive: alive });
  alive.then({ negative: killing, zero: drain, positive: killing });
  drain.then({ negative: reap, zero: reap, positive: reap });
  reap.then({ negative: killing, zero: first, positive: isThere });
  // Who was waited for last is the program if that is gone now.
  isThere.then({ negative: killing, zero: reap });
  return first;
}

/** Kills all children until there are none, and ends. */
function killingScript(arena: Arena, pidMax: number): Entry {
  const { counter } = GUARD_FD;
  const end = new Entry(arena, "exit_group", [0]);
  const reap = new Entry(arena, "wait4", [-1, 0, WNOHANG | WALL, 0]);
  const rewind = new Entry(arena, "lseek", [counter, pidMax, SEEK_SET]);
  const next = new Entry(arena, "lseek", [counter, -1, SEEK_CUR]);
  const options = WNOHANG | WEXITED | WNOWAIT | WALL;
  const isChild = new Entry(arena, "waitid", [P_PID, 0, 0, options, 0]);
  const again = new Entry(arena, "lseek", [counter, 0, SEEK_CUR]);
  const kill = new Entry(arena, "kill", [0, SIGKILL]);
  const time = arena.alloc(16);
  time.view.setBigInt64(8, ROUND_NS, true);
  const pause = new Entry(arena, "nanosleep", [time.address, 0]);
  next.storeIn(isChild, 1);
  again.storeIn(kill, 0);
  end.then({});
  reap.then({ negative: end, zero: rewind, positive: reap });
  rewind.then({ negative: end, zero: end, positive: next });
  next.then({ negative: end, zero: pause, positive: isChild });
  isChild.then({ negative: next, zero: again, positive: again });
  again.then({ negative: end, zero: end, positive: kill });
  kill.then({ negative: next, zero: next });
  pause.then({ negative: reap, zero: reap });
  return reap;
}

/** A set of one signal. */
function setOf(arena: Arena, signal: number): number {
  const set = arena.alloc(SIGSET);
  set.view.setBigUint64(0, 1n << BigInt(signal - 1), true);
  return set.address;
}

/** An array of struct pollfd that waits for something to read. */
function pollOf(arena: Arena, fds: readonly number[]): number {
  const block = arena.alloc(8 * fds.length);
  fds.forEach((fd, i) => {
    block.view.setInt32(8 * i, fd, true);
    block.view.setInt16(8 * i + 4, POLLIN, true);
  });
  return block.address;
}
