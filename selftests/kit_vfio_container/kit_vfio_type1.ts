// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_type1`: what VFIO's own container alone has: version 1's
 * cuts, mappings that are counted, memory without an address, dirty pages,
 * BARs.
 *
 * @module
 */

import {
  EACCES,
  EBUSY,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  EOVERFLOW,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  CAP_IPC_LOCK,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_MEMLOCK,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  type Fixture,
  type Table,
  type Test,
} from "../harness/harness.ts";
import { assertResult } from "../ioctls/ioctls.ts";
import {
  CONTAINER,
  type Container,
  containerFixture,
  CONTAINERS,
  type ContainerSelf,
  type ContainerVariant,
  DmaUnmap,
  IOVA,
  MAP,
  TYPE1,
  TYPE1_V2,
  UNMAP,
} from "./container_ioctls.ts";

/** A version of the type. */
interface Variant extends ContainerVariant {
  readonly type: number;
}

const VARIANTS: Readonly<Record<string, Variant>> = {
  v1: { ...CONTAINERS.type1, type: TYPE1 },
  v2: { ...CONTAINERS.type1, type: TYPE1_V2 },
};

/** Mappings that a container can have. */
const MAPPINGS = 65535;
/** Where the capability that counts them has its number, in the answer of GET_INFO. */
const AVAILABLE = 64;
/** What tests map. */
const WHOLE = { iova: IOVA, length: 0x4000n };
/** Flags of DIRTY_PAGES. */
const DIRTY = { START: 1, STOP: 2, GET: 4 } as const;

type Type1Fixture = Fixture<Variant, ContainerSelf>;

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioType1(registry: Test[]): void {
  const f: Type1Fixture = containerFixture(
    registry,
    "kit_vfio_type1",
    VARIANTS,
    (container, { type }) => container.use(type),
  );
  registerUnmaps(f);
  registerMemory(f);
  registerDirtyAgain(f);

  f.table("dirty", {
    description: "Version 2 counts each page that is mapped as written",
    rules: ["X7.5"],
  }, (t, variant, { vfio }) => {
    dirtyPages(t, variant, vfio.type1SaysOverflow ? EOVERFLOW : EINVAL);
  });
}

/** A bug of Linux. */
function registerDirtyAgain(f: Type1Fixture): void {
  f.test("dirty_again", {
    description: "A report of dirty pages tells what is mapped, each time",
    rules: ["X7.5"],
    knownBug: () => "tells_dirty_of_unmapped",
  }, async ({ container }, { type }) => {
    if (type === TYPE1) return;
    await container.map({ iova: 0x3000n, length: 0x2000n });
    assertEq(await dirty(container, DIRTY.START), 0, "START");
    for (const which of ["first", "second"]) {
      await bitmapIs(container, [0], [0x18], async () => {
        assertEq(await dirty(container, DIRTY.GET), 0, `${which} GET_BITMAP`);
      });
    }
    assertEq(await dirty(container, DIRTY.STOP), 0, "STOP");
    await container.unmap({ flags: UNMAP.ALL });
  });
}

function registerUnmaps(f: Type1Fixture): void {
  f.test("cut", {
    description:
      "Version 1 unmaps all of a mapping whose beginning is in the range, version 2 cuts none",
    rules: ["X7.4"],
  }, async ({ container }, { type }) => {
    await container.map();
    const [middle, start] = [IOVA + 4096n, IOVA];
    const length = 4096n;
    if (type === TYPE1_V2) {
      await container.unmap({ iova: middle, length }, EINVAL);
      await container.unmap({ iova: start, length }, EINVAL);
      const before = { iova: IOVA - 4096n, length: 8192n };
      await container.unmap(before, EINVAL);
      return;
    }
    assertEq(await container.unmap({ iova: middle, length }), 0n, "the middle");
    assertEq(await container.unmap({ iova: start, length }), 0x4000n, "all");
  });

  f.test("available", {
    description: "GET_INFO tells how many more mappings there may be",
    rules: ["X7.4"],
  }, async ({ container }) => {
    async function available(): Promise<number> {
      const bytes = await container.info(200);
      return new DataView(bytes.buffer).getUint32(AVAILABLE, true);
    }
    assertEq(await available(), MAPPINGS, "at first");
    await container.map();
    await container.map({ iova: 0x200000n });
    assertEq(await available(), MAPPINGS - 2, "with two");
    await container.unmap(WHOLE);
    assertEq(await available(), MAPPINGS - 1, "with one");
  });

  f.test("no_rights", {
    description: "What a device may neither read nor write is not mapped",
    rules: ["X7.4"],
  }, ({ container }) => container.map({ flags: 0 }, EINVAL));
}

