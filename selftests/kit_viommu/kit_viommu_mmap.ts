// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of the fixture `kit_viommu`: memory of a virtual IOMMU's driver that is
 * mapped through the iommufd.
 *
 * @module
 */

import {
  EACCES,
  EBUSY,
  EFAULT,
  EINVAL,
  ENXIO,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  MAP_PRIVATE,
  MAP_SHARED,
  O_RDONLY,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
} from "../harness/harness.ts";
import type { Iommufd } from "../ioctls/ioctls.ts";
import {
  mmapRegion,
  viommuAllocWithData,
  type ViommuWithData,
} from "../ioctls/viommu_ioctls.ts";
import type { ViommuFixture, ViommuSelf } from "./kit_viommu.ts";

/** What the virtual IOMMU's user writes into its memory. */
const WORD = 0x1234abcd;

/** A second virtual IOMMU, which has memory to map. */
interface MmapState extends ViommuSelf, ViommuWithData {
  /** Bytes of the memory. */
  readonly length: number;
  /** Where it is mapped from. */
  readonly offset: number;
}

async function withMemory(self: ViommuSelf): Promise<MmapState> {
  const { io, device, parent } = self;
  const made = await viommuAllocWithData(io, device.idevId, parent, WORD);
  const length = Number(made.outMmapLength);
  const offset = Number(made.outMmapOffset);
  return { ...self, ...made, length, offset };
}

/** Maps all of the memory; returns its address. */
function mapAll({ io, length, offset }: MmapState): Promise<number> {
  return mmapRegion(io, length, offset);
}

/** The bytes of a word. */
function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

/** Adds the tests. */
export function registerViommuMmap(f: ViommuFixture): void {
  registerErrors(f);
  registerContents(f);
  registerLives(f);
}

function registerErrors(f: ViommuFixture): void {
  f.table("mmap_errno", {
    description: "Memory is mapped as a whole, shared, and not to be executed",
    rules: ["V4.1"],
    prepare: withMemory,
    finish: ({ io, viommuId }) => io.destroy(viommuId),
  }, (t) => {
    const RW = PROT_READ | PROT_WRITE;
    interface Row {
      readonly at?: number;
      readonly pages?: number;
      readonly prot?: number;
      readonly flags?: number;
    }
    const rows: [string, Errno, Row][] = [
      ["private", EINVAL, { flags: MAP_PRIVATE }],
      ["private, nothing there", EINVAL, { flags: MAP_PRIVATE, at: 9 }],
      ["to be executed", EPERM, { prot: PROT_READ | PROT_EXEC }],
      ["to be executed, nothing there", EPERM, { prot: PROT_EXEC, at: 9 }],
      ["offset 0", ENXIO, { at: -1 }],
      ["a page before", ENXIO, { at: -1, pages: 3 }],
      ["the second page", ENXIO, { at: 1, pages: 1 }],
      ["from the second page on", ENXIO, { at: 1 }],
      ["the page behind", ENXIO, { at: 2 }],
      ["the first page", ENXIO, { pages: 1 }],
      ["a page more", ENXIO, { pages: 3 }],
    ];
    for (const [what, errno, row] of rows) {
      const { at = 0, pages = 2, prot = RW, flags = MAP_SHARED } = row;
      t.case(what, async ({ io, offset }) => {
        const { pageSize } = io.context;
        const ret = await io.process.mmap(
          0,
          pages * pageSize,
          prot,
          flags,
          io.fd,
          offset + at * pageSize,
        );
        assertErrno(ret, errno, "mmap");
      });
    }
    const access: [string, number, number, Errno | undefined][] = [
      ["a byte less", RW, -1, undefined],
      ["to be read only", PROT_READ, 0, undefined],
      ["without access", 0, 0, undefined],
    ];
    for (const [what, prot, more] of access) {
      t.case(what, async (state) => {
        const { io, length, offset } = state;
        const ret = await io.process.mmap(
          0,
          length + more,
          prot,
          MAP_SHARED,
          io.fd,
          offset,
        );
        await io.munmap(assertOk(ret, "mmap"), length);
      });
    }
  });

  f.test("mmap_other_iommufd", {
    description: "Memory is mapped through the iommufd that it belongs to",
    rules: ["V4.1"],
  }, async (self) => {
    const state = await withMemory(self);
    const { io, length, offset } = state;
    const other = await io.reopen();
    await mmapRegion(other, length, offset, ENXIO);
    assertEq(await io.process.close(other.fd), 0, "close the other iommufd");
    await io.destroy(state.viommuId);
    await mmapRegion(io, length, offset, ENXIO);
  });

  f.test("mmap_read_only_iommufd", {
    description:
      "An iommufd that was opened for reading gives no memory to write, and no other, which would not count as shared",
    rules: ["V4.1"],
  }, async ({ io }) => {
    const fd = await io.process.open("/dev/iommu", O_RDONLY);
    const other = io.at(assertOk(fd, "open for reading"));
    const { pageSize } = io.context;
    await mmapRegion(other, pageSize, pageSize, EACCES);
    const ret = await io.process.mmap(
      0,
      pageSize,
      PROT_READ,
      MAP_SHARED,
      other.fd,
      pageSize,
    );
    assertErrno(ret, EINVAL, "mmap to read");
    assertEq(await io.process.close(other.fd), 0, "close it");
  });
}

