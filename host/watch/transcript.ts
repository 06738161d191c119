// SPDX-License-Identifier: GPL-2.0-only

/**
 * The transcript: what programs do in the words of the adapter protocol, so
 * that it can be played to any implementation of iommufd.
 *
 * A program's descriptors have the numbers that they would have if it had no
 * others, and its memory is mapped, and filled where the kernel reads it, right
 * before a call needs it. What the protocol has no words for is left out, and
 * the head names it: what is stored to mapped BARs nobody sees.
 *
 * @module
 */

import {
  ioctlName,
  rowOf,
  structRow,
} from "../../conformance/traces/describe_ioctl.ts";
import {
  ByteLog,
  RecordedCalls,
} from "../../conformance/traces/recorded_calls.ts";
import {
  type Exchange,
  formatTranscript,
} from "../../conformance/traces/transcript.ts";
import type { File } from "../../impl/kernel/files/file.ts";
import type { SystemCalls } from "../../impl/kernel/system_calls.ts";
import { errnoOf } from "../../impl/uapi/errno.ts";
import * as mman from "../../impl/uapi/mman.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { type Call, call } from "../../selftests/target/verbs.ts";
import type { WatchedCall, Watcher } from "../calls/watcher.ts";
import { ioctlOf } from "./format_call.ts";
import { descriptorsFollow, ioctlsOf, isPointer } from "./ioctl_rows.ts";
import { memoryAt, passedStruct } from "./format_struct.ts";
import { PassedMemory, rewriteDescriptors } from "./passed_memory.ts";
import { type Told, ToldProcess } from "./told_process.ts";

/** Requests that are kept. */
const MAX_REQUESTS = 100_000;
/** Bytes that are kept: twice as many digits can be read back. */
const MAX_BYTES = 8 * 1024 * 1024;
/** Bytes of a struct, or of one read or write. */
const MAX_BUFFER = 64 * 1024;

/** Puts down what programs do. */
export class Transcript implements Watcher {
  readonly #uapi: RevisionName;
  readonly #failNth: number;
  readonly #exchanges: (RecordedCalls | Exchange)[] = [];
  readonly #log = new ByteLog();
  readonly #processes = new Map<SystemCalls, ToldProcess>();
  #made: Made | undefined;
  /** How many of which calls were left out. */
  readonly #left = new Map<string, number>();
  #cut = false;

  /** Of programs on a revision; the `failNth` step of the first fails, if that is not 0. */
  constructor(uapi: RevisionName, failNth = 0) {
    this.#uapi = uapi;
    this.#failNth = failNth;
  }

