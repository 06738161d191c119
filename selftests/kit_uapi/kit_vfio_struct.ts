// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_struct`: what the VFIO container's ioctls make of their
 * structs. VFIO's rule is another one than iommufd's: what lies behind the
 * known part is never looked at.
 *
 * @module
 */

import { EFAULT, EINVAL } from "../../impl/uapi/errno.ts";
import { IOMMU_VFIO_IOAS_SET } from "../../impl/uapi/iommufd.ts";
import { MAP_PRIVATE, PROT_READ } from "../../impl/uapi/mman.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import {
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_INFO_PGSIZES,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
  VfioIommuType1Info,
} from "../../impl/uapi/vfio.ts";
import {
  assertBytes,
  assertEq,
  assertTrue,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { DMA_RW, mapDma, unmapDma, vfioIoas } from "../ioctls/vfio_ioctls.ts";

/** A VFIO ioctl and its struct. */
interface VfioRow {
  readonly cmd: number;
  readonly layout: Pick<Struct<object>, "name">;
  /** Bytes that are always read. */
  readonly min: number;
  /** Known flags; undefined where flags are an answer only. */
  readonly flags: number | undefined;
  /** True if it writes its struct back. */
  readonly replies: boolean;
  /** A struct for a call that succeeds, of `min` bytes. */
  prepare(io: Iommufd): Promise<Uint8Array<ArrayBuffer>>;
  /** Checks the answer, and undoes the call. */
  done(io: Iommufd, answer: Uint8Array): Promise<void>;
}

type VfioFixture = Fixture<VfioRow, Iommufd>;

const IOVA = 1n << 24n;
/** Offset of `flags` in every struct. */
const FLAGS = 4;

/** What each call maps or unmaps. */
function page(io: Iommufd): { iova: bigint; length: bigint } {
  return { iova: IOVA, length: io.page };
}

const VARIANTS: Readonly<Record<string, VfioRow>> = {
  get_info: {
    cmd: VFIO_IOMMU_GET_INFO,
    layout: VfioIommuType1Info,
    min: VfioIommuType1Info.offsetofend("iovaPgsizes"),
    flags: undefined,
    replies: true,
    prepare: () =>
      Promise.resolve(
        VfioIommuType1Info.encode({ argsz: 16 }).slice(0, 16),
      ),
    done(_io, answer) {
      const bytes = new Uint8Array(VfioIommuType1Info.size);
      bytes.set(answer.subarray(0, 16));
      const { flags, iovaPgsizes } = VfioIommuType1Info.at(bytes);
      assertTrue((flags & VFIO_IOMMU_INFO_PGSIZES) !== 0, "flag PGSIZES");
      assertTrue(iovaPgsizes !== 0n, "page sizes");
      return Promise.resolve();
    },
  },
  map_dma: {
    cmd: VFIO_IOMMU_MAP_DMA,
    layout: VfioIommuType1DmaMap,
    min: VfioIommuType1DmaMap.size,
    flags: DMA_RW,
    replies: false,
    prepare: (io) =>
      Promise.resolve(VfioIommuType1DmaMap.encode({
        flags: DMA_RW,
        vaddr: BigInt(io.buffer),
        ...page(io),
      })),
    async done(io) {
      assertEq(await unmapDma(io, page(io)), io.page, "bytes mapped");
    },
  },
  unmap_dma: {
    cmd: VFIO_IOMMU_UNMAP_DMA,
    layout: VfioIommuType1DmaUnmap,
    min: VfioIommuType1DmaUnmap.size,
    flags: VFIO_DMA_UNMAP_FLAG_ALL,
    replies: true,
    async prepare(io) {
      await mapDma(io, { vaddr: BigInt(io.buffer), ...page(io) });
      return VfioIommuType1DmaUnmap.encode(page(io));
    },
    done(io, answer) {
      const { length } = VfioIommuType1DmaUnmap.decode(answer);
      assertEq(length, io.page, "bytes unmapped");
      return Promise.resolve();
    },
  },
};

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioStruct(registry: Test[]): void {
  const f: VfioFixture = fixture(registry, "kit_vfio_struct", {
    variants: VARIANTS,
    upstream: false,
    async setup(context) {
      const io = await Iommufd.open(context);
      await vfioIoas(io, IOMMU_VFIO_IOAS_SET, await io.ioasAlloc());
      return io;
    },
    teardown: (io) => io.teardown(),
  });
  registerSizes(f);
  registerAddresses(f);
}

/** Makes a call that must succeed, and checks its answer. */
async function succeed(
  io: Iommufd,
  row: VfioRow,
  bytes: Uint8Array,
): Promise<void> {
  const what = `${row.layout.name} of ${bytes.length} bytes`;
  await io.ioctl(row.cmd, bytes, undefined, what);
  await row.done(io, bytes.slice(0, row.min));
}

/** Sets the number of bytes that a struct says it has, or its flags. */
function setU32(bytes: Uint8Array, offset: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(offset, value, true);
}

/** Sizes and flags. */
function registerSizes(f: VfioFixture): void {
  f.table("argsz", {
    description:
      "A struct that says it is too short is refused; what lies behind the known part is not looked at",
    rules: ["C3.13", "P14.8", "P14.9", "P14.11"],
  }, (t, row) => {
    for (const argsz of [0, 1, row.min - 8, row.min - 1]) {
      t.case(`argsz ${argsz}`, async (io) => {
        const bytes = await row.prepare(io);
        setU32(bytes, 0, argsz);
        await io.ioctl(row.cmd, bytes, EINVAL, `argsz ${argsz}`);
        setU32(bytes, 0, row.min);
        await succeed(io, row, bytes);
      });
    }
    for (const extra of [0, 1, 4]) {
      t.case(`${extra} bytes more`, async (io) => {
        const bytes = new Uint8Array(row.min + extra).fill(0xff);
        bytes.set(await row.prepare(io));
        setU32(bytes, 0, bytes.length);
        await succeed(io, row, bytes);
      });
    }
  });

  f.table("argsz_beyond", {
    description: "Nothing behind the known part is read or written",
    rules: ["C3.13"],
  }, (t, row) => {
    const info = row.cmd === VFIO_IOMMU_GET_INFO;
    const known = info ? VfioIommuType1Info.size : row.min;
    // GET_INFO does not get to capabilities.
    t.case("no memory behind the struct", async (io) => {
      const bytes = new Uint8Array(known);
      bytes.set(await row.prepare(io));
      setU32(bytes, 0, known + 8);
      await succeed(io, row, bytes);
    });
    t.case("junk behind the struct", async (io) => {
      const junk = new Uint8Array(known + 8).fill(0xa5);
      junk.set(await row.prepare(io));
      setU32(junk, 0, known + 8);
      await succeed(io, row, junk);
      const rest = new Uint8Array(8).fill(0xa5);
      assertBytes(junk.subarray(known), rest, "bytes behind");
    });
  });

  f.table("unknown_flags", {
    description: "Unknown flags are refused: EINVAL here, not EOPNOTSUPP",
    rules: ["C3.13", "P14.8", "P14.9"],
    prepare: async (io, row) => ({ io, right: await row.prepare(io) }),
    async finish({ io, right }, row) {
      // GET_INFO's flags are an answer.
      if (row.flags === undefined) setU32(right, FLAGS, 0xffffffff);
      await succeed(io, row, right);
    },
  }, (t, row) => {
    for (let bit = 0; bit < 32; bit++) {
      if ((row.flags ?? 0xffffffff) & (1 << bit)) continue;
      t.case(`flag ${bit}`, async ({ io, right }) => {
        const bytes = right.slice();
        setU32(bytes, FLAGS, (1 << bit) >>> 0);
        await io.ioctl(row.cmd, bytes, EINVAL, `flag ${bit}`);
      });
    }
    t.case("known flags", () => Promise.resolve());
  });
}

/** Where a struct is. */
function registerAddresses(f: VfioFixture): void {
  f.table("bad_address", {
    description: "A struct that is nowhere, or only in part, is refused",
    rules: ["P14.8"],
    prepare: async (io, row) => ({ io, right: await row.prepare(io) }),
    finish: ({ io, right }, row) => succeed(io, row, right),
  }, (t, row) => {
    const nowhere: [string, number | bigint][] = [
      ["0", 0],
      ["1", 1],
      ["the last bytes below the kernel", 2n ** 47n - 8n],
      ["the end of user memory", 2n ** 47n],
      ["the last bytes", 2n ** 64n - 8n],
    ];
    for (const [what, address] of nowhere) {
      t.case(what, ({ io }) => io.ioctlArg(row.cmd, address, EFAULT, what));
    }
    for (const cut of [1, 8, row.min - 4, row.min - 1]) {
      const what = `without ${cut} of ${row.min} bytes`;
      t.case(what, async ({ io, right }) => {
        const part = right.slice(0, row.min - cut);
        await io.ioctl(row.cmd, part, EFAULT, what);
      });
    }
  });

  f.test("page_boundary", {
    description: "A struct may lie at any address, also across two pages",
    rules: ["P14.16"],
  }, async (io, row) => {
    const { pageSize } = io.context;
    const pages = await io.mmap(2 * pageSize, MAP_PRIVATE);
    for (let before = 0; before <= row.min; before++) {
      const address = pages + pageSize - before;
      await io.process.poke(address, await row.prepare(io));
      const what = `${before} bytes before a page's end`;
      await io.ioctlArg(row.cmd, address, undefined, what);
      await row.done(io, await io.process.peek(address, row.min));
    }
    await io.munmap(pages, 2 * pageSize);
  });

  f.test("read_only", {
    description:
      "A struct in memory that cannot be written is refused only if there is an answer",
    rules: ["P14.9", "P14.11"],
  }, async (io, row) => {
    const { pageSize } = io.context;
    const memory = await io.mmap(pageSize, MAP_PRIVATE);
    await io.process.poke(memory, await row.prepare(io));
    const ret = await io.process.mprotect(memory, pageSize, PROT_READ);
    assertEq(ret, 0, "mprotect");
    const errno = row.replies ? EFAULT : undefined;
    await io.ioctlArg(row.cmd, memory, errno, "read-only struct");
    if (!errno) await row.done(io, new Uint8Array(row.min));
    await succeed(io, row, await row.prepare(io));
    await io.munmap(memory, pageSize);
  });
}