function registerContents(f: ViommuFixture): void {
  f.test("mmap_contents", {
    description:
      "All who map the memory share it; it begins with the word of its user and is zero elsewhere",
    rules: ["V4.2"],
  }, async (self) => {
    const state = await withMemory(self);
    const { io, length } = state;
    const first = await mapAll(state);
    const second = await mapAll(state);
    const expected = new Uint8Array(length);
    expected.set(word(WORD));
    assertBytes(await io.process.peek(first, length), expected, "the memory");
    expected.set(word(99), length - 4);
    await io.process.poke(first + length - 4, word(99));
    assertBytes(await io.process.peek(second, length), expected, "it, written");
    await io.munmap(first, length);
    assertBytes(await io.process.peek(second, length), expected, "it, kept");
    await io.munmap(second, length);
    await io.destroy(state.viommuId);
  });

  f.test("mmap_offsets", {
    description:
      "Offsets begin with the second page, one piece of memory behind the other; what is free is used again",
    rules: ["V4.3"],
  }, async (self) => {
    const { io } = self;
    const all = [];
    for (let i = 0; i < 3; i++) all.push(await withMemory(self));
    const offsets = all.map(({ offset }) => offset / io.context.pageSize);
    assertEq(offsets.join(), "1,3,5", "offsets in pages");
    await io.destroy(all[1]!.viommuId);
    const again = await withMemory(self);
    assertEq(again.offset, all[1]!.offset, "offset that was free");
    const address = await mapAll(again);
    await io.munmap(address, again.length);
  });

  f.test("mmap_mprotect", {
    description: "What was mapped can be made executable afterwards",
    rules: ["V4.1"],
  }, async (self) => {
    const state = await withMemory(self);
    const { io, length } = state;
    const address = await mapAll(state);
    const prot = PROT_READ | PROT_EXEC;
    const ret = await io.process.mprotect(address, length, prot);
    assertEq(ret, 0, "mprotect");
    await io.munmap(address, length);
  });

  f.test("mmap_cannot_be_mapped", {
    description: "Memory of a driver cannot be pinned for DMA: EFAULT",
    rules: ["V4.4"],
  }, async (self) => {
    const state = await withMemory(self);
    const { io, ioasId, length } = state;
    const address = await mapAll(state);
    await io.map(ioasId, address, io.page, EFAULT);
    await io.munmap(address, length);
  });

  f.test("mmap_holds_structs", {
    description: "The struct of an ioctl may lie in it",
    rules: ["V4.4"],
  }, async (self) => {
    const state = await withMemory(self);
    const { io, length, device, parent } = state;
    const address = await mapAll(state);
    const next = await io.nextId();
    const there: Iommufd = Object.create(io, { scratch: { value: address } });
    const made = await viommuAllocWithData(there, device.idevId, parent, 5);
    assertEq(made.viommuId, next, "id");
    assertEq(made.outData, 5, "the driver's answer");
    await io.munmap(address, length);
  });
}

function registerLives(f: ViommuFixture): void {
  f.test("mmap_holds_viommu", {
    description:
      "A virtual IOMMU stays while a part of its memory is mapped anywhere",
    rules: ["V4.2"],
  }, async (self) => {
    const state = await withMemory(self);
    const { io, viommuId, length } = state;
    const { pageSize } = io.context;
    const first = await mapAll(state);
    const second = await mapAll(state);
    await io.destroy(viommuId, EBUSY);
    await io.munmap(first, pageSize);
    await io.munmap(second, length);
    await io.destroy(viommuId, EBUSY);
    await io.munmap(first + pageSize, pageSize);
    await io.destroy(viommuId);
  });

  f.test("mmap_fork", {
    description: "A child has what its parent mapped, and holds it as well",
    rules: ["V4.2"],
    needs: () => ["fork"],
  }, async (self) => {
    const state = await withMemory(self);
    const { io, viommuId, length } = state;
    const address = await mapAll(state);
    const child = await io.process.fork();
    await io.munmap(address, length);
    await io.destroy(viommuId, EBUSY);
    assertBytes(await child.peek(address, 4), word(WORD), "the child's memory");
    assertEq(await child.munmap(address, length), 0, "munmap of the child");
    await io.destroy(viommuId);
    await child.exit();
  });

  f.test("mmap_child_exits", {
    description: "What a child had mapped is given back when it exits",
    rules: ["V4.2"],
    needs: () => ["fork"],
  }, async (self) => {
    const state = await withMemory(self);
    const { io, viommuId, length } = state;
    const address = await mapAll(state);
    const child = await io.process.fork();
    await io.munmap(address, length);
    await io.destroy(viommuId, EBUSY);
    await child.exit();
    await io.destroy(viommuId);
  });

  f.test("mmap_keeps_context", {
    description: "The memory is there when the iommufd is closed",
    rules: ["V4.2"],
  }, async (self) => {
    const state = await withMemory(self);
    const { io, length } = state;
    const address = await mapAll(state);
    assertEq(await io.process.close(io.fd), 0, "close the iommufd");
    await io.process.poke(address, word(7));
    assertBytes(await io.process.peek(address, 4), word(7), "the memory");
    await io.munmap(address, length);
    // The teardown closes it.
    assertEq((await io.reopen()).fd, io.fd, "descriptor of the iommufd");
  });
}
