// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_container`: VFIO's own container and iommufd in its place:
 * what they have in common, and each answer that differs.
 *
 * @module
 */

import {
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOTTY,
  EOVERFLOW,
  type Errno,
} from "../../impl/uapi/errno.ts";
import { PROT_READ, PROT_WRITE } from "../../impl/uapi/mman.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import {
  assertEq,
  type Fixture,
  type Table,
  type Test,
} from "../harness/harness.ts";
import { assertResult } from "../ioctls/ioctls.ts";
import type { VfioFile } from "../kit_vfio/vfio_ioctls.ts";
import { GROUP } from "../kit_vfio/group_ioctls.ts";
import {
  CONTAINER,
  type Container,
  containerFixture,
  CONTAINERS,
  type ContainerSelf,
  type ContainerVariant,
  DmaInfo,
  type DmaMap,
  DmaUnmap,
  IOVA,
  TYPE1,
  TYPE1_V2,
  UNMAP,
} from "./container_ioctls.ts";

/** What the two containers answer differently. */
interface Variant extends ContainerVariant {
  /** Without a group, or a type. */
  readonly untyped: Errno;
  /** To an unknown type. */
  readonly unknownType: Errno;
  /** To a second type; undefined if it takes it. */
  readonly again: Errno | undefined;
  /** To an unmap that cuts a mapping; the length that comes back then. */
  readonly cut: readonly [Errno, bigint];
  /** Capabilities of GET_INFO, in order, without room for them. */
  readonly capabilities: readonly number[];
  /** Extensions that there are with a type. */
  readonly extensions: readonly number[];
}

const VARIANTS: Readonly<Record<string, Variant>> = {
  type1: {
    ...CONTAINERS.type1,
    untyped: EINVAL,
    unknownType: ENODEV,
    again: EINVAL,
    cut: [EINVAL, 4096n],
    capabilities: [2, 3, 1],
    extensions: [1, 3, 9, 10],
  },
  iommufd: {
    ...CONTAINERS.iommufd,
    untyped: ENODEV,
    unknownType: EINVAL,
    again: undefined,
    cut: [ENOENT, 0n],
    capabilities: [3, 1],
    extensions: [1, 3, 4, 9],
  },
};

/** Extensions that are asked for, but for no-IOMMU, which depends on how Linux was built. */
const EXTENSIONS = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11];
/** The first IOVA that is reserved for messages, and the last page of all. */
const MSI_WINDOW = 0xfee00000n;
const TOP = 2n ** 64n - 4096n;

/** The type for nested page tables. */
const NESTING = 6;

type ContainerFixture = Fixture<Variant, ContainerSelf>;

/** Whether the container is VFIO's own. */
function ofType1({ path }: Variant): boolean {
  return path === CONTAINERS.type1.path;
}

/** Extensions that there are with a type in a revision. */
function extensionsIn(variant: Variant, { vfio }: Revision): number[] {
  const nests = ofType1(variant) && vfio.type1HasNesting;
  return [...variant.extensions, ...nests ? [NESTING] : []];
}

