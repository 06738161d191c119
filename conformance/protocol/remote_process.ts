// SPDX-License-Identifier: GPL-2.0-only

/**
 * The processes of an adapter: each system call is one request.
 *
 * @module
 */

import { O_RDWR } from "../../impl/uapi/mman.ts";
import type {
  Call,
  TargetProcess,
  TimedCall,
  Timing,
} from "../../selftests/target/target.ts";
import { MemoryFault } from "../../selftests/target/target_failure.ts";
import type { Channel } from "./channel.ts";
import { formatBytes, formatNumber, formatText, type Words } from "./codec.ts";

/** Separates the calls of a batch, and their results. */
const NEXT = ";";

/** The processes that an adapter has at a time, by the numbers that it gave them. */
export class Processes {
  readonly #channel: Channel;
  readonly #numbers = new Set<number>();

  /** `channel` leads to the adapter. */
  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** The process whose number is the next of `values`, new to us. */
  take(values: Words): TargetProcess {
    const number = values.number("the process");
    if (number < 1) values.refuse(`${number} cannot be a process`);
    if (this.#numbers.has(number)) {
      values.refuse(`process ${number} is there already`);
    }
    this.#numbers.add(number);
    return new RemoteProcess(this.#channel, this, number);
  }

  /** A process ended: its number may come again. */
  release(number: number): void {
    this.#numbers.delete(number);
  }

  /** All processes end. */
  clear(): void {
    this.#numbers.clear();
  }
}

/** A process at the other end of a channel. */
class RemoteProcess implements TargetProcess {
  readonly #channel: Channel;
  readonly #processes: Processes;
  readonly #number: number;
  #exited: Promise<void> | undefined;

  constructor(channel: Channel, processes: Processes, number: number) {
    this.#channel = channel;
    this.#processes = processes;
    this.#number = number;
  }

  #request<T>(request: string, parse: (values: Words) => T): Promise<T> {
    return this.#channel.request(this.#number, request, parse);
  }

  /** A call whose only value is what it returned. */
  #call(name: string, ...args: (number | bigint)[]): Promise<number> {
    return this.#request([name, ...args.map(formatNumber)].join(" "), parseRet);
  }

  open(path: string, flags = O_RDWR): Promise<number> {
    return this.#request(formatOpen(path, flags), parseRet);
  }

  close(fd: number): Promise<number> {
    return this.#call("close", fd);
  }

  dup(fd: number): Promise<number> {
    return this.#call("dup", fd);
  }

  ioctl(fd: number, cmd: number, arg: Uint8Array): Promise<number> {
    return this.#request(
      formatIoctl(fd, cmd, arg),
      (values) => parseIoctl(values, arg),
    );
  }

  ioctlArg(fd: number, cmd: number, arg: number | bigint): Promise<number> {
    return this.#call("ioctlarg", fd, cmd, arg);
  }

  batch(calls: readonly Call[]): Promise<number[]> {
    if (calls.length === 0) return Promise.resolve([]);
    const request = calls.map(formatCall).join(` ${NEXT} `);
    return this.#request(
      `batch ${request}`,
      (values) => parseBatch(values, calls),
    ).then((results) =>
      results.map((result) => {
        if (result === undefined) {
          throw new MemoryFault("No memory to touch for a call of a batch");
        }
        return result;
      })
    );
  }

  time(times: number, calls: readonly TimedCall[]): Promise<Timing> {
    const request = calls.map(formatTimedCall).join(` ${NEXT} `);
    return this.#request(
      `time ${formatNumber(times)} ${request}`,
      (values) => parseTiming(values, calls),
    );
  }

  mmap(
    addr: number,
    length: number,
    prot: number,
    flags: number,
    fd = -1,
    offset = 0,
  ): Promise<number> {
    return this.#call("mmap", addr, length, prot, flags, fd, offset);
  }

  munmap(addr: number, length: number): Promise<number> {
    return this.#call("munmap", addr, length);
  }

  mprotect(addr: number, length: number, prot: number): Promise<number> {
    return this.#call("mprotect", addr, length, prot);
  }

  madvise(addr: number, length: number, advice: number): Promise<number> {
    return this.#call("madvise", addr, length, advice);
  }

  read(fd: number, into: Uint8Array): Promise<number> {
    return this.#request(
      `read ${formatNumber(fd)} ${formatNumber(into.length)}`,
      (values) => {
        const ret = parseRet(values);
        const bytes = values.bytes("what was read");
        if (bytes.length !== Math.max(ret, 0) || bytes.length > into.length) {
          values.refuse(
            `${bytes.length} bytes came from a read of ${into.length} that returned ${ret}`,
          );
        }
        into.set(bytes);
        return ret;
      },
    );
  }

  write(fd: number, bytes: Uint8Array): Promise<number> {
    const request = `write ${formatNumber(fd)} ${formatBytes(bytes)}`;
    return this.#request(request, parseRet);
  }

  poll(fd: number, events: number): Promise<number> {
    return this.#call("poll", fd, events);
  }

  peek(addr: number, length: number): Promise<Uint8Array> {
    return this.#request(
      formatPeek(addr, length),
      (values) => parseMemory(values, length),
    );
  }

  poke(addr: number, bytes: Uint8Array): Promise<void> {
    return this.#request(formatPoke(addr, bytes), nothing);
  }

  memfdCreate(name: string, flags: number): Promise<number> {
    const request = `memfd ${formatText(name)} ${formatNumber(flags)}`;
    return this.#request(request, parseRet);
  }

  ftruncate(fd: number, length: number): Promise<number> {
    return this.#call("ftruncate", fd, length);
  }

  eventfd(value: number, flags: number): Promise<number> {
    return this.#call("eventfd", value, flags);
  }

  pipe(): Promise<{ ret: number; readFd: number; writeFd: number }> {
    return this.#request("pipe", (values) => ({
      ret: parseRet(values),
      readFd: values.number("the read end"),
      writeFd: values.number("the write end"),
    }));
  }

  setrlimit(resource: number, soft: bigint): Promise<number> {
    return this.#call("setrlimit", resource, soft);
  }

  setuid(uid: number): Promise<number> {
    return this.#call("setuid", uid);
  }

  dropCapability(capability: number): Promise<number> {
    return this.#call("dropcap", capability);
  }

  vmStatus(): Promise<{ vmLck: number; vmPin: number }> {
    return this.#request("vmstatus", (values) => ({
      vmLck: values.number("VMLCK"),
      vmPin: values.number("VMPIN"),
    }));
  }

  setFailNth(nth: number): Promise<number> {
    return this.#call("failnth", nth);
  }

  failNthLeft(): Promise<number> {
    return this.#call("failnthleft");
  }

  fork(): Promise<TargetProcess> {
    return this.#request("fork", (values) => this.#processes.take(values));
  }

  exit(): Promise<void> {
    return this.#exited ??= this.#request("exit", () => {
      this.#processes.release(this.#number);
    });
  }
}

