// SPDX-License-Identifier: GPL-2.0-only

/**
 * Test operations on an access, which user space holds as a descriptor.
 *
 * @module
 */

import { checkGupRange } from "../pages/sources/user_memory.ts";
import { File } from "../../kernel/files/file.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { IntervalTree } from "../../lib/interval_tree.ts";
import { alignDown, U64_MAX } from "../../lib/u64.ts";
import {
  asErrno,
  EBADE,
  EBADFD,
  ENOENT,
  ENOMEM,
  EOPNOTSUPP,
} from "../../uapi/errno.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
  MOCK_FLAGS_ACCESS_SYZ,
  MOCK_FLAGS_ACCESS_WRITE,
  type TestAccessPages,
  type TestAccessReplaceIoas,
  type TestAccessRw,
  type TestCreateAccess,
  type TestDestroyAccessPages,
} from "../../uapi/selftest.ts";
import { PAGE_SIZE, RLIMIT_NOFILE } from "../../uapi/mman.ts";
import type { Revision } from "../../uapi/revision.ts";
import { Access } from "../access/access.ts";
import { IoptRange } from "../ioas/reserved.ts";
import { syzIova } from "../ioas/syz_iova.ts";
import { UNKNOWN_FLAG } from "../objects/refusals.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";

const TOO_LONG = ENOMEM.because("the range is too long to allocate for");
const NO_DESCRIPTOR = ENOMEM.because(
  "the process has as many open files as it may",
);

/** Longest range of one operation, bytes. */
const MAX_LENGTH = 16n * 1024n * 1024n;
/** Longest allocation of the kernel, bytes. */
const MAX_ALLOCATION = 2n ** 31n - 1n;
/** Bytes of a pointer to a page. */
const POINTER_SIZE = 8n;

const PAGE = BigInt(PAGE_SIZE);

/** The number of a range that user space pinned (Linux: struct selftest_access_item). */
interface ItemId {
  readonly id: number;
}

/**
 * An access as an open file (Linux: struct selftest_access). It keeps a list
 * of what is pinned, and unpins what the IOAS wants back.
 */
class SelftestAccess extends File {
  /** The access; undefined until it is set up. */
  ioasAccess: Access | undefined;
  /** Whether it was made for pinning. */
  readonly pins: boolean;
  readonly #items: Map<number, IoptRange<ItemId>> = new Map();
  readonly #ranges: IntervalTree<bigint, IoptRange<ItemId>> =
    new IntervalTree();
  #nextId = 0;

  constructor(pins: boolean) {
    super();
    this.pins = pins;
  }

  override get label(): string {
    return "anon_inode:[iommufd_test_staccess]";
  }

  /** Notes a pinned range; returns its number. */
  addItem(iova: bigint, length: bigint): number {
    const id = this.#nextId++;
    const range = new IoptRange(iova, iova + length - 1n, { id });
    this.#items.set(id, range);
    this.#ranges.insert(range);
    return id;
  }

  /** Unpins the range with a number. Throws ENOENT. */
  removeItem(id: number): void {
    const range = this.#items.get(id);
    if (range === undefined) {
      throw ENOENT.because("the access has no pin with this id");
    }
    this.#items.delete(id);
    this.#ranges.remove(range);
    const { start, last } = range;
    this.ioasAccess!.unpinPages(start, last - start + 1n);
  }

  /** Unpins all ranges that intersect one, the oldest first (Linux: iommufd_test_access_unmap). */
  unmap(iova: bigint, length: bigint): void {
    const last = iova + length - 1n;
    const ids: number[] = [];
    let range = this.#ranges.first(iova, last);
    for (; range; range = this.#ranges.next(range, iova, last)) {
      ids.push(range.owner.id);
    }
    for (const id of ids.sort((a, b) => a - b)) this.removeItem(id);
  }

  protected override release(): void {
    if (this.ioasAccess === undefined) return;
    this.unmap(0n, U64_MAX);
    this.ioasAccess.release();
  }
}

/** The access behind a descriptor. Throws EBADFD. (Linux: iommufd_access_get.) */
function accessOf(
  process: Task,
  fd: number,
): { file: SelftestAccess; access: Access } {
  const file = process.files.get(fd);
  if (!(file instanceof SelftestAccess) || file.ioasAccess === undefined) {
    throw EBADFD.because("the descriptor is not an access");
  }
  return { file, access: file.ioasAccess };
}

/** CREATE_ACCESS. */
export function testCreateAccess(
  ucmd: CommandBuffer,
  cmd: TestCreateAccess,
): void {
  const { ctx, process } = ucmd;
  const { kernel } = ctx;
  const { id: ioasId, flags } = cmd;
  const known = MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES;
  if (kernel.revision.selftest.opsValidate && flags & ~known) {
    throw UNKNOWN_FLAG;
  }

  kernel.step("selftest.access");
  kernel.step("file.anonymous");
  const file = new SelftestAccess((flags & known) !== 0);
  using undo = new DisposableStack();
  undo.defer(() => file.put());
  const limit = process.rlimit(RLIMIT_NOFILE);
  checkFreeDescriptor(process, limit);
  const ops = {
    needsPinPages: file.pins,
    unmap: (iova: bigint, length: bigint) => file.unmap(iova, length),
  };
  const access = Access.create(ctx, ops);
  undo.defer(() => access.release());
  access.attach(ioasId);
  process.files.answerAndInstall(file, limit, (fd) => {
    cmd.outAccessFd = fd;
    ucmd.respond();
  });

  undo.move();
  file.ioasAccess = access;
}