function registerMemory(f: Type1Fixture): void {
  f.test("charged", {
    description: "Memory is charged when it is mapped, up to the limit",
    rules: ["X7.4"],
    needs: () => ["setrlimit", "setuid"],
  }, async ({ container }) => {
    const { process } = container;
    const before = await container.charged();
    assertEq(await process.dropCapability(CAP_IPC_LOCK), 0, "no CAP_IPC_LOCK");
    const limit = BigInt(before + 4) * 4096n;
    assertEq(await process.setrlimit(RLIMIT_MEMLOCK, limit), 0, "setrlimit");
    await container.map({ length: 0x5000n }, ENOMEM);
    assertEq(await container.charged(), before, "nothing is charged");
    await container.map();
    assertEq(await container.charged(), before + 4, "four pages are charged");
    await container.map({ iova: 0x200000n, length: 4096n }, ENOMEM);
    await container.unmap(WHOLE);
    assertEq(await container.charged(), before, "nothing is charged again");
  });

  f.test("address_lost", {
    description: "Memory that is mapped can lose its address and get another",
    rules: ["X7.5"],
  }, async ({ container }) => {
    const vaddr = BigInt(container.memory + 0x10000);
    const flags = MAP.VADDR;
    await container.map();
    await container.map({ flags, vaddr }, EINVAL);
    const lose = { flags: UNMAP.VADDR, ...WHOLE };
    assertEq(await container.unmap(lose), 0x4000n, "bytes without address");
    await container.unmap(lose, EINVAL);
    await container.map({ flags: flags | MAP.READ, vaddr }, EINVAL);
    await container.map({ flags, vaddr, iova: 0x800000n }, ENOENT);
    await container.map({ flags, vaddr, length: 4096n }, EINVAL);
    await container.map({ flags, vaddr });
    assertEq(await container.unmap(WHOLE), 0x4000n, "bytes");
  });

  f.test("address_lost_twice", {
    description: "Where one has lost its address already, none of a range does",
    rules: ["X7.5"],
  }, async ({ container }) => {
    const vaddr = BigInt(container.memory + 0x10000);
    const second = { iova: IOVA + 0x8000n, length: 0x4000n };
    await container.map();
    await container.map(second);
    await container.unmap({ flags: UNMAP.VADDR, ...second });
    const all = { flags: UNMAP.VADDR | UNMAP.ALL };
    await container.unmap(all, EINVAL);
    const first = { flags: MAP.VADDR, vaddr };
    await container.map(first, EINVAL);
    await container.map({ ...first, ...second });
    assertEq(await container.unmap(all), 0x8000n, "bytes without address");
    await container.unmap({ flags: UNMAP.ALL });
  });

  f.test("address_of_another", {
    description: "Who gives memory another address is charged for it",
    rules: ["X7.5"],
    needs: () => ["fork", "setrlimit", "setuid"],
  }, async ({ container }) => {
    const before = await container.charged();
    await container.map();
    await container.unmap({ flags: UNMAP.VADDR, ...WHOLE });
    const child = container.of(await container.process.fork());
    const theirs = await child.charged();
    const vaddr = BigInt(child.memory);
    const setLimit = (pages: number) =>
      child.process.setrlimit(RLIMIT_MEMLOCK, BigInt(pages) * 4096n);
    await child.process.dropCapability(CAP_IPC_LOCK);
    assertEq(await setLimit(theirs + 3), 0, "setrlimit");
    await child.map({ flags: MAP.VADDR, vaddr }, ENOMEM);
    assertEq(await container.charged(), before + 4, "the parent's charge");
    assertEq(await setLimit(theirs + 4), 0, "setrlimit");
    await child.map({ flags: MAP.VADDR, vaddr });
    assertEq(await container.charged(), before, "the parent's charge");
    assertEq(await child.charged(), theirs + 4, "the child's charge");
    await container.unmap(WHOLE);
    assertEq(await child.charged(), theirs, "the child's charge");
    await child.process.exit();
  });

  f.test("bar", {
    description: "A BAR can be mapped as its own mapping allows, uncharged",
    rules: ["X7.5"],
  }, async ({ container }) => {
    const { process, group } = container;
    const device = await group.device();
    const prot = PROT_READ | PROT_WRITE;
    const { fd } = device;
    const bar = await process.mmap(0, 8192, prot, MAP_SHARED, fd);
    const vaddr = BigInt(assertOk(bar, "mmap of BAR 0"));
    const before = await container.charged();
    await container.map({ vaddr, length: 8192n });
    assertEq(await container.charged(), before, "charged");
    await container.map({ vaddr, length: 4096n, iova: 0x200000n });
    await container.unmap({ flags: UNMAP.ALL });
    assertEq(await process.mprotect(bar, 8192, PROT_READ), 0, "mprotect");
    await container.map({ vaddr, length: 4096n }, EFAULT);
    await container.map({ vaddr, length: 4096n, flags: MAP.READ });
    assertEq(await process.munmap(bar, 8192), 0, "munmap");
    await device.close();
  });

  f.test("group_is_held", {
    description: "Open devices keep their group, also when it was closed",
    rules: ["X7.3"],
  }, async ({ container }) => {
    const { process, group } = container;
    const devices = [await group.device(), await group.device()];
    assertErrno(await group.unsetContainer(), EBUSY, "UNSET_CONTAINER");
    assertEq(await process.close(group.fd), 0, "close the group");
    for (const device of devices) {
      await device.config(0, 4);
      assertErrno(await process.open(group.path), EBUSY, "open the group");
      await device.close();
    }
    assertEq(await process.open(group.path), group.fd, "open the group");
  });
}