  /** The whole text; `about` are lines for its head. */
  text(about: readonly string[]): string {
    const info = {
      name: "run",
      version: "1",
      uapi: this.#uapi,
      pageSize: mman.PAGE_SIZE,
      hugePageSize: mman.HPAGE_SIZE,
      capabilities: [],
    };
    const names = [...this.#left].map(([name, count]) => `${count} ${name}`);
    const left = names.length > 0
      ? [`left out, as the protocol has no words for it: ${names.join(", ")}`]
      : [];
    const exchanges = this.#exchanges.flatMap((kept) =>
      kept instanceof RecordedCalls ? [...kept.exchanges()] : [kept]
    );
    return formatTranscript(info, exchanges, [...about, ...left], this.#cut);
  }

  began(process: SystemCalls, parent: SystemCalls | undefined): void {
    const number = this.#processes.size + 1;
    const from = parent && this.#processes.get(parent);
    const told = new ToldProcess(number, from);
    this.#processes.set(process, told);
    if (from !== undefined) {
      this.#say(from, call("fork"), number);
      return;
    }
    this.#keep({ request: "0 spawn", reply: `ok ${number}` });
    // Nobody knows any more who it was if it is about to go.
    errnoOf(() => {
      const limit = process.rlimit(mman.RLIMIT_MEMLOCK);
      this.#say(told, call("setrlimit", mman.RLIMIT_MEMLOCK, limit));
      const { uid } = process.user;
      if (uid !== 0) this.#say(told, call("setuid", uid));
    });
    if (this.#failNth > 0) this.#say(told, call("failnth", this.#failNth));
  }

  exec(process: SystemCalls): void {
    const told = this.#processes.get(process);
    // The first program begins with nothing.
    if (told === undefined || told.isEmpty) return;
    this.#say(told, call("exec"));
    told.exec();
  }

  closing(file: File): void {
    for (const told of this.#processes.values()) {
      const fd = told.forget(file);
      if (fd !== undefined) this.#say(told, call("close", fd));
    }
  }

  ended(process: SystemCalls): void {
    const told = this.#processes.get(process);
    if (told === undefined) return;
    this.#say(told, call("exit"));
    told.forgetAll();
  }

  enter(seen: WatchedCall): void {
    const told = this.#processes.get(seen.process);
    this.#made = told && this.#begin(told, seen);
    if (this.#made !== undefined) return;
    const name = nameOf(seen);
    this.#left.set(name, (this.#left.get(name) ?? 0) + 1);
  }

  leave(seen: WatchedCall, result: number): void {
    const made = this.#made;
    this.#made = undefined;
    if (made === undefined) return;
    this.#keep(made.recorded);
    made.recorded.answer([made.end(result)]);
    for (const peek of made.memory?.answers(result) ?? []) {
      this.#say(this.#processes.get(seen.process)!, peek);
    }
  }

  /** A call that is about to be made; undefined if there are no words for it. */
  #begin(told: ToldProcess, seen: WatchedCall): Made | undefined {
    switch (seen.name) {
      case "open":
      case "openat":
        return this.#open(told, seen);
      case "ioctl":
        return this.#ioctl(told, seen);
      case "read":
      case "write":
        return this.#transfer(told, seen, seen.name);
      default:
        return undefined;
    }
  }

  #open(told: ToldProcess, seen: WatchedCall): Made | undefined {
    const { name, args, path, process } = seen;
    // What is shown around the devices is not theirs.
    if (!path?.startsWith("/dev/")) return undefined;
    const flags = args[name === "open" ? 1 : 2] ?? 0;
    const made = call("open", path, flags);
    const closes = (flags & mman.O_CLOEXEC) !== 0;
    return {
      recorded: this.#record(told, made),
      end: (result) => result < 0 ? result : told.add(process, result, closes),
    };
  }

  #ioctl(told: ToldProcess, seen: WatchedCall): Made | undefined {
    const { process } = seen;
    const [fd, cmd, arg] = ioctlOf(seen);
    const number = told.fdOf(process.files.get(fd));
    if (number === undefined) return undefined;
    const table = ioctlsOf(process.files.get(fd));
    const row = structRow(cmd, table);
    const struct = passedStruct(row, process, arg, MAX_BUFFER);
    if (row === undefined || struct === undefined) {
      if (isPointer(rowOf(cmd, table))) return undefined;
      const recorded = this.#record(told, call("ioctlarg", number, cmd, arg));
      return { recorded, end: (result) => result };
    }
    const { revision } = process.kernel;
    if (descriptorsFollow(row, struct)) return undefined;
    const memory = new PassedMemory(row, struct, process, revision, told);
    for (const provided of memory.calls) this.#tell(told, provided);
    if (
      !rewriteDescriptors(row, struct, revision, "in", told.toldBy(process))
    ) {
      return undefined;
    }
    return {
      recorded: this.#record(told, call("ioctl", number, cmd, struct)),
      memory,
      end(result) {
        const after = memoryAt(process, arg, struct.length);
        if (after === undefined) return result;
        struct.set(after);
        rewriteDescriptors(row, struct, revision, "in", told.toldBy(process));
        if (result < 0) return result;
        const add = (fd: number) => told.add(process, fd, true);
        rewriteDescriptors(row, struct, revision, "out", add);
        return result;
      },
    };
  }

  #transfer(
    told: ToldProcess,
    { args, process }: WatchedCall,
    name: "read" | "write",
  ): Made | undefined {
    const [fd, address, count] = args as [number, number, number];
    const number = told.fdOf(process.files.get(fd));
    if (number === undefined) return undefined;
    const length = Math.min(count, MAX_BUFFER);
    const bytes = memoryAt(process, address, length);
    if (bytes === undefined) return undefined;
    return {
      recorded: this.#record(told, call(name, number, bytes)),
      end(result) {
        const after = memoryAt(process, address, Math.max(result, 0));
        if (name === "read" && after !== undefined) bytes.set(after);
        return result;
      },
    };
  }

  /** Keeps a call and its result. */
  #say(told: ToldProcess, made: Call, result = 0): void {
    this.#tell(told, { call: made, result });
  }

  #tell(told: ToldProcess, { call, result }: Told): void {
    const recorded = this.#record(told, call);
    this.#keep(recorded);
    recorded.answer([result]);
  }

  #record(told: ToldProcess, made: Call): RecordedCalls {
    // What is not kept any more needs no room.
    const log = this.#cut ? new ByteLog() : this.#log;
    return new RecordedCalls(told.number, [made], log);
  }

  /** Keeps something while there is room. */
  #keep(kept: RecordedCalls | Exchange): void {
    this.#cut ||= this.#exchanges.length >= MAX_REQUESTS ||
      this.#log.length > MAX_BYTES;
    if (!this.#cut) this.#exchanges.push(kept);
  }
}

/** The name of a call: of an ioctl, which one it is. */
function nameOf(seen: WatchedCall): string {
  if (seen.name !== "ioctl") return seen.name;
  const [fd, cmd] = ioctlOf(seen);
  return ioctlName(cmd, ioctlsOf(seen.process.files.get(fd)));
}

/** A call that is being made. */
interface Made {
  readonly recorded: RecordedCalls;
  /** What it reads and writes beside its struct. */
  readonly memory?: PassedMemory;
  /** Takes what came back; the result with numbers of the transcript. */
  end(result: number): number;
}
