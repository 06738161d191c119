// SPDX-License-Identifier: GPL-2.0-only

/**
 * A PCI device as the kernel's VFIO selftests open it, in every mode: its
 * BARs mapped, its interrupts counted.
 *
 * Linux: tools/testing/selftests/vfio/lib/vfio_pci_device.c.
 *
 * @module
 */

import { EAGAIN } from "../../impl/uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import { VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU } from "../../impl/uapi/vfio.ts";
import {
  assertEq,
  assertErrno,
  assertOk,
  assertTrue,
  type TargetProcess,
} from "../harness/harness.ts";
import { GroupFile } from "../kit_vfio/group_ioctls.ts";
import {
  Info,
  IRQ,
  REGION,
  type RegionInfo,
  SET,
  VFIO,
  VfioFile,
} from "../kit_vfio/vfio_ioctls.ts";
import type { TestIommu } from "./iommu.ts";

/** Flag of a region: it can be mapped. */
const REGION_MMAP = 4;
/** BARs of a device. */
const BARS = 6;
/** Interrupts of which a device has one eventfd each. */
type MessageIndex = typeof IRQ.MSI | typeof IRQ.MSIX;
/** An eventfd that does not make a reader wait. */
const EFD_NONBLOCK = 0x800;
/** Bytes of the largest page. */
const HUGEST_PAGE = 2 ** 30;
/** How often a reset that is to be tried again is. */
const RESETS = 20;

/** A BAR. */
export interface TestBar {
  /** What GET_REGION_INFO said. */
  readonly info: RegionInfo;
  /** Where it is mapped; undefined if it cannot be. */
  readonly vaddr: number | undefined;
}

/** An open device. */
export class TestDevice {
  /** Its file. */
  readonly file: VfioFile;
  /** Flags of GET_INFO. */
  readonly flags: number;
  /** Its BARs. */
  readonly bars: readonly TestBar[];
  /** Vectors of MSI and of MSI-X, by their index. */
  readonly vectors: Readonly<Record<MessageIndex, number>>;
  /** Eventfds by vector. */
  readonly eventfds: Map<number, number> = new Map();
  readonly #group: GroupFile | undefined;

  private constructor(
    file: VfioFile,
    group: GroupFile | undefined,
    said: Pick<TestDevice, "flags" | "bars" | "vectors">,
  ) {
    this.file = file;
    this.#group = group;
    this.flags = said.flags;
    this.bars = said.bars;
    this.vectors = said.vectors;
  }

  /** Opens it and maps its BARs (C: vfio_pci_device_init). */
  static async init(iommu: TestIommu): Promise<TestDevice> {
    const { process } = iommu;
    const group = iommu.mode.container
      ? await GroupFile.open(process)
      : undefined;
    const file = group
      ? await openOfGroup(group, iommu)
      : await openByItself(iommu);
    const { flags } = await file.call(Info, VFIO.GET_INFO, {});
    const config = await file.region(REGION.CONFIG);
    assertEq(config.flags & REGION_MMAP, 0, "configuration space cannot be");
    const bars: TestBar[] = [];
    for (let index = 0; index < BARS; index++) {
      bars.push(await mapBar(file, await file.region(index)));
    }
    const vectors = {
      [IRQ.MSI]: (await file.irq(IRQ.MSI)).count,
      [IRQ.MSIX]: (await file.irq(IRQ.MSIX)).count,
    } as const;
    return new TestDevice(file, group, { flags, bars, vectors });
  }

  /** The process that has it open. */
  get process(): TargetProcess {
    return this.file.process;
  }

  /** Closes it and all that belongs to it (C: vfio_pci_device_cleanup). */
  async cleanup(): Promise<void> {
    for (const { info, vaddr } of this.bars) {
      if (vaddr === undefined) continue;
      const ret = await this.process.munmap(vaddr, Number(info.length));
      assertEq(ret, 0, "munmap of a BAR");
    }
    await this.file.close();
    await this.#closeEventfds();
    await this.#group?.close();
  }

  /** Resets it; tries again while somebody else has it. */
  async reset(): Promise<void> {
    let ret = -EAGAIN.code;
    for (let left = RESETS; left > 0 && ret === -EAGAIN.code; left--) {
      ret = await this.process.ioctlArg(this.file.fd, VFIO.RESET, 0);
    }
    assertEq(ret, 0, "VFIO_DEVICE_RESET");
  }