/** What comes of a range that ends beyond 2^64. */
function beyondEnd(variant: Variant, { vfio }: Revision): Errno {
  return ofType1(variant) && !vfio.type1SaysOverflow ? EINVAL : EOVERFLOW;
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioContainer(registry: Test[]): void {
  const f: ContainerFixture = containerFixture(
    registry,
    "kit_vfio_container",
    VARIANTS,
  );
  registerTypes(f);
  registerMaps(f);
}

function registerTypes(f: ContainerFixture): void {
  f.test("without_group", {
    description: "A container without a group has a version and extensions",
    rules: ["X7.1"],
  }, async ({ container, context: { revision } }, variant) => {
    const { untyped } = variant;
    const extensions = extensionsIn(variant, revision);
    await container.arg(CONTAINER.GET_API_VERSION, 0);
    for (const each of EXTENSIONS.filter((each) => each !== 4 && each < 10)) {
      const has = extensions.includes(each) ? 1 : 0;
      await container.arg(CONTAINER.CHECK_EXTENSION, each, undefined, has);
    }
    // What updates addresses is there with a type alone.
    await container.arg(CONTAINER.CHECK_EXTENSION, 10);
    await container.arg(CONTAINER.SET_IOMMU, TYPE1, untyped);
    await container.info(24, untyped);
    await container.map({}, untyped);
    await container.unmap({ iova: IOVA, length: 4096n }, untyped);
  });

  f.test("type", {
    description: "A container gets a type, or another one, from its group on",
    rules: ["X7.1"],
  }, async ({ container, context: { revision } }, variant) => {
    const { unknownType, again } = variant;
    const extensions = extensionsIn(variant, revision);
    const { group } = container;
    assertEq(await group.setContainer(container.fd), 0, "SET_CONTAINER");
    await container.arg(CONTAINER.SET_IOMMU, 5, unknownType);
    const nests = extensions.includes(NESTING) ? EINVAL : unknownType;
    await container.arg(CONTAINER.SET_IOMMU, NESTING, nests);
    await container.arg(CONTAINER.SET_IOMMU, TYPE1_V2);
    await container.arg(CONTAINER.SET_IOMMU, TYPE1_V2, again);
    for (const each of EXTENSIONS) {
      const has = extensions.includes(each) ? 1 : 0;
      await container.arg(CONTAINER.CHECK_EXTENSION, each, undefined, has);
    }
    await container.arg(0x3bff, 0, ENOTTY);
  });

  f.test("device_before_type", {
    description: "A device is opened before there is a type by iommufd alone",
    rules: ["X7.1"],
  }, async ({ container }, { path }) => {
    const { group, process } = container;
    await container.use();
    const name = await group.name();
    assertEq(await group.unsetContainer(), 0, "UNSET_CONTAINER");
    assertEq(await group.setContainer(container.fd), 0, "SET_CONTAINER");
    const fd = await group.deviceFd(name);
    if (path === CONTAINERS.type1.path) {
      return assertResult(fd, EINVAL, "GET_DEVICE_FD");
    }
    assertEq(await process.close(fd), 0, "close the device");
  });

  f.table("info", {
    description: "GET_INFO answers as much as there is room for",
    rules: ["X7.2"],
    prepare: used,
    finish: unused,
  }, (t, { capabilities, path }) => {
    // A migration capability has 32 bytes, the ranges beside a hole for messages 48.
    const isType1 = path === CONTAINERS.type1.path;
    const total = isType1 ? 120 : 88;
    // iommufd tells of its capabilities as much as there is room for.
    const tooShort = isType1 ? [total - 1] : [];
    t.case("argsz 15", ({ container }) => container.info(15, EINVAL));
    for (const argsz of [16, 24, ...tooShort]) {
      t.case(`argsz ${argsz}`, async ({ container }) => {
        const bytes = await container.info(argsz);
        const info = DmaInfo.decode(bytes);
        assertEq(info.argsz, total, "argsz");
        assertEq(info.flags, 3, "flags");
        assertEq(info.pageSizes & 0x1000n, 0x1000n, "pages of 4 KiB");
        if (argsz > 20) assertEq(info.capOffset, 0, "no capability");
        const room = Math.min(argsz, 24);
        const rest = bytes.subarray(room).every((byte) => byte === 0xaa);
        assertEq(rest, true, "nothing behind");
      });
    }
    t.case("all", async ({ container }) => {
      const bytes = await container.info(200);
      const { capOffset } = DmaInfo.decode(bytes);
      const view = new DataView(bytes.buffer);
      const found: number[] = [];
      for (let at = capOffset; at !== 0; at = view.getUint32(at + 4, true)) {
        found.push(view.getUint16(at, true));
      }
      assertEq(found.join(), capabilities.join(), "capabilities");
    });
  });
}

function registerMaps(f: ContainerFixture): void {
  f.table("map_errno", {
    description: "What is not mapped, and why",
    rules: ["X7.2"],
    prepare: async (self) => {
      const all = await used(self);
      await all.container.map();
      return all;
    },
    finish: unused,
  }, (t, variant, revision) => {
    const rows: [string, Errno, Partial<DmaMap>][] = [
      ["a short struct", EINVAL, { argsz: 31 }],
      ["an unknown flag", EINVAL, { flags: 8 | 3 }],
      ["no length", EINVAL, { length: 0n }],
      ["a part of a page", EINVAL, { iova: 0x200000n, length: 100n }],
      ["an IOVA within a page", EINVAL, { iova: 0x200001n }],
      ["what is mapped", EEXIST, {}],
      ["a part of what is mapped", EEXIST, {
        iova: IOVA + 4096n,
        length: 4096n,
      }],
      ["up to what is mapped", EEXIST, {
        iova: IOVA - 4096n,
        length: 8192n,
      }],
      ["the window of messages", EINVAL, { iova: MSI_WINDOW, length: 4096n }],
      ["up to the window", EINVAL, {
        iova: MSI_WINDOW - 4096n,
        length: 0x2000n,
      }],
      ["beyond the end", beyondEnd(variant, revision), {
        iova: TOP,
        length: 0x2000n,
      }],
      ["memory beyond the end", beyondEnd(variant, revision), {
        iova: 0x200000n,
        vaddr: TOP,
        length: 0x2000n,
      }],
      ["an address within a page", EINVAL, {
        iova: 0x200000n,
        vaddr: 0x200001n,
      }],
      ["no memory", EFAULT, { iova: 0x200000n, vaddr: 0x1000n }],
    ];
    for (const [what, errno, values] of rows) {
      t.case(what, ({ container }) => container.map(values, errno));
    }
  });

  f.table("unmap", {
    description: "Ranges of whole mappings are unmapped, and their bytes told",
    rules: ["X7.2"],
    prepare: used,
    finish: unused,
  }, unmaps);

  f.table("efault", {
    description: "A struct is read, and answered, or that is EFAULT",
    rules: ["X7.2"],
    prepare: used,
    finish: unused,
  }, efaults);

  f.test("group_leaves", {
    description: "What was mapped is charged until the group leaves, or longer",
    rules: ["X7.3"],
  }, async ({ container }, { path, untyped }) => {
    await container.use();
    const before = await container.charged();
    await container.map();
    const isType1 = path === CONTAINERS.type1.path;
    assertEq(await container.charged(), before + (isType1 ? 4 : 0), "charged");
    assertEq(await container.group.unsetContainer(), 0, "UNSET_CONTAINER");
    assertEq(await container.charged(), before, "charged afterwards");
    if (!isType1) return container.map({}, EEXIST);
    await container.map({}, untyped);
    await container.use(TYPE1);
    await container.map();
  });

  f.test("open_device", {
    description: "VFIO's own container keeps the group of an open device",
    rules: ["X7.3"],
  }, async ({ container }, { path }) => {
    await container.use();
    const { group, process } = container;
    const device = await group.device();
    const again = await group.device();
    const ret = await process.ioctlArg(group.fd, GROUP.UNSET_CONTAINER, 0);
    if (path !== CONTAINERS.type1.path) {
      assertEq(ret, 0, "UNSET_CONTAINER");
    } else assertResult(ret, EBUSY, "UNSET_CONTAINER");
    await device.close();
    await again.close();
  });
}

/** A container that has a page table: of iommufd, that takes an open device. */
interface UsedSelf extends ContainerSelf {
  readonly device: VfioFile;
}

/** Gives the container a group and a type, and opens the device. */
async function used(self: ContainerSelf): Promise<UsedSelf> {
  await self.container.use();
  return { ...self, device: await self.container.group.device() };
}

/** Closes the device. */
function unused({ device }: UsedSelf): Promise<void> {
  return device.close();
}

/** What cannot be read, and what cannot be answered. */
function efaults(t: Table<ContainerSelf>): void {
  const asked: [string, number][] = [
    ["GET_INFO", CONTAINER.GET_INFO],
    ["MAP_DMA", CONTAINER.MAP_DMA],
    ["UNMAP_DMA", CONTAINER.UNMAP_DMA],
  ];
  for (const [what, cmd] of asked) {
    t.case(`${what} of nothing`, ({ container }) => {
      return container.arg(cmd, 0, EFAULT);
    });
  }
  /** The ioctl with a struct in memory that can be read only. */
  async function unanswered(
    container: Container,
    cmd: number,
    bytes: Uint8Array,
  ): Promise<void> {
    const { process, scratch } = container;
    await process.poke(scratch, bytes);
    assertEq(await process.mprotect(scratch, 4096, PROT_READ), 0, "mprotect");
    await container.arg(cmd, scratch, EFAULT);
    const rw = PROT_READ | PROT_WRITE;
    assertEq(await process.mprotect(scratch, 4096, rw), 0, "mprotect");
  }
  t.case("GET_INFO unanswered", async ({ container }) => {
    for (const argsz of [16, 200]) {
      const bytes = DmaInfo.encode({ argsz });
      await unanswered(container, CONTAINER.GET_INFO, bytes);
    }
  });
  t.case("UNMAP_DMA unanswered", async ({ container }) => {
    await container.map();
    const range = { argsz: DmaUnmap.size, iova: IOVA, length: 0x4000n };
    const bytes = DmaUnmap.encode(range);
    await unanswered(container, CONTAINER.UNMAP_DMA, bytes);
    assertEq(await container.unmap({ flags: UNMAP.ALL }), 0n, "bytes left");
  });
}

function unmaps(
  t: Table<ContainerSelf>,
  variant: Variant,
  revision: Revision,
): void {
  const { cut, path } = variant;
  const whole = { iova: IOVA, length: 0x4000n };
  const refused: [string, Errno, Partial<DmaUnmap>][] = [
    ["a short struct", EINVAL, { argsz: 23, ...whole }],
    ["an unknown flag", EINVAL, { flags: 8, ...whole }],
    ["all, with a range", EINVAL, { flags: UNMAP.ALL, ...whole }],
    ["beyond the end", beyondEnd(variant, revision), {
      iova: TOP,
      length: 0x2000n,
    }],
    ["no length", EINVAL, { iova: IOVA, length: 0n }],
  ];
  for (const [what, errno, values] of refused) {
    t.case(what, async ({ container }) => {
      await container.unmap(values, errno);
    });
  }
  t.case("nothing there", async ({ container }) => {
    const length = await container.unmap({ iova: 0x900000n, length: 4096n });
    assertEq(length, 0n, "bytes");
  });
  t.case("a part of a mapping", async ({ container }) => {
    await container.map();
    const [errno, left] = cut;
    const middle = { iova: IOVA + 4096n, length: 4096n };
    assertEq(await container.unmap(middle, errno), left, "length");
    assertEq(await container.unmap(whole), 0x4000n, "bytes");
  });
  t.case("several, and more", async ({ container }) => {
    await container.map();
    await container.map({ iova: 0x200000n });
    const length = await container.unmap({ iova: 0n, length: 2n ** 40n });
    assertEq(length, 0x8000n, "bytes");
  });
  t.case("all", async ({ container }) => {
    await container.map();
    await container.map({ iova: 0x200000n });
    const length = await container.unmap({ flags: UNMAP.ALL });
    assertEq(length, 0x8000n, "bytes");
    if (path !== CONTAINERS.type1.path) return;
    await container.unmap({ flags: UNMAP.ALL, iova: 4096n }, EINVAL);
  });
}