/** DIRTY_PAGES: with GET a range and a bitmap of pages. */
async function dirty(
  { process, fd, scratch }: Container,
  flags: number,
  range: Partial<
    Record<"iova" | "length" | "page" | "bytes" | "at", bigint>
  > = {},
  argsz = flags === DIRTY.GET ? 48 : 8,
): Promise<number> {
  const { iova = 0n, length = 0x10000n, page = 4096n, bytes = 8n } = range;
  const all = new Uint8Array(48);
  const view = new DataView(all.buffer);
  view.setUint32(0, argsz, true);
  view.setUint32(4, flags, true);
  const { at = BigInt(scratch + 0x800) } = range;
  for (const [i, word] of [iova, length, page, bytes, at].entries()) {
    view.setBigUint64(8 + 8 * i, word, true);
  }
  await process.poke(scratch, all);
  return await process.ioctlArg(fd, CONTAINER.DIRTY_PAGES, scratch);
}

function dirtyPages(
  t: Table<ContainerSelf>,
  { type }: Variant,
  overflow: Errno,
): void {
  function refused(
    what: string,
    errno: Errno,
    ...args: [number, Parameters<typeof dirty>[2]?, number?]
  ): void {
    t.case(what, async ({ container }) => {
      assertErrno(await dirty(container, ...args), errno, "DIRTY_PAGES");
    });
  }
  if (type === TYPE1) return refused("nothing", EACCES, DIRTY.START);
  refused("a short struct", EINVAL, DIRTY.START, {}, 7);
  refused("an unknown flag", EINVAL, 8);
  refused("two flags", EINVAL, DIRTY.START | DIRTY.STOP);
  refused("before the start", EINVAL, DIRTY.GET);
  for (const argsz of [8, 40]) {
    refused(`no range, argsz ${argsz}`, EINVAL, DIRTY.GET, {}, argsz);
  }
  t.case("no memory", async ({ container }) => {
    await container.arg(CONTAINER.DIRTY_PAGES, 0, EFAULT);
  });
  t.case("beyond the end", async ({ container }) => {
    const range = { iova: 2n ** 64n - 4096n, length: 8192n };
    const ret = await dirty(container, DIRTY.GET, range);
    assertErrno(ret, overflow, "DIRTY_PAGES");
  });
  t.case("while it is on", async ({ container }) => {
    await container.map({ iova: 0x3000n, length: 0x2000n });
    for (const again of ["START", "START again"]) {
      assertEq(await dirty(container, DIRTY.START), 0, again);
    }
    const wrong: [string, Parameters<typeof dirty>[2]][] = [
      ["no length", { length: 0n }],
      ["a part of a page", { iova: 1n, length: 4096n }],
      ["other pages", { page: 8192n }],
      ["no bitmap", { bytes: 0n }],
      ["a bitmap that is too short", { length: 0x100000n }],
      ["a range that cuts a mapping", { length: 0x4000n }],
    ];
    for (const [what, range] of wrong) {
      assertErrno(await dirty(container, DIRTY.GET, range), EINVAL, what);
    }
    const short = await dirty(container, DIRTY.GET, {}, 40);
    assertErrno(short, EINVAL, "a short struct");
    await bitmapIs(container, [0x81, 1], [3, 0], async () => {
      const range = { iova: 0x3000n, length: 0x2000n };
      assertEq(await dirty(container, DIRTY.GET, range), 0, "the mapping");
    });
    await bitmapIs(container, [0x81, 1], [0x99, 1], async () => {
      assertEq(await dirty(container, DIRTY.GET), 0, "GET_BITMAP");
    });
    const unwritten = await dirty(container, DIRTY.GET, { at: 4096n });
    assertErrno(unwritten, EFAULT, "a bitmap without memory");
    assertEq(await dirty(container, DIRTY.STOP), 0, "STOP");
    assertErrno(await dirty(container, DIRTY.GET), EINVAL, "after the end");
    await container.unmap({ flags: UNMAP.ALL });
  });
  t.case("at an unmap", async ({ container }) => {
    await container.map({ iova: 0x3000n, length: 0x2000n });
    assertEq(await dirty(container, DIRTY.START), 0, "START");
    for (const other of [UNMAP.ALL, UNMAP.VADDR]) {
      const both = UNMAP.DIRTY_BITMAP | other;
      assertErrno(await unmapDirty(container, both), EINVAL, "two flags");
    }
    await bitmapIs(container, [0], [0x18], async () => {
      assertEq(await unmapDirty(container), 0, "UNMAP_DMA");
    });
    assertEq(await dirty(container, DIRTY.STOP), 0, "STOP");
    assertResult(await unmapDirty(container), EINVAL, "after the end");
  });
  t.case("at an unmap, part of the bitmap cannot be written", async (self) => {
    const { container } = self;
    const { process, scratch } = container;
    await container.map({ iova: 0x3000n, length: 0x2000n });
    await container.map({ iova: 0x40000n, length: 0x3000n });
    assertEq(await dirty(container, DIRTY.START), 0, "START");
    const values = { bytes: 16n, length: 0x80000n, at: BigInt(scratch - 8) };
    const ret = await unmapDirty(container, UNMAP.DIRTY_BITMAP, values, true);
    assertErrno(ret, EFAULT, "the second word");
    const [byte] = await process.peek(scratch - 8, 1);
    assertEq(byte! & 0xf8, 0x18, "what was told");
    assertEq(await dirty(container, DIRTY.STOP), 0, "STOP");
    const left = await container.unmap({ flags: UNMAP.ALL });
    assertEq(left, 0x3000n, "what was told is unmapped");
  });
  t.case("at an unmap, refused", async ({ container }) => {
    await container.map({ iova: 0x3000n, length: 0x2000n });
    assertEq(await dirty(container, DIRTY.START), 0, "START");
    const wrong: [string, Errno, Parameters<typeof unmapDirty>[2]][] = [
      ["a short struct", EINVAL, { argsz: 47 }],
      ["other pages", EINVAL, { page: 8192n }],
      ["no bitmap", EINVAL, { bytes: 0n }],
      ["a bitmap without memory", EFAULT, { at: 4096n }],
    ];
    for (const [what, errno, values] of wrong) {
      const ret = await unmapDirty(container, UNMAP.DIRTY_BITMAP, values);
      assertErrno(ret, errno, what);
    }
    assertEq(await dirty(container, DIRTY.STOP), 0, "STOP");
    const left = await container.unmap({ flags: UNMAP.ALL });
    assertEq(left, 0x2000n, "nothing was unmapped");
  });
}

