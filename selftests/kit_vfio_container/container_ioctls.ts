// SPDX-License-Identifier: GPL-2.0-only

/**
 * A container with a group in it, and its ioctls.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  O_RDWR,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertOk,
  type Context,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { assertResult } from "../ioctls/ioctls.ts";
import { cStruct } from "../ioctls/c_struct.ts";
import { GroupFile } from "../kit_vfio/group_ioctls.ts";
import type { Need } from "../target/capabilities.ts";

/** Numbers of the ioctls. */
export const CONTAINER = {
  GET_API_VERSION: 0x3b64,
  CHECK_EXTENSION: 0x3b65,
  SET_IOMMU: 0x3b66,
  GET_INFO: 0x3b70,
  MAP_DMA: 0x3b71,
  UNMAP_DMA: 0x3b72,
  DIRTY_PAGES: 0x3b75,
} as const;

/** Types. */
export const TYPE1 = 1;
export const TYPE1_V2 = 3;
/** Flags of MAP_DMA. */
export const MAP = { READ: 1, WRITE: 2, VADDR: 4 } as const;
/** Flags of UNMAP_DMA. */
export const UNMAP = { DIRTY_BITMAP: 1, ALL: 2, VADDR: 4 } as const;

/** Linux: `struct vfio_iommu_type1_dma_map`. */
export interface DmaMap {
  argsz: number;
  flags: number;
  vaddr: bigint;
  iova: bigint;
  /** C: `size`. */
  length: bigint;
}
/** Layout of {@link DmaMap}. */
export const DmaMap: Struct<DmaMap> = cStruct("vfio_iommu_type1_dma_map", {
  argsz: "u32",
  flags: "u32",
  vaddr: "u64",
  iova: "u64",
  length: "u64",
});

/** Linux: `struct vfio_iommu_type1_dma_unmap`. */
export interface DmaUnmap {
  argsz: number;
  flags: number;
  iova: bigint;
  /** C: `size`. */
  length: bigint;
}
/** Layout of {@link DmaUnmap}. */
export const DmaUnmap: Struct<DmaUnmap> = cStruct(
  "vfio_iommu_type1_dma_unmap",
  { argsz: "u32", flags: "u32", iova: "u64", length: "u64" },
);

/** Linux: `struct vfio_iommu_type1_info`. */
export interface DmaInfo {
  argsz: number;
  flags: number;
  pageSizes: bigint;
  capOffset: number;
  pad: number;
}
/** Layout of {@link DmaInfo}. */
export const DmaInfo: Struct<DmaInfo> = cStruct("vfio_iommu_type1_info", {
  argsz: "u32",
  flags: "u32",
  pageSizes: "u64",
  capOffset: "u32",
  pad: "u32",
});

/** Bytes of the memory that tests map, and of what ioctls point to. */
const MEMORY = 0x100000;
const SCRATCH = 0x1000;
/** Where they map. */
export const IOVA = 0x100000n;

/** A container, and a group that can be put into it. */
export class Container {
  /** The process. */
  readonly process: TargetProcess;
  /** The descriptor. */
  readonly fd: number;
  /** The group. */
  readonly group: GroupFile;
  /** Memory to map; the last page is for what ioctls point to. */
  readonly memory: number;

  private constructor(
    process: TargetProcess,
    { fd, group, memory }: Pick<Container, "fd" | "group" | "memory">,
  ) {
    this.process = process;
    this.fd = fd;
    this.group = group;
    this.memory = memory;
  }

  /** Opens the container and the group. */
  static async open(process: TargetProcess, path: string): Promise<Container> {
    const group = await GroupFile.open(process);
    const fd = assertOk(await process.open(path, O_RDWR), `open ${path}`);
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_SHARED | MAP_ANONYMOUS;
    const memory = await process.mmap(0, MEMORY, prot, flags);
    return new Container(process, {
      fd,
      group,
      memory: assertOk(memory, "mmap"),
    });
  }

  /** The same, as a child of its process has it. */
  of(process: TargetProcess): Container {
    return new Container(process, this);
  }

