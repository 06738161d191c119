// SPDX-License-Identifier: GPL-2.0-only

/**
 * Remembers what a test did, so that a failure can be told with the call and
 * the struct that led to it, and played back.
 *
 * @module
 */

import { O_RDWR } from "../../impl/uapi/mman.ts";
import { type Revision, REVISIONS } from "../../impl/uapi/revision.ts";
import { describeCall } from "./describe_call.ts";
import type { MadeCall } from "../reports/results.ts";
import type {
  Call,
  Target,
  TargetInfo,
  TargetProcess,
} from "../../selftests/target/target.ts";
import {
  MemoryFault,
  TargetFailure,
} from "../../selftests/target/target_failure.ts";
import {
  formatTranscript,
  type RecordedCall,
  type Reply,
  type Word,
} from "./transcript.ts";

/** Calls of a test that are kept. */
const MAX_CALLS = 100_000;
/** Bytes that the calls of a test may send and receive to be kept. */
const MAX_BYTES = 8 * 1024 * 1024;

/** A call of a test that is over: it timed out and went on. */
export class TestIsOver extends Error {
  override name = "TestIsOver";
}

/** The calls of one test. */
export class Recorder {
  readonly #info: TargetInfo;
  readonly #revision: Revision;
  /** What is kept of the calls, those of a batch as one. */
  readonly #kept: RecordedCall[] = [];
  #bytes = 0;
  #full = false;
  #calls = 0;
  #processes = 0;
  #last: RecordedCall | undefined;
  #lastIoctl: RecordedCall | undefined;
  #over = false;

  /** `info` is what the target says about itself. */
  constructor(info: TargetInfo) {
    this.#info = info;
    this.#revision = REVISIONS[info.uapi as keyof typeof REVISIONS];
  }

  /** Calls made so far, those of a batch one by one. */
  get calls(): number {
    return this.#calls;
  }

  /** The last call, in words. */
  get lastCall(): MadeCall | undefined {
    return this.#last && describeCall(this.#last, this.#revision);
  }

