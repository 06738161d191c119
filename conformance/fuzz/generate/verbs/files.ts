// SPDX-License-Identifier: GPL-2.0-only

/**
 * The verbs of descriptors: opening, closing, reading, writing, files.
 *
 * @module
 */

import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_GETFD,
  F_SETFD,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  HPAGE_SIZE,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MFD_HUGETLB,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_WRONLY,
  PAGE_SIZE,
} from "../../../../impl/uapi/mman.ts";
import { IommuHwptPageResponse } from "../../../../impl/uapi/iommufd.ts";
import type { Chance } from "../chance.ts";
import { type Maker, patchOf } from "../maker.ts";
import type { Fd, Known, OpenFile, Proc } from "../known/world.ts";

/** An action that makes a step or a few of a process. */
export type Action = (maker: Maker, process: Proc) => void;

/** A descriptor to read or write: not a device's, of which each machine's has its own registers. */
function plainFd(maker: Maker, process: Proc): Fd | undefined {
  const fd = anyFd(maker, process);
  return fd?.file.kind === "VFIO device" ? undefined : fd;
}

/** Descriptors of a process that are left open: what there is to try. */
function anyFd(maker: Maker, process: Proc): Fd | undefined {
  const all = [...process.fds.values()];
  if (all.length === 0) return undefined;
  return maker.chance.maybe(all);
}

/** Number of a descriptor, with what repeats it; rarely of none. */
function target(maker: Maker, process: Proc): Pick<Fd, "fd"> {
  const fd = maker.chance.percent(96) ? anyFd(maker, process) : undefined;
  return fd ?? { fd: { value: maker.chance.percent(50) ? -1 : 300 } };
}

/** No descriptor. */
const NO_FD: Pick<Fd, "fd"> = { fd: { value: 300 } };

/** Those to read and write at offsets. */
function file(maker: Maker, process: Proc): Pick<Fd, "fd"> {
  if (process.open("file").length === 0) makeFile(maker, process);
  const one = maker.chance.maybe(process.open("file"));
  if (one && maker.chance.percent(92)) return one;
  return plainFd(maker, process) ?? NO_FD;
}

/** Makes a file with memory: of small pages, or of huge ones. */
export function makeFile(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const sealing = chance.percent(40) ? MFD_ALLOW_SEALING : 0;
  const huge = chance.percent(5) ? MFD_HUGETLB : 0;
  const cloexec = chance.percent(20) ? MFD_CLOEXEC : 0;
  const isMemfd = huge !== 0 || chance.percent(75);
  const made = isMemfd
    ? maker.add(process, [], "memfd", "fuzz", sealing | huge | cloexec)
    : maker.add(process, [], "open", "/dev/shm", O_TMPFILE | O_RDWR);
  const fd = made && process.fds.get(made.result);
  if (fd === undefined) return;
  const unit = fd.file.huge ? HPAGE_SIZE : PAGE_SIZE;
  const units = fd.file.huge ? 1 : chance.between(1, 16);
  const length = unit * units + (chance.percent(8) ? 100 : 0);
  maker.addOn(process, fd, [], "ftruncate", made!.result, length);
}

const PATHS = [
  [60, "/dev/iommu"],
  [8, "/dev/vfio/vfio"],
  [10, "/dev/null"],
  [5, "/proc/self/exe"],
  [5, "/dev/nothing"],
  [4, "/dev/shm/nothing"],
] as const;

/** What is open already, opened again: not a pipe, of which that can wait. */
function reopened(maker: Maker, process: Proc): string | undefined {
  if (!maker.chance.percent(10)) return undefined;
  const fd = anyFd(maker, process);
  const isFile = fd?.file.kind === "file" || fd?.file.kind === "iommufd";
  return isFile ? `/proc/self/fd/${fd.fd.value}` : undefined;
}

function open(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const path = reopened(maker, process) ?? chance.weighted<string>(PATHS);
  const access = chance.weighted([[85, O_RDWR], [10, O_RDONLY], [5, O_WRONLY]]);
  const flags = access | (chance.percent(15) ? O_CLOEXEC : 0);
  maker.add(process, [], "open", path, flags);
}

function close(maker: Maker, process: Proc): void {
  // Not the first three, which real processes use.
  const all = [...process.fds.values()];
  const chosen = maker.chance.percent(90)
    ? maker.chance.maybe(all)
    : { fd: { value: 300 } };
  if (chosen === undefined) return;
  maker.addOn(process, chosen, [], "close", Number(chosen.fd.value));
}