/** What a system call returned. */
function parseRet(values: Words): number {
  return values.number("the result");
}

/** Nothing is left to read. */
function nothing(): void {}

function formatOpen(path: string, flags: number): string {
  return `open ${formatText(path)} ${formatNumber(flags)}`;
}

function formatIoctl(fd: number, cmd: number, arg: Uint8Array): string {
  return `ioctl ${formatNumber(fd)} ${formatNumber(cmd)} ${formatBytes(arg)}`;
}

/** Updates `arg`, the struct that was sent. */
function parseIoctl(values: Words, arg: Uint8Array): number {
  const ret = parseRet(values);
  arg.set(sameLength(values, "the struct", arg.length));
  return ret;
}

function formatPeek(addr: number, length: number): string {
  return `peek ${formatNumber(addr)} ${formatNumber(length)}`;
}

function parseMemory(values: Words, length: number): Uint8Array {
  return sameLength(values, "the memory", length);
}

function formatPoke(addr: number, bytes: Uint8Array): string {
  return `poke ${formatNumber(addr)} ${formatBytes(bytes)}`;
}

/** Bytes, as many as were asked for. */
function sameLength(values: Words, what: string, length: number): Uint8Array {
  const bytes = values.bytes(what);
  if (bytes.length !== length) {
    values.refuse(`${what} has ${bytes.length} bytes instead of ${length}`);
  }
  return bytes;
}

function formatCall(call: Call): string {
  switch (call.call) {
    case "ioctl":
      return formatIoctl(call.fd, call.cmd, call.arg);
    case "peek":
      return formatPeek(call.addr, call.into.length);
    case "poke":
      return formatPoke(call.addr, call.bytes);
  }
}

/** The results of a batch; undefined for a call that faulted. */
function parseBatch(
  values: Words,
  calls: readonly Call[],
): (number | undefined)[] {
  return calls.map((call, index) => {
    if (index > 0) skipNext(values, index);
    return values.skip("fault") ? undefined : parseCall(values, call);
  });
}

function parseCall(values: Words, call: Call): number {
  switch (call.call) {
    case "ioctl":
      return parseIoctl(values, call.arg);
    case "peek":
      call.into.set(parseMemory(values, call.into.length));
      return 0;
    case "poke":
      return 0;
  }
}

function formatTimedCall(call: TimedCall): string {
  switch (call.call) {
    case "ioctl":
      return formatIoctl(call.fd, call.cmd, call.arg);
    case "ioctlArg":
      return ["ioctlarg", ...[call.fd, call.cmd, call.arg].map(formatNumber)]
        .join(" ");
    case "open":
      return formatOpen(call.path, call.flags);
    case "close":
      return `close ${formatNumber(call.fd)}`;
  }
}

/** The times of all calls, then their results. */
function parseTiming(values: Words, calls: readonly TimedCall[]): Timing {
  const nanoseconds = calls.map(() => parseNanoseconds(values));
  const results = calls.map((call, index) => {
    skipNext(values, index);
    return call.call === "ioctl"
      ? parseIoctl(values, call.arg)
      : parseRet(values);
  });
  return { nanoseconds, results };
}

function parseNanoseconds(values: Words): number {
  const nanoseconds = values.number("the time of a call");
  if (nanoseconds < 0) values.refuse("a time is negative");
  return nanoseconds;
}

/** Goes past what stands before the result of a call. */
function skipNext(values: Words, index: number): void {
  if (values.skip(NEXT)) return;
  values.refuse(`"${NEXT}" is missing before the result of call ${index + 1}`);
}