  /** Gives vectors an eventfd each, from 0 on. */
  async enableIrqs(index: MessageIndex, count: number): Promise<void> {
    for (let vector = 0; vector < count; vector++) {
      const fd = await this.process.eventfd(0, EFD_NONBLOCK);
      this.eventfds.set(vector, assertOk(fd, "eventfd"));
    }
    const flags = SET.EVENTFD | SET.TRIGGER;
    const fds = [...this.eventfds.values()];
    await this.file.setIrqs({ flags, index, count }, fds);
  }

  /** Has VFIO send a message as the device would. */
  async triggerIrq(index: MessageIndex, start: number): Promise<void> {
    const flags = SET.NONE | SET.TRIGGER;
    await this.file.setIrqs({ flags, index, start, count: 1 });
  }

  /** Turns them off. */
  async disableIrqs(index: MessageIndex): Promise<void> {
    await this.#closeEventfds();
    await this.file.setIrqs({ flags: SET.NONE | SET.TRIGGER, index });
  }

  /** What a vector's eventfd has counted since it was asked last. */
  async counted(vector: number): Promise<number> {
    const bytes = new Uint8Array(8);
    const ret = await this.process.read(this.eventfds.get(vector)!, bytes);
    if (ret === 8) return bytes[0]!;
    assertErrno(ret, EAGAIN, "read of an eventfd");
    return 0;
  }

  async #closeEventfds(): Promise<void> {
    for (const fd of this.eventfds.values()) {
      assertEq(await this.process.close(fd), 0, "close an eventfd");
    }
    this.eventfds.clear();
  }
}

/** By its own path: bound and attached. */
async function openByItself({ process, fd, ioasId }: TestIommu) {
  const file = await VfioFile.open(process);
  await file.bind(fd, undefined, { argsz: 24 });
  await file.attach(ioasId, undefined, { argsz: 16 });
  return file;
}

/** By its group, which is put into the container. */
async function openOfGroup(group: GroupFile, iommu: TestIommu) {
  await setContainerType(group, iommu);
  return await group.device();
}

/** Puts a group into a container, which gets its type if it has none. */
export async function setContainerType(
  group: GroupFile,
  { process, fd, mode: { type } }: TestIommu,
): Promise<void> {
  assertTrue((await group.status() & 1) !== 0, "the group is viable");
  assertEq(await group.setContainer(fd), 0, "SET_CONTAINER");
  const has = await process.ioctlArg(fd, VFIO_CHECK_EXTENSION, type!);
  assertTrue(has > 0, `there is type ${type}`);
  // Of several devices only the first one chooses the type.
  await process.ioctlArg(fd, VFIO_SET_IOMMU, type!);
}

async function mapBar(file: VfioFile, info: RegionInfo): Promise<TestBar> {
  if ((info.flags & REGION_MMAP) === 0) return { info, vaddr: undefined };
  const length = Number(info.length);
  assertEq(Math.log2(length) % 1, 0, "the size is a power of 2");
  const place = { length, align: Math.min(length, HUGEST_PAGE), offset: 0 };
  return { info, vaddr: await mapRegion(file, info, place) };
}

/** Maps a region at an address that is `offset` above a multiple of `align`. */
export async function mapRegion(
  file: VfioFile,
  { index }: Pick<RegionInfo, "index">,
  { length, align, offset }: { length: number; align: number; offset: number },
): Promise<number> {
  const { process } = file;
  const reserved = length + align;
  const anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  const base = assertOk(
    await process.mmap(0, reserved, PROT_NONE, anonymous),
    "mmap of a reservation",
  );
  assertEq(await process.munmap(base, reserved), 0, "munmap of it");
  const aligned = Math.ceil((base - offset) / align) * align + offset;
  const vaddr = await process.mmap(
    aligned,
    length,
    PROT_READ | PROT_WRITE,
    MAP_SHARED | MAP_FIXED,
    file.fd,
    index * 2 ** 40,
  );
  return assertOk(vaddr, `mmap of region ${index}`);
}