function dup(maker: Maker, process: Proc): void {
  const fd = target(maker, process);
  maker.addOn(process, fd, [], "dup", Number(fd.fd.value));
}

/** Descriptors above those that are taken in order. */
const HIGH = 40;

/** A descriptor that becomes another one's: one that is open, or one above. */
function dup2(maker: Maker, process: Proc, flags?: number): void {
  const { chance } = maker;
  const from = target(maker, process);
  const high = { fd: { value: HIGH + chance.below(8) } };
  const to = (chance.percent(70) ? anyFd(maker, process) : undefined) ?? high;
  const [fd, newFd] = [from, to].map((one) => Number(one.fd.value));
  const patches = patchOf(1, to.fd);
  if (flags === undefined) {
    maker.addOn(process, from, patches, "dup2", fd!, newFd!);
  } else maker.addOn(process, from, patches, "dup3", fd!, newFd!, flags);
}

function dup3(maker: Maker, process: Proc): void {
  const flags = [[60, O_CLOEXEC], [35, 0], [5, O_NONBLOCK]] as const;
  dup2(maker, process, maker.chance.weighted<number>(flags));
}

function passfd(maker: Maker, process: Proc): void {
  const other = maker.chance.maybe(
    maker.world.alive.filter((it) => it !== process),
  );
  const fd = target(maker, process);
  if (other === undefined) return;
  maker.addOn(process, fd, [], "passfd", Number(fd.fd.value), other.number);
}

/** Bytes to read that something mostly has. */
function lengthToRead(maker: Maker, { kind }: OpenFile): number {
  const { chance } = maker;
  if (kind === "eventfd") return chance.percent(85) ? 8 : chance.below(16);
  if (kind === "fault queue") return 40 * chance.between(1, 3);
  if (kind === "event queue") return 12 * chance.between(1, 3);
  return chance.between(0, 64);
}

/** Whether a read could wait for ever on a real kernel. */
function waits({ kind, length }: OpenFile): boolean {
  return kind === "pipe to read" && length <= 0;
}

function read(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const queues = [...process.fds.values()].filter(({ file: { kind } }) =>
    kind === "fault queue" || kind === "event queue" || kind === "eventfd" ||
    kind === "VFIO data"
  );
  const fd = (chance.percent(70) ? chance.maybe(queues) : undefined) ??
    plainFd(maker, process);
  if (fd === undefined || waits(fd.file)) return;
  const length = chance.percent(90)
    ? lengthToRead(maker, fd.file)
    : chance.below(64);
  const into = new Uint8Array(length);
  maker.addOn(process, fd, [], "read", Number(fd.fd.value), into);
}

function write(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const data = process.open("VFIO data");
  const fd = data.length > 0 ? chance.one(data) : plainFd(maker, process);
  if (fd === undefined) return;
  const bytes = chance.bytes(fd.file.kind === "eventfd" ? 8 : chance.below(64));
  // A counter that does not overflow soon.
  if (fd.file.kind === "eventfd" && chance.percent(90)) bytes.fill(0, 1);
  maker.addOn(process, fd, [], "write", Number(fd.fd.value), bytes);
}

/** An answer to a fault: to one that was read, or to none. */
function answerTo(chance: Chance, cookie: Known): Uint8Array<ArrayBuffer> {
  if (chance.percent(6)) return chance.bytes(chance.below(20));
  const bytes = new Uint8Array(IommuHwptPageResponse.size);
  const view = IommuHwptPageResponse.at(bytes);
  view.cookie = Number(cookie.value);
  view.code = chance.weighted([[60, 0], [30, 1], [10, 7]]);
  return bytes;
}

/** Reads faults, and answers one. */
function answer(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const queue = chance.maybe(process.open("fault queue"));
  if (queue === undefined) return;
  const number = Number(queue.fd.value);
  const { cookies } = queue.file;
  if (cookies.length === 0 || chance.percent(50)) {
    maker.addOn(process, queue, [], "read", number, new Uint8Array(160));
  }
  const known = chance.percent(90) ? chance.maybe(cookies) : undefined;
  if (known === undefined && chance.percent(80)) return;
  const cookie = known ?? { value: chance.below(4) };
  const bytes = answerTo(chance, cookie);
  const field = { offset: 0, bytes: 4 as const };
  const patches = cookie.from && bytes.length >= 4
    ? [{ arg: 1, field, from: cookie.from }]
    : [];
  maker.addOn(process, queue, patches, "write", number, bytes);
}