  /** The last ioctl, in words, if the last call was another. */
  get lastIoctl(): MadeCall | undefined {
    if (this.#lastIoctl === this.#last) return undefined;
    return this.#lastIoctl && describeCall(this.#lastIoctl, this.#revision);
  }

  /** The first process of the test, whose calls are recorded, and those of its children. */
  async spawn(target: Target): Promise<TargetProcess> {
    const call: RecordedCall = { process: 0, verb: "spawn", args: [] };
    const process = await this.#answered(
      this.#keep(call),
      target.spawn(),
      () => [this.#processes + 1],
    );
    return this.wrap(process);
  }

  /** Ends all processes of the target, and with them the recording: from now on every call rejects. */
  reset(target: Target): Promise<string[]> {
    this.end();
    const call: RecordedCall = { process: 0, verb: "reset", args: [] };
    return this.#answered(this.#keep(call), target.reset(), (texts) => texts);
  }

  /** A process whose calls are recorded, and those of its children. */
  wrap(process: TargetProcess): TargetProcess {
    return new RecordedProcess(process, this, ++this.#processes);
  }

  /** Ends the recording of calls: from now on every call rejects. */
  end(): void {
    this.#over = true;
  }

  /** What was recorded, in the form of the adapter protocol; `about` are lines for its head. */
  transcript(about: readonly string[]): string {
    return formatTranscript(this.#info, this.#kept, about, this.#full);
  }

  /** Makes a call and notes it. Used by the recorded processes. */
  record<T>(
    call: RecordedCall,
    make: () => Promise<T>,
    values: (value: T) => readonly Word[],
  ): Promise<T> {
    if (this.#over) return Promise.reject(new TestIsOver("The test is over"));
    this.#calls++;
    this.#last = call;
    if (isIoctl(call)) this.#lastIoctl = call;
    return this.#answered(this.#keep(call), make(), values);
  }

  /** Notes the calls of a batch that came back: the first that failed is the one to tell of, else the last. */
  noteBatch(calls: readonly RecordedCall[]): void {
    // The batch itself was counted as one when it set out.
    this.#calls += calls.length - 1;
    const failed = calls.find((call) => returned(call) < 0);
    const told = failed ?? calls.at(-1)!;
    this.#last = told;
    this.#lastIoctl = isIoctl(told)
      ? told
      : calls.findLast(isIoctl) ?? this.#lastIoctl;
  }

  /** Keeps a call for the transcript while there is room. */
  #keep(call: RecordedCall): RecordedCall {
    this.#bytes += bytesOf(call.args) +
      (call.batch ?? []).reduce((sum, { args }) => sum + bytesOf(args), 0);
    this.#full ||= this.#kept.length >= MAX_CALLS || this.#bytes > MAX_BYTES;
    if (!this.#full) this.#kept.push(call);
    return call;
  }

  /** Waits for the answer to a call and notes it. */
  async #answered<T>(
    call: RecordedCall,
    answer: Promise<T>,
    values: (value: T) => readonly Word[],
  ): Promise<T> {
    try {
      const value = await answer;
      const words = values(value);
      this.#bytes += bytesOf(words);
      call.reply = { kind: "ok", values: words };
      return value;
    } catch (error) {
      call.reply = failureReply(error);
      throw error;
    }
  }
}

function isIoctl({ verb }: RecordedCall): boolean {
  return verb === "ioctl" || verb === "ioctlarg";
}

/** What a call of a batch returned; 0 for one that returns nothing. */
function returned({ verb, reply }: RecordedCall): number {
  const value = reply?.kind === "ok" && verb === "ioctl" ? reply.values[0] : 0;
  return Number(value);
}

function bytesOf(words: readonly Word[]): number {
  return words.reduce<number>(
    (sum, word) => sum + (word instanceof Uint8Array ? word.length : 0),
    0,
  );
}

/** The reply that makes a target fail as this one did. */
function failureReply(error: unknown): Reply {
  if (error instanceof MemoryFault) return { kind: "fault" };
  const reason = error instanceof Error ? error.message : String(error);
  const crashed = error instanceof TargetFailure && error.status === "crash";
  return { kind: crashed ? "died" : "error", reason };
}

/** The values of a call that returns a number and nothing else. */
function number(ret: number): readonly Word[] {
  return [ret];
}

/** The values of a call that returns nothing. */
function none(): readonly Word[] {
  return [];
}

/** A process whose calls go through a {@link Recorder}. */
class RecordedProcess implements TargetProcess {
  readonly #process: TargetProcess;
  readonly #recorder: Recorder;
  readonly #number: number;
  #exited: Promise<void> | undefined;

  constructor(process: TargetProcess, recorder: Recorder, number: number) {
    this.#process = process;
    this.#recorder = recorder;
    this.#number = number;
  }

  #record<T>(
    verb: string,
    args: readonly Word[],
    make: () => Promise<T>,
    values: (value: T) => readonly Word[],
  ): Promise<T> {
    const call: RecordedCall = { process: this.#number, verb, args };
    return this.#recorder.record(call, make, values);
  }

  /** A call that returns a number. */
  #call(
    verb: string,
    args: readonly Word[],
    make: () => Promise<number>,
  ): Promise<number> {
    return this.#record(verb, args, make, number);
  }

  open(path: string, flags = O_RDWR): Promise<number> {
    const make = () => this.#process.open(path, flags);
    return this.#call("open", [path, flags], make);
  }

  close(fd: number): Promise<number> {
    return this.#call("close", [fd], () => this.#process.close(fd));
  }

  dup(fd: number): Promise<number> {
    return this.#call("dup", [fd], () => this.#process.dup(fd));
  }

  ioctl(fd: number, cmd: number, arg: Uint8Array): Promise<number> {
    return this.#record(
      "ioctl",
      [fd, cmd, arg.slice()],
      () => this.#process.ioctl(fd, cmd, arg),
      (ret) => [ret, arg.slice()],
    );
  }

  ioctlArg(fd: number, cmd: number, arg: number | bigint): Promise<number> {
    const make = () => this.#process.ioctlArg(fd, cmd, arg);
    return this.#call("ioctlarg", [fd, cmd, arg], make);
  }

  async batch(calls: readonly Call[]): Promise<number[]> {
    if (calls.length === 0) return [];
    const process = this.#number;
    const batch = calls.map((call) => recordedCall(call, process));
    const results = await this.#recorder.record(
      { process, verb: "batch", args: [], batch },
      () => this.#process.batch(calls),
      (results) => {
        for (const [index, call] of calls.entries()) {
          const values = batchValues(call, results[index]!);
          batch[index]!.reply = { kind: "ok", values };
        }
        return [];
      },
    );
    this.#recorder.noteBatch(batch);
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
    return this.#call(
      "mmap",
      [addr, length, prot, flags, fd, offset],
      () => this.#process.mmap(addr, length, prot, flags, fd, offset),
    );
  }

  munmap(addr: number, length: number): Promise<number> {
    const make = () => this.#process.munmap(addr, length);
    return this.#call("munmap", [addr, length], make);
  }

  mprotect(addr: number, length: number, prot: number): Promise<number> {
    const make = () => this.#process.mprotect(addr, length, prot);
    return this.#call("mprotect", [addr, length, prot], make);
  }

  madvise(addr: number, length: number, advice: number): Promise<number> {
    const make = () => this.#process.madvise(addr, length, advice);
    return this.#call("madvise", [addr, length, advice], make);
  }

  read(fd: number, into: Uint8Array): Promise<number> {
    return this.#record(
      "read",
      [fd, into.length],
      () => this.#process.read(fd, into),
      (ret) => [ret, into.slice(0, Math.max(ret, 0))],
    );
  }

  write(fd: number, bytes: Uint8Array): Promise<number> {
    const make = () => this.#process.write(fd, bytes);
    return this.#call("write", [fd, bytes.slice()], make);
  }

  poll(fd: number, events: number): Promise<number> {
    const make = () => this.#process.poll(fd, events);
    return this.#call("poll", [fd, events], make);
  }

  peek(addr: number, length: number): Promise<Uint8Array> {
    const make = () => this.#process.peek(addr, length);
    return this.#record(
      "peek",
      [addr, length],
      make,
      (bytes) => [bytes.slice()],
    );
  }

  poke(addr: number, bytes: Uint8Array): Promise<void> {
    const make = () => this.#process.poke(addr, bytes);
    return this.#record("poke", [addr, bytes.slice()], make, none);
  }

  memfdCreate(name: string, flags: number): Promise<number> {
    const make = () => this.#process.memfdCreate(name, flags);
    return this.#call("memfd", [name, flags], make);
  }

  ftruncate(fd: number, length: number): Promise<number> {
    const make = () => this.#process.ftruncate(fd, length);
    return this.#call("ftruncate", [fd, length], make);
  }

  eventfd(value: number, flags: number): Promise<number> {
    const make = () => this.#process.eventfd(value, flags);
    return this.#call("eventfd", [value, flags], make);
  }

  pipe(): Promise<{ ret: number; readFd: number; writeFd: number }> {
    return this.#record(
      "pipe",
      [],
      () => this.#process.pipe(),
      ({ ret, readFd, writeFd }) => [ret, readFd, writeFd],
    );
  }

  setrlimit(resource: number, soft: bigint): Promise<number> {
    const make = () => this.#process.setrlimit(resource, soft);
    return this.#call("setrlimit", [resource, soft], make);
  }

  setuid(uid: number): Promise<number> {
    return this.#call("setuid", [uid], () => this.#process.setuid(uid));
  }

  dropCapability(capability: number): Promise<number> {
    const make = () => this.#process.dropCapability(capability);
    return this.#call("dropcap", [capability], make);
  }

  vmStatus(): Promise<{ vmLck: number; vmPin: number }> {
    return this.#record(
      "vmstatus",
      [],
      () => this.#process.vmStatus(),
      ({ vmLck, vmPin }) => [vmLck, vmPin],
    );
  }

  setFailNth(nth: number): Promise<number> {
    return this.#call("failnth", [nth], () => this.#process.setFailNth(nth));
  }

  failNthLeft(): Promise<number> {
    return this.#call("failnthleft", [], () => this.#process.failNthLeft());
  }

  fork(): Promise<TargetProcess> {
    let child: RecordedProcess | undefined;
    return this.#record(
      "fork",
      [],
      async () => {
        const process = await this.#process.fork();
        return child = this.#recorder.wrap(process) as RecordedProcess;
      },
      () => [child!.#number],
    );
  }

  exit(): Promise<void> {
    return this.#exited ??= this.#record(
      "exit",
      [],
      () => this.#process.exit(),
      none,
    );
  }
}

/** A call of a batch, as it is sent. */
function recordedCall(call: Call, process: number): RecordedCall {
  switch (call.call) {
    case "ioctl":
      return {
        process,
        verb: "ioctl",
        args: [call.fd, call.cmd, call.arg.slice()],
      };
    case "poke":
      return { process, verb: "poke", args: [call.addr, call.bytes.slice()] };
    case "peek":
      return { process, verb: "peek", args: [call.addr, call.into.length] };
  }
}

/** The values of a call of a batch. */
function batchValues(call: Call, result: number): readonly Word[] {
  switch (call.call) {
    case "ioctl":
      return [result, call.arg.slice()];
    case "poke":
      return [];
    case "peek":
      return [call.into.slice()];
  }
}
