// SPDX-License-Identifier: GPL-2.0-only

/**
 * Remembers what a test did last, so that a failure can be told with the call
 * and the struct that led to it.
 *
 * @module
 */

import { errnoName } from "../impl/uapi/errno.ts";
import { type Revision, REVISIONS } from "../impl/uapi/revision.ts";
import { describeStruct, ioctlName, ioctlNameWith } from "./describe_ioctl.ts";
import type { MadeCall } from "./results.ts";
import type { Call, TargetInfo, TargetProcess } from "./target.ts";

/** A call of a test that is over: it timed out and went on. */
export class TestIsOver extends Error {
  override name = "TestIsOver";
}

/** A call as it was made; it is put into words only if somebody asks. */
interface Entry {
  /** Name of the system call. */
  readonly name: string;
  /** Its arguments, large ones left out. */
  readonly args: readonly (number | bigint | string)[];
  /** The process that made it: 0 is the test's own, its children follow. */
  readonly process: number;
  /** The struct as it was sent, of an ioctl. */
  readonly sent?: Uint8Array;
  /** What came back; undefined while the call is on its way. */
  result?: number | undefined;
}

/** The calls of one test. */
export class Recorder {
  readonly #revision: Revision;
  #calls = 0;
  #processes = 0;
  #last: Entry | undefined;
  #lastIoctl: Entry | undefined;
  #over = false;

  /** `info` is what the target says about itself. */
  constructor(info: TargetInfo) {
    this.#revision = REVISIONS[info.uapi as keyof typeof REVISIONS];
  }

  /** Calls made so far, those of a batch one by one. */
  get calls(): number {
    return this.#calls;
  }

  /** The last call, in words. */
  get lastCall(): MadeCall | undefined {
    return this.#last && this.#describe(this.#last);
  }

  /** The last ioctl, in words, if the last call was another. */
  get lastIoctl(): MadeCall | undefined {
    if (this.#lastIoctl === this.#last) return undefined;
    return this.#lastIoctl && this.#describe(this.#lastIoctl);
  }

  /** A process whose calls are recorded, and those of its children. */
  wrap(process: TargetProcess): TargetProcess {
    return new RecordedProcess(process, this, this.#processes++);
  }

  /** Ends the recording: from now on every call rejects. */
  end(): void {
    this.#over = true;
  }

  /** Notes a call that is about to be made. Used by the recorded processes. */
  note(entry: Entry): Entry {
    if (this.#over) throw new TestIsOver("The test is over");
    this.#calls++;
    this.#last = entry;
    if (entry.name === "ioctl") this.#lastIoctl = entry;
    return entry;
  }

  /** Notes the calls of a batch that came back: the first that failed is the one to tell of, else the last. */
  noteBatch(entries: readonly Entry[]): void {
    // The batch itself was counted as one when it set out.
    this.#calls += entries.length - 1;
    const failed = entries.find(({ result }) => result! < 0);
    const entry = failed ?? entries.at(-1);
    if (entry === undefined) return;
    this.#last = entry;
    this.#lastIoctl = entry.name === "ioctl"
      ? entry
      : entries.findLast(({ name }) => name === "ioctl") ?? this.#lastIoctl;
  }

  #describe(entry: Entry): MadeCall {
    const { name, process, sent, result } = entry;
    const args = entry.args.map((arg, index) => {
      if (name !== "ioctl" || index !== 1) return formatArg(arg);
      return sent
        ? ioctlNameWith(Number(arg), sent, this.#revision)
        : ioctlName(Number(arg));
    });
    const outcome = result === undefined
      ? ", not answered"
      : ` = ${result < 0 ? errnoName(result) : formatArg(result)}`;
    const who = process === 0 ? "" : ` in child ${process}`;
    const call = `${name}(${args.join(", ")})${outcome}${who}`;
    const struct = sent &&
      describeStruct(Number(entry.args[1]), sent, this.#revision);
    return struct ? { call, struct } : { call };
  }
}

/** Small numbers in decimal, addresses and lengths in hexadecimal. */
function formatArg(arg: number | bigint | string): string {
  if (typeof arg === "string") return JSON.stringify(arg);
  return arg >= 4096 ? `0x${arg.toString(16)}` : String(arg);
}

/** A process whose calls go through a {@link Recorder}. */
class RecordedProcess implements TargetProcess {
  readonly #process: TargetProcess;
  readonly #recorder: Recorder;
  readonly #index: number;

  constructor(process: TargetProcess, recorder: Recorder, index: number) {
    this.#process = process;
    this.#recorder = recorder;
    this.#index = index;
  }

  /** Notes a call, makes it and notes its result if that is a number. */
  async #record<T>(
    name: string,
    args: readonly (number | bigint | string)[],
    make: () => Promise<T>,
    sent?: Uint8Array,
  ): Promise<T> {
    const process = this.#index;
    const entry = this.#recorder.note(
      sent ? { name, args, process, sent } : { name, args, process },
    );
    const value = await make();
    entry.result = typeof value === "number" ? value : 0;
    return value;
  }

  open(path: string, flags?: number): Promise<number> {
    const args = flags === undefined ? [path] : [path, flags];
    return this.#record(
      "open",
      args,
      () => this.#process.open(path, flags),
    );
  }

  close(fd: number): Promise<number> {
    return this.#record("close", [fd], () => this.#process.close(fd));
  }

  dup(fd: number): Promise<number> {
    return this.#record("dup", [fd], () => this.#process.dup(fd));
  }

  ioctl(fd: number, cmd: number, arg: Uint8Array): Promise<number> {
    return this.#record(
      "ioctl",
      [fd, cmd],
      () => this.#process.ioctl(fd, cmd, arg),
      arg.slice(),
    );
  }