  /** The address of the memory that ioctls can point to. */
  get scratch(): number {
    return this.memory + MEMORY - SCRATCH;
  }

  /** Closes both. */
  async close(): Promise<void> {
    await this.group.close();
    assertEq(await this.process.close(this.fd), 0, "close the container");
    assertEq(await this.process.munmap(this.memory, MEMORY), 0, "munmap");
  }

  /** Puts the group into it, and sets the type. */
  async use(type = TYPE1_V2): Promise<void> {
    assertEq(await this.group.setContainer(this.fd), 0, "SET_CONTAINER");
    await this.arg(CONTAINER.SET_IOMMU, type);
  }

  /** An ioctl with a number, which fails with an errno or returns `expected`. */
  async arg(
    cmd: number,
    arg: number,
    errno?: Errno,
    expected = 0,
  ): Promise<void> {
    const ret = await this.process.ioctlArg(this.fd, cmd, arg);
    const what = `ioctl 0x${cmd.toString(16)} with ${arg}`;
    if (errno) assertResult(ret, errno, what);
    else assertEq(ret, expected, what);
  }

  /** MAP_DMA of four pages for reading and writing, unless `values` say another thing. */
  async map(values: Partial<DmaMap> = {}, errno?: Errno): Promise<void> {
    const bytes = DmaMap.encode({
      argsz: DmaMap.size,
      flags: MAP.READ | MAP.WRITE,
      vaddr: BigInt(this.memory),
      iova: IOVA,
      length: 0x4000n,
      ...values,
    });
    const ret = await this.process.ioctl(this.fd, CONTAINER.MAP_DMA, bytes);
    assertResult(ret, errno, "MAP_DMA");
  }

  /** UNMAP_DMA; returns the length that comes back. */
  async unmap(values: Partial<DmaUnmap>, errno?: Errno): Promise<bigint> {
    const bytes = DmaUnmap.encode({ argsz: DmaUnmap.size, ...values });
    const ret = await this.process.ioctl(this.fd, CONTAINER.UNMAP_DMA, bytes);
    assertResult(ret, errno, "UNMAP_DMA");
    return DmaUnmap.decode(bytes).length;
  }

  /** GET_INFO with `argsz` in the scratch memory: what is there afterwards, 256 bytes. */
  async info(argsz: number, errno?: Errno): Promise<Uint8Array> {
    const { process, scratch } = this;
    await process.poke(scratch, new Uint8Array(256).fill(0xaa));
    const head = DmaInfo.encode({ argsz }).subarray(0, Math.min(argsz, 24));
    await process.poke(scratch, head);
    await this.arg(CONTAINER.GET_INFO, scratch, errno);
    return await process.peek(scratch, 256);
  }

  /** Pages that are charged to the process. */
  async charged(): Promise<number> {
    return (await this.process.vmStatus()).vmLck / 4;
  }
}

/** What tests of containers share. */
export interface ContainerSelf {
  /** The container, without a group unless the fixture says another thing. */
  readonly container: Container;
  /** The test's context. */
  readonly context: Context;
}

/** How a container is opened. */
export interface ContainerVariant {
  /** Its path. */
  readonly path: string;
  /** What it needs. */
  readonly needs: readonly Need[];
}

/** The containers by what they are. */
export const CONTAINERS = {
  type1: { path: "/dev/vfio/vfio", needs: ["type1_container"] },
  iommufd: { path: "/dev/iommu", needs: [] },
} as const satisfies Record<string, ContainerVariant>;

/** A fixture whose tests get a container, and a group beside it. */
export function containerFixture<V extends ContainerVariant>(
  registry: Test[],
  name: string,
  variants: Readonly<Record<string, V>>,
  prepare: (container: Container, variant: V) => Promise<void> = async () => {},
): Fixture<V, ContainerSelf> {
  return fixture(registry, name, {
    since: "6.12",
    upstream: false,
    variants,
    needs: ({ needs }) => ["vfio_device", ...needs],
    setup: async (context, variant) => {
      const container = await Container.open(context.process, variant.path);
      await prepare(container, variant);
      return { container, context };
    },
    teardown: ({ container }) => container.close(),
  });
}
