// SPDX-License-Identifier: GPL-2.0-only

/**
 * How a step changes what there is: learnt from the call as it was made and
 * what it came to, nothing else, so that any program can be followed.
 *
 * @module
 */

import {
  IOMMU_PGFAULT_FLAGS_LAST_PAGE,
  IommuHwptPgfault,
} from "../../../../impl/uapi/iommufd.ts";
import {
  F_SETFD,
  FD_CLOEXEC,
  MAP_HUGETLB,
  MAP_SHARED,
  MFD_CLOEXEC,
  MFD_HUGETLB,
  O_CLOEXEC,
  PAGE_SIZE,
  RLIMIT_NOFILE,
} from "../../../../impl/uapi/mman.ts";
import { VFIO_GROUP_GET_DEVICE_FD } from "../../../../impl/uapi/vfio/device.ts";
import { VFIO_SET_IOMMU } from "../../../../impl/uapi/vfio.ts";
import { VFIO_DEVICE_FEATURE } from "../../../../impl/uapi/vfio/feature.ts";
import type { Outcome } from "../../../../selftests/target/program.ts";
import type { Argument, Call } from "../../../../selftests/target/verbs.ts";
import { learnFeature } from "./learn_feature.ts";
import { learnIoctl } from "./learn_ioctl.ts";
import { type OpenKind, readU32, readU64, type Shapes } from "./shapes.ts";
import {
  Context,
  type Fd,
  ofContainer,
  type OpenFile,
  Proc,
  type World,
} from "./world.ts";

/** What a call came to that returned. */
export type Returned = Extract<Outcome, { kind: "returned" }>;

/** A call that returned no error. */
export interface Done {
  readonly world: World;
  readonly shapes: Shapes;
  readonly process: Proc;
  /** Which step it was. */
  readonly step: number;
  readonly args: readonly Argument[];
  readonly result: number;
  readonly back: Uint8Array;
}

/** An open file with nothing known about it. */
export function fileOf(
  kind: OpenKind,
  more: Partial<OpenFile> = {},
): OpenFile {
  const nothing = { context: undefined, pt: 0, flags: 0, length: 0 };
  return { kind, ...nothing, huge: false, cookies: [], ...more };
}

/** Notes that the result of a step is a descriptor. */
export function opened(
  { process, step, result }: Done,
  file: OpenFile,
  closes = false,
): void {
  const fd = { value: result, from: { step } };
  process.fds.set(result, { fd, file, closes });
}

function numberAt({ args }: Done, at: number): number {
  return Number(args[at]);
}

function fdAt(done: Done, at: number): Fd | undefined {
  return done.process.fds.get(numberAt(done, at));
}

/** What a path opens. */
function kindOf(path: string, { container }: World): OpenKind {
  if (path === "/dev/iommu") return "iommufd";
  if (path === "/dev/vfio/vfio") return container;
  if (path.startsWith("/dev/vfio/devices/")) return "VFIO device";
  if (path.startsWith("/dev/vfio/")) return "VFIO group";
  return path.startsWith("/dev/shm") ? "file" : "other";
}

/** What is in files of some kinds when they are opened. */
const CONTEXTS: Partial<Record<OpenKind, () => Context>> = {
  iommufd: () => new Context(),
  "type1 container": ofContainer,
};

function open(done: Done): void {
  const [path, flags] = done.args as [string, number];
  const again = /^\/proc\/self\/fd\/(\d+)$/.exec(path)?.[1];
  const known = done.process.fds.get(Number(again ?? -1))?.file;
  const kind = known?.kind ?? kindOf(path, done.world);
  const context = CONTEXTS[kind]?.();
  const file = kind === "file" && known ? known : fileOf(kind, { context });
  opened(done, file, (flags & O_CLOEXEC) !== 0);
}

function mmap(done: Done): void {
  const [, length, prot, flags, fd] = done.args as number[];
  const start = done.result;
  const file = done.process.fds.get(fd!)?.file;
  const huge = (flags! & MAP_HUGETLB) !== 0 || file?.huge === true;
  const shared = (flags! & MAP_SHARED) !== 0;
  const unit = huge ? 2 ** 21 : PAGE_SIZE;
  const end = start + Math.ceil(length! / unit) * unit;
  done.process.cut(start, end);
  const registers = file?.kind === "VFIO device";
  done.process.add({ start, end, prot: prot!, shared, huge, registers });
}

function upTo(length: number): number {
  return Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
}

function mprotect(done: Done): void {
  const [start, length, prot] = done.args as [number, number, number];
  const taken = done.process.cut(start, start + upTo(length));
  for (const mapping of taken) done.process.add({ ...mapping, prot });
}

function mremap(done: Done): void {
  const [start, oldLength, length] = done.args as [number, number, number];
  const [first] = done.process.cut(start, start + upTo(oldLength));
  if (first === undefined) return;
  const end = done.result + upTo(length);
  done.process.cut(done.result, end);
  done.process.add({ ...first, start: done.result, end });
}

/** Faults that were read from a queue. */
function faults({ step, back }: Done, { cookies }: OpenFile): void {
  const { size, fields: { flags, cookie } } = IommuHwptPgfault;
  for (let at = 0; at + size <= back.length; at += size) {
    const bits = readU32(back, at + flags.offset);
    if ((bits & IOMMU_PGFAULT_FLAGS_LAST_PAGE) === 0) continue;
    const offset = at + cookie.offset;
    const from = { step, field: { offset, bytes: 4 as const } };
    cookies.push({ value: readU32(back, offset), from });
  }
}