/** Throws ENOMEM, as the selftests have it, if no descriptor can come next. */
function checkFreeDescriptor(process: Task, limit: bigint): void {
  try {
    process.files.checkFree(limit);
  } catch (error) {
    asErrno(error);
    throw NO_DESCRIPTOR;
  }
}

/** ACCESS_REPLACE_IOAS. */
export function testAccessReplaceIoas(
  { process }: CommandBuffer,
  { id, ioasId }: TestAccessReplaceIoas,
): void {
  accessOf(process, id).access.replace(ioasId);
}

/** DESTROY_ACCESS_PAGES. */
export function testDestroyAccessPages(
  { process }: CommandBuffer,
  { id, accessPagesId }: TestDestroyAccessPages,
): void {
  accessOf(process, id).file.removeItem(accessPagesId);
}

/** Throws ENOMEM for a length that no test has and the kernel could not allocate for. */
function checkLength(revision: Revision, length: bigint): void {
  if (revision.selftest.opsValidate && length > MAX_LENGTH) {
    throw ENOMEM.because("the range is longer than 16 MiB");
  }
}

/** The IOVA of a syz form. */
function convertSyz(access: Access, syz: bigint): bigint {
  // An access of the selftests goes from IOAS to IOAS, and has one at any time.
  return syzIova(access.ioas!.iopt, syz);
}

/** ACCESS_PAGES: pins a range and compares the pages with those of user memory. */
export function testAccessPages(
  ucmd: CommandBuffer,
  cmd: TestAccessPages,
): void {
  const { process } = ucmd;
  const { kernel } = ucmd.ctx;
  const { flags, length } = cmd;
  checkLength(kernel.revision, length);
  const syz = kernel.revision.selftest.hasSyzFlag ? MOCK_FLAGS_ACCESS_SYZ : 0;
  if (flags & ~(MOCK_FLAGS_ACCESS_WRITE | syz)) throw UNKNOWN_FLAG;
  const { file, access } = accessOf(process, cmd.id);
  if (kernel.revision.access.needsPinPages && !file.pins) {
    throw EOPNOTSUPP.because("the access was not created to pin pages");
  }

  const iova = flags & syz ? convertSyz(access, cmd.iova) : cmd.iova;
  const npages = allocPages(ucmd, iova, length);
  const buffer = kernel.tempBuffers.take(npages);
  try {
    const pages = buffer.subarray(0, npages);
    access.pinPages(iova, length, pages, flags & MOCK_FLAGS_ACCESS_WRITE);
    try {
      if (cmd.uptr !== 0n) {
        comparePages(ucmd, Number(cmd.uptr - iova % PAGE), pages);
      }
      kernel.step("selftest.item");
    } catch (error) {
      access.unpinPages(iova, length);
      throw error;
    }
  } finally {
    kernel.tempBuffers.give(buffer);
  }
  cmd.outAccessPagesId = file.addItem(iova, length);
  try {
    ucmd.respond();
  } catch (error) {
    file.removeItem(cmd.outAccessPagesId);
    throw error;
  }
}

/** Makes room for the pages of a range; returns how many they are. Throws ENOMEM. */
function allocPages(
  { ctx }: CommandBuffer,
  iova: bigint,
  length: bigint,
): number {
  const end = iova + length;
  const bytes = alignDown(end + PAGE - 1n, PAGE) - alignDown(iova, PAGE);
  // A range that wraps is refused later; its count of pages wraps as well.
  // Any other has room for all its pages: as posted, v3 writes past the end.
  const wraps = end - 1n > U64_MAX;
  const npages = (wraps ? BigInt.asUintN(64, bytes) : bytes) / PAGE;
  if (npages * POINTER_SIZE > MAX_ALLOCATION) throw TOO_LONG;
  ctx.kernel.allocVirtual("selftest.pages", Number(npages * POINTER_SIZE));
  return Number(npages);
}

/** Throws EBADE unless user memory has these frames, EFAULT (Linux: iommufd_test_check_pages). */
function comparePages(
  { ctx: { kernel }, process }: CommandBuffer,
  uaddr: number,
  pages: Int32Array,
): void {
  for (let i = 0; i < pages.length; i++) {
    const address = uaddr + i * PAGE_SIZE;
    checkGupRange(kernel, address, 1);
    if (process.mm.userPage(address) !== pages[i]) {
      throw EBADE.because("the memory to compare with has other pages");
    }
  }
}

/** ACCESS_RW: copies between IOVA and user memory. */
export function testAccessRw(
  { ctx, process }: CommandBuffer,
  { id, flags, length, iova, uptr }: TestAccessRw,
): void {
  const { kernel } = ctx;
  const { revision } = kernel;
  checkLength(revision, length);
  const known = MOCK_ACCESS_RW_WRITE | MOCK_ACCESS_RW_SLOW_PATH |
    MOCK_FLAGS_ACCESS_SYZ;
  if (revision.selftest.opsValidate && flags & ~known) throw UNKNOWN_FLAG;
  const { access } = accessOf(process, id);

  if (length > MAX_ALLOCATION) throw TOO_LONG;
  kernel.allocVirtual("selftest.data", Number(length));
  const data = new Uint8Array(Number(length));
  const uaddr = Number(uptr);
  const write = (flags & MOCK_ACCESS_RW_WRITE) !== 0;
  if (write) process.mm.copyFromUser(data, uaddr);
  const isSyz = revision.selftest.hasSyzFlag &&
    (flags & MOCK_FLAGS_ACCESS_SYZ) !== 0;
  access.rw(isSyz ? convertSyz(access, iova) : iova, data, flags);
  if (!write) process.mm.copyToUser(uaddr, data);
}