/** UNMAP_DMA of 16 pages, with a bitmap; the struct and what is behind it may be in memory that can be read only. */
async function unmapDirty(
  { process, fd, scratch }: Container,
  flags: number = UNMAP.DIRTY_BITMAP,
  values: {
    argsz?: number;
    length?: bigint;
    page?: bigint;
    bytes?: bigint;
    at?: bigint;
  } = {},
  readOnly = false,
): Promise<number> {
  const { argsz = 48, length = 0x10000n, page = 4096n, bytes = 8n } = values;
  const { at = BigInt(scratch + 0x800) } = values;
  const all = new Uint8Array(48);
  all.set(DmaUnmap.encode({ argsz, flags, length }));
  const view = new DataView(all.buffer);
  for (const [i, word] of [page, bytes, at].entries()) {
    view.setBigUint64(24 + 8 * i, word, true);
  }
  await process.poke(scratch, all);
  const prot = PROT_READ | (readOnly ? 0 : PROT_WRITE);
  assertEq(await process.mprotect(scratch, 4096, prot), 0, "mprotect");
  const ret = await process.ioctlArg(fd, CONTAINER.UNMAP_DMA, scratch);
  const rw = PROT_READ | PROT_WRITE;
  assertEq(await process.mprotect(scratch, 4096, rw), 0, "mprotect");
  return ret;
}

/** What `body` makes of the beginning of a bitmap. */
async function bitmapIs(
  { process, scratch }: Container,
  before: readonly number[],
  after: readonly number[],
  body: () => Promise<void>,
): Promise<void> {
  await process.poke(scratch + 0x800, Uint8Array.from(before));
  await body();
  const bytes = await process.peek(scratch + 0x800, after.length);
  assertBytes(bytes, Uint8Array.from(after), "the bitmap");
}