/** Offsets in files: few, and some at which something is different. */
function offset(maker: Maker): number {
  const { chance } = maker;
  return chance.weighted<() => number>([
    [60, () => PAGE_SIZE * chance.below(8)],
    [25, () => chance.below(PAGE_SIZE)],
    [10, () => HPAGE_SIZE],
    [5, () => -1],
  ])();
}

function pread(maker: Maker, process: Proc): void {
  const { fd } = file(maker, process);
  const into = new Uint8Array(maker.chance.below(64));
  const at = offset(maker);
  maker.addOn(process, { fd }, [], "pread", Number(fd.value), into, at);
}

function pwrite(maker: Maker, process: Proc): void {
  const { fd } = file(maker, process);
  const bytes = maker.chance.bytes(maker.chance.below(64));
  const at = offset(maker);
  maker.addOn(process, { fd }, [], "pwrite", Number(fd.value), bytes, at);
}

function lseek(maker: Maker, process: Proc): void {
  const { fd } = file(maker, process);
  const whence = maker.chance.weighted([[50, 0], [25, 1], [22, 2], [3, 9]]);
  const at = offset(maker);
  maker.addOn(process, { fd }, [], "lseek", Number(fd.value), at, whence);
}

function poll(maker: Maker, process: Proc): void {
  const { fd } = target(maker, process);
  const events = maker.chance.percent(80) ? 5 : maker.chance.below(512);
  maker.addOn(process, { fd }, [], "poll", Number(fd.value), events);
}

function ftruncate(maker: Maker, process: Proc): void {
  const { fd } = file(maker, process);
  const at = offset(maker);
  maker.addOn(process, { fd }, [], "ftruncate", Number(fd.value), at);
}

function fallocate(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const { fd } = file(maker, process);
  const punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const mode = chance.weighted([
    [40, 0],
    [20, FALLOC_FL_KEEP_SIZE],
    [35, punch],
    [5, FALLOC_FL_PUNCH_HOLE],
  ]);
  const at = PAGE_SIZE * chance.below(8) + (chance.percent(10) ? 100 : 0);
  const length = PAGE_SIZE * chance.between(0, 8);
  const number = Number(fd.value);
  maker.addOn(process, { fd }, [], "fallocate", number, mode, at, length);
}

function fcntl(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const { fd } = file(maker, process);
  const cmd = chance.weighted([
    [20, F_GETFD],
    [25, F_SETFD],
    [25, F_GET_SEALS],
    [30, F_ADD_SEALS],
  ]);
  const seals = chance.weighted([[80, 1 << chance.below(6)], [20, 0]]);
  const arg = cmd === F_ADD_SEALS ? seals : chance.below(2);
  maker.addOn(process, { fd }, [], "fcntl", Number(fd.value), cmd, arg);
}

function memfd(maker: Maker, process: Proc): void {
  const { chance } = maker;
  if (chance.percent(70)) return makeFile(maker, process);
  const flags = 1 << chance.below(6);
  maker.add(
    process,
    [],
    "memfd",
    chance.percent(90) ? "" : "x".repeat(250),
    flags,
  );
}

function eventfd(maker: Maker, process: Proc): void {
  const { chance } = maker;
  // Without O_NONBLOCK a read would wait.
  const flags = O_NONBLOCK | (chance.percent(30) ? 1 : 0) |
    (chance.percent(20) ? O_CLOEXEC : 0) | (chance.percent(4) ? 2 : 0);
  maker.add(process, [], "eventfd", chance.below(4), flags);
}

/** What a process does with descriptors, by the names that profiles have. */
export const FILE_ACTIONS: Readonly<Record<string, Action>> = {
  open,
  close,
  dup,
  dup2,
  dup3,
  unlink: (maker, process) => {
    const path = maker.chance.weighted([[80, "/dev/shm/nothing"], [
      20,
      "/dev/shm",
    ]]);
    maker.add(process, [], "unlink", path);
  },
  passfd,
  read,
  write,
  answer,
  pread,
  pwrite,
  lseek,
  poll,
  memfd,
  ftruncate,
  fallocate,
  fcntl,
  eventfd,
  pipe: (maker, process) => {
    maker.add(process, [], "pipe", [0, 0]);
  },
};