/** Faults that were answered. */
function answers({ args }: Done, { cookies }: OpenFile): void {
  const bytes = args[1] as Uint8Array;
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const cookie = readU32(bytes, at);
    const index = cookies.findIndex(({ value }) => value === cookie);
    if (index >= 0) cookies.splice(index, 1);
  }
}

function read(done: Done): void {
  const file = fdAt(done, 0)?.file;
  if (file?.kind === "fault queue") faults(done, file);
  if (file?.kind === "pipe to read") file.length -= done.result;
}

function write(done: Done): void {
  const { file } = fdAt(done, 0) ?? {};
  if (file?.kind === "fault queue") answers(done, file);
  if (file?.kind === "file") file.length = Math.max(file.length, done.result);
  // Both ends are one file here, so that who reads knows what there is.
  if (file?.kind === "pipe to write" && file.other) {
    file.other.length += done.result;
  }
}

function pipe(done: Done): void {
  const reader = fileOf("pipe to read");
  const ends = [reader, fileOf("pipe to write", { other: reader })];
  for (const [i, file] of ends.entries()) {
    const value = Number(readU64(done.back, 8 * i));
    const from = {
      step: done.step,
      field: { offset: 8 * i, bytes: 8 as const },
    };
    done.process.fds.set(value, { fd: { value, from }, file, closes: false });
  }
}

function exec({ process }: Done): void {
  process.memory = [];
  for (const [number, fd] of process.fds) {
    if (fd.closes) process.fds.delete(number);
  }
}

/** What comes back of a device by a result, or by what follows the struct. */
function learnDevice(done: Done): void {
  const [, cmd, struct] = done.args as [number, number, Uint8Array];
  const isFeature = cmd === VFIO_DEVICE_FEATURE && struct.length >= 8;
  if (isFeature) learnFeature(done);
}

/** What the verbs change. */
const LEARN: Readonly<Record<string, (done: Done) => void>> = {
  open,
  close: (done) => done.process.fds.delete(numberAt(done, 0)),
  dup: (done) => {
    const fd = fdAt(done, 0);
    if (fd) opened(done, fd.file);
  },
  dup2: (done) => {
    const fd = fdAt(done, 0);
    if (fd && fd !== fdAt(done, 1)) opened(done, fd.file);
  },
  dup3: (done) => {
    const fd = fdAt(done, 0);
    if (fd) opened(done, fd.file, numberAt(done, 2) !== 0);
  },
  passfd: (done) => {
    const fd = fdAt(done, 0);
    const process = done.world.processes[numberAt(done, 1)];
    if (fd && process) opened({ ...done, process }, fd.file);
  },
  ioctl: (done) => {
    if (fdAt(done, 0)?.file.kind === "VFIO device") learnDevice(done);
    learnIoctl(done);
  },
  ioctlarg: (done) => {
    const [, cmd, arg] = done.args;
    const file = fdAt(done, 0)?.file;
    if (cmd === VFIO_SET_IOMMU && file) file.pt = Number(arg);
    if (cmd !== VFIO_GROUP_GET_DEVICE_FD) return;
    opened(done, fileOf("VFIO device"), true);
  },
  mmap,
  munmap: (done) => {
    const start = numberAt(done, 0);
    done.process.cut(start, start + upTo(numberAt(done, 1)));
  },
  mremap,
  mprotect,
  read,
  write,
  memfd: (done) => {
    const flags = numberAt(done, 1);
    const huge = (flags & MFD_HUGETLB) !== 0;
    opened(done, fileOf("file", { huge }), (flags & MFD_CLOEXEC) !== 0);
  },
  ftruncate: (done) => {
    const fd = fdAt(done, 0);
    if (fd) fd.file.length = numberAt(done, 1);
  },
  fallocate: (done) => {
    const fd = fdAt(done, 0);
    if (fd === undefined || numberAt(done, 1) !== 0) return;
    const end = numberAt(done, 2) + numberAt(done, 3);
    fd.file.length = Math.max(fd.file.length, end);
  },
  fcntl: (done) => {
    const fd = fdAt(done, 0);
    if (fd === undefined || numberAt(done, 1) !== F_SETFD) return;
    fd.closes = (numberAt(done, 2) & FD_CLOEXEC) !== 0;
  },
  eventfd: (done) =>
    opened(done, fileOf("eventfd"), (numberAt(done, 1) & O_CLOEXEC) !== 0),
  pipe,
  setrlimit: (done) => {
    if (numberAt(done, 0) !== RLIMIT_NOFILE) return;
    done.process.isShort = Number(done.args[1]) < 512;
  },
  exec,
  exit: (done) => {
    done.process.isAlive = false;
  },
};

/** Notes what a step did: `call` has all values in their places, and what came back in the struct. */
export function learn(
  world: World,
  shapes: Shapes,
  step: { readonly index: number; readonly process: number },
  call: Call,
  outcome: Outcome,
): void {
  const process = world.processes[step.process];
  if (call.verb.returns === "process") {
    const { fds, memory } = process ?? new Proc(0);
    world.processes.push(new Proc(world.processes.length, fds, memory));
    world.processes.at(-1)!.isAlive = outcome.kind === "returned";
  }
  if (process === undefined) return;
  if (outcome.kind === "died") process.isAlive = false;
  if (outcome.kind !== "returned" || outcome.result < 0) return;
  const { result, back } = outcome;
  const { args } = call;
  LEARN[call.verb.name]?.(
    { world, shapes, process, step: step.index, args, result, back },
  );
}