  ioctlArg(fd: number, cmd: number, arg: number | bigint): Promise<number> {
    return this.#record(
      "ioctl",
      [fd, cmd, arg],
      () => this.#process.ioctlArg(fd, cmd, arg),
    );
  }

  async batch(calls: readonly Call[]): Promise<number[]> {
    const entries = calls.map((call) => batchEntry(call, this.#index));
    const results = await this.#record(
      "batch",
      [calls.length],
      () => this.#process.batch(calls),
    );
    entries.forEach((entry, index) => entry.result = results[index]);
    this.#recorder.noteBatch(entries);
    return results;
  }

  mmap(
    addr: number,
    length: number,
    prot: number,
    flags: number,
    fd = -1,
    offset = 0,
  ): Promise<number> {
    return this.#record(
      "mmap",
      [addr, length, prot, flags, fd, offset],
      () => this.#process.mmap(addr, length, prot, flags, fd, offset),
    );
  }

  munmap(addr: number, length: number): Promise<number> {
    return this.#record(
      "munmap",
      [addr, length],
      () => this.#process.munmap(addr, length),
    );
  }

  mprotect(addr: number, length: number, prot: number): Promise<number> {
    return this.#record(
      "mprotect",
      [addr, length, prot],
      () => this.#process.mprotect(addr, length, prot),
    );
  }

  madvise(addr: number, length: number, advice: number): Promise<number> {
    return this.#record(
      "madvise",
      [addr, length, advice],
      () => this.#process.madvise(addr, length, advice),
    );
  }

  read(fd: number, into: Uint8Array): Promise<number> {
    return this.#record(
      "read",
      [fd, into.length],
      () => this.#process.read(fd, into),
    );
  }

  write(fd: number, bytes: Uint8Array): Promise<number> {
    return this.#record(
      "write",
      [fd, bytes.length],
      () => this.#process.write(fd, bytes),
    );
  }

  poll(fd: number, events: number): Promise<number> {
    return this.#record(
      "poll",
      [fd, events],
      () => this.#process.poll(fd, events),
    );
  }

  peek(addr: number, length: number): Promise<Uint8Array> {
    return this.#record(
      "peek",
      [addr, length],
      () => this.#process.peek(addr, length),
    );
  }

  poke(addr: number, bytes: Uint8Array): Promise<void> {
    return this.#record(
      "poke",
      [addr, bytes.length],
      () => this.#process.poke(addr, bytes),
    );
  }

  memfdCreate(name: string, flags: number): Promise<number> {
    return this.#record(
      "memfd_create",
      [name, flags],
      () => this.#process.memfdCreate(name, flags),
    );
  }

  ftruncate(fd: number, length: number): Promise<number> {
    return this.#record(
      "ftruncate",
      [fd, length],
      () => this.#process.ftruncate(fd, length),
    );
  }

  eventfd(value: number, flags: number): Promise<number> {
    return this.#record(
      "eventfd",
      [value, flags],
      () => this.#process.eventfd(value, flags),
    );
  }

  pipe(): Promise<{ ret: number; readFd: number; writeFd: number }> {
    return this.#record("pipe", [], () => this.#process.pipe());
  }

  setrlimit(resource: number, soft: bigint): Promise<number> {
    return this.#record(
      "setrlimit",
      [resource, soft],
      () => this.#process.setrlimit(resource, soft),
    );
  }

  setuid(uid: number): Promise<number> {
    return this.#record("setuid", [uid], () => this.#process.setuid(uid));
  }

  dropCapability(capability: number): Promise<number> {
    return this.#record(
      "drop_capability",
      [capability],
      () => this.#process.dropCapability(capability),
    );
  }

  vmStatus(): Promise<{ vmLck: number; vmPin: number }> {
    return this.#record("vm_status", [], () => this.#process.vmStatus());
  }

  setFailNth(nth: number): Promise<number> {
    return this.#record(
      "set_fail_nth",
      [nth],
      () => this.#process.setFailNth(nth),
    );
  }

  failNthLeft(): Promise<number> {
    return this.#record(
      "fail_nth_left",
      [],
      () => this.#process.failNthLeft(),
    );
  }

  async fork(): Promise<TargetProcess> {
    const child = await this.#record("fork", [], () => this.#process.fork());
    return this.#recorder.wrap(child);
  }

  exit(): Promise<void> {
    return this.#record("exit", [], () => this.#process.exit());
  }
}

/** What to remember of a call of a batch. */
function batchEntry(call: Call, process: number): Entry {
  switch (call.call) {
    case "ioctl": {
      const { fd, cmd, arg } = call;
      return { name: "ioctl", args: [fd, cmd], process, sent: arg.slice() };
    }
    case "poke":
      return { name: "poke", args: [call.addr, call.bytes.length], process };
    case "peek":
      return { name: "peek", args: [call.addr, call.into.length], process };
  }
}
