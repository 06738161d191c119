// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../kernel.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import { CopyEngine } from "../../pci/devices/copy_engine.ts";
import { errnoName } from "../../uapi/errno.ts";
import { IommuIovaRange } from "../../uapi/iommufd.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_MEMLOCK,
} from "../../uapi/mman.ts";
import { NEWEST, type RevisionName } from "../../uapi/revision.ts";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_SET_IOMMU,
  VfioInfoCapHeader,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
  VfioIommuType1Info,
} from "../../uapi/vfio.ts";
import {
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_GROUP_UNSET_CONTAINER,
  VfioGroupStatus,
} from "../../uapi/vfio/device.ts";
import { REGION_STRIDE } from "../pci/regions.ts";

const TYPE1 = 1;
const V2 = 3;
const NO_TYPE = 0;
const NESTING = 6;
const MAP = VfioIommuType1DmaMap;
const UNMAP = VfioIommuType1DmaUnmap;

/** A process with a container of type1, an open group in it, and memory. */
class Bench {
  readonly kernel: Kernel;
  readonly process: Process;
  readonly group: number;
  readonly container: number;
  readonly memory: number;
  readonly name: string;

  constructor(
    type: number = V2,
    options: { readonly uid?: number } = {},
    revision: RevisionName = NEWEST,
  ) {
    const kernel = new Kernel({ revision, vfioContainer: "type1" });
    this.kernel = kernel;
    const { pci } = kernel.addPciDevice(new CopyEngine());
    this.name = pci.name;
    const process = this.process = kernel.spawn(options);
    this.group = process.open(`/dev/vfio/${pci.group!.id}`);
    this.container = process.open("/dev/vfio/vfio");
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_SHARED | MAP_ANONYMOUS;
    this.memory = process.mmap(0, 0x100000, prot, flags);
    if (type === NO_TYPE) return;
    assertEquals(this.setContainer(), "0");
    assertEquals(this.arg(VFIO_SET_IOMMU, type), "0");
  }

  /** An ioctl of the container with a number. */
  arg(cmd: number, arg: number): string {
    return result(this.process.ioctl(this.container, cmd, arg));
  }

  /** Puts the group into the container, or into another file. */
  setContainer(fd: number = this.container): string {
    const { process, group, memory } = this;
    process.poke(memory, new Uint8Array(Int32Array.of(fd).buffer));
    return result(process.ioctl(group, VFIO_GROUP_SET_CONTAINER, memory));
  }

  status(): number {
    const bytes = VfioGroupStatus.encode();
    this.process.ioctlStruct(this.group, VFIO_GROUP_GET_STATUS, bytes);
    return VfioGroupStatus.decode(bytes).flags;
  }

  /** Opens the device; returns the descriptor, or the errno's negative number. */
  device(): number {
    const { process, group, memory } = this;
    process.poke(memory, new TextEncoder().encode(`${this.name}\0`));
    return process.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, memory);
  }

  /** DIRTY_PAGES, the words of a bitmap behind its head. */
  dirty(words: readonly bigint[], argsz = 48, flags = 4): string {
    const { process, container } = this;
    const at = this.memory + 0x8000;
    const bytes = new Uint8Array(48);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, argsz, true);
    view.setUint32(4, flags, true);
    words.forEach((word, i) => view.setBigUint64(8 + 8 * i, word, true));
    process.poke(at, bytes);
    return result(process.ioctl(container, VFIO_IOMMU_DIRTY_PAGES, at));
  }

  map(values: Partial<VfioIommuType1DmaMap> = {}): string {
    const bytes = MAP.encode({
      flags: 3,
      vaddr: BigInt(this.memory),
      iova: 0x100000n,
      length: 0x4000n,
      ...values,
    });
    return this.#call(VFIO_IOMMU_MAP_DMA, bytes);
  }

  /** The result of an unmap, and the length that comes back. */
  unmap(values: Partial<VfioIommuType1DmaUnmap>): string {
    const bytes = UNMAP.encode(values);
    const ret = this.#call(VFIO_IOMMU_UNMAP_DMA, bytes);
    return `${ret} ${UNMAP.decode(bytes).length}`;
  }

  #call(cmd: number, bytes: Uint8Array): string {
    return result(this.process.ioctlStruct(this.container, cmd, bytes));
  }

  /** What GET_INFO answers to an argsz, in memory of the process. */
  info(argsz: number): { ret: string; bytes: Uint8Array } {
    const { process, container, memory } = this;
    process.poke(memory, new Uint8Array(256).fill(0xaa));
    process.poke(memory, VfioIommuType1Info.encode({ argsz }).subarray(0, 4));
    const ret = process.ioctl(container, VFIO_IOMMU_GET_INFO, memory);
    return { ret: result(ret), bytes: process.peek(memory, 256) };
  }

  end(): void {
    this.process.exit();
    assertEquals(this.kernel.audit(), []);
  }
}

function result(ret: number): string {
  return ret >= 0 ? String(ret) : errnoName(ret);
}

describe("a type1 container", () => {
  it("answers before it has a group", () => {
    const bench = new Bench(NO_TYPE);
    assertEquals(bench.arg(VFIO_GET_API_VERSION, 0), "0");
    const extensions = Array.from(
      { length: 12 },
      (_, i) => bench.arg(VFIO_CHECK_EXTENSION, i),
    );
    assertEquals(extensions.join(""), "010100000100");
    assertEquals(bench.arg(VFIO_SET_IOMMU, TYPE1), "EINVAL");
    assertEquals(bench.info(24).ret, "EINVAL");
    assertEquals(bench.arg(0x3bff, 0), "EINVAL");
    bench.end();
  });

  it("knows a type for nesting, and no EOVERFLOW, before it was cleaned up", () => {
    const bench = new Bench(NO_TYPE, {}, "6.12");
    assertEquals(bench.arg(VFIO_CHECK_EXTENSION, NESTING), "1");
    assertEquals(bench.setContainer(), "0");
    assertEquals(bench.arg(VFIO_SET_IOMMU, NESTING), "EINVAL");
    assertEquals(bench.arg(VFIO_SET_IOMMU, V2), "0");
    const top = 2n ** 64n - 4096n;
    assertEquals(bench.map({ iova: top, length: 8192n }), "EINVAL");
    assertEquals(bench.unmap({ iova: top, length: 8192n }), "EINVAL 8192");
    bench.end();
  });

  for (
    const [revision, expected] of [["6.12", "EINVAL"], ["7.3", "0"]] as const
  ) {
    it(`answers ${expected} to a bitmap up to 2^64 in ${revision}`, () => {
      const bench = new Bench(V2, {}, revision);
      assertEquals(bench.dirty([], 8, 1), "0");
      const last = 2n ** 64n - 4096n;
      const data = BigInt(bench.memory + 0x9000);
      assertEquals(bench.dirty([last, 4096n, 4096n, 8n, data]), expected);
      bench.end();
    });
  }

  it("gets a type once", () => {
    const bench = new Bench(NO_TYPE);
    assertEquals(bench.status(), 1);
    assertEquals(bench.setContainer(), "0");
    assertEquals(bench.setContainer(), "EINVAL");
    assertEquals(bench.status(), 3);
    assertEquals(result(bench.device()), "EINVAL");
    assertEquals(bench.arg(VFIO_SET_IOMMU, 8), "ENODEV");
    assertEquals(bench.arg(VFIO_SET_IOMMU, V2), "0");
    assertEquals(bench.arg(VFIO_SET_IOMMU, V2), "EINVAL");
    assertEquals(bench.arg(VFIO_CHECK_EXTENSION, 10), "1");
    assertEquals(bench.arg(VFIO_CHECK_EXTENSION, 4), "0");
    assertEquals(bench.arg(0x3bff, 0), "ENOTTY");
    bench.end();
  });

  it("loses its type with its last group", () => {
    const bench = new Bench();
    const { process, group } = bench;
    assertEquals(bench.map(), "0");
    assertEquals(process.ioctl(group, VFIO_GROUP_UNSET_CONTAINER), 0);
    assertEquals(bench.status(), 1);
    assertEquals(bench.map(), "EINVAL");
    assertEquals(process.vmStatus().vmLck, 0);
    assertEquals(bench.setContainer(), "0");
    assertEquals(bench.arg(VFIO_SET_IOMMU, TYPE1), "0");
    bench.end();
  });

  it("does not let go of a group with open devices, nor its file", () => {
    const bench = new Bench();
    const { process, group } = bench;
    const [device, again] = [bench.device(), bench.device()];
    const unset = () => process.ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
    assertEquals(result(unset()), "EBUSY");
    const path = `/dev/vfio/${bench.kernel.vfio.devices[0]!.pci.group!.id}`;
    process.close(group);
    for (const fd of [device, again]) {
      assertEquals(result(process.open(path)), "EBUSY");
      process.close(fd);
    }
    assertEquals(process.open(path), group);
    bench.end();
  });

  it("does not take a group that somebody owns, nor another file", () => {
    const bench = new Bench(NO_TYPE);
    bench.kernel.vfio.devices[0]!.pci.group!.ownerCnt++;
    assertEquals(bench.setContainer(), "EPERM");
    assertEquals(bench.status(), 0);
    bench.kernel.vfio.devices[0]!.pci.group!.ownerCnt--;
    assertEquals(bench.setContainer(0), "EBADFD");
    bench.kernel.vfio.devices[0]!.pci.hasIsolatedMsi = false;
    assertEquals(bench.setContainer(), "0");
    assertEquals(bench.arg(VFIO_SET_IOMMU, V2), "EPERM");
    bench.kernel.options.allowUnsafeInterrupts = true;
    assertEquals(bench.arg(VFIO_SET_IOMMU, V2), "0");
    bench.end();
  });

  it("takes a second group into its page table", () => {
    const bench = new Bench();
    const { pci } = bench.kernel.addPciDevice(new CopyEngine());
    const other = bench.process.open(`/dev/vfio/${pci.group!.id}`);
    pci.hasIsolatedMsi = false;
    const set = () => {
      const fd = new Uint8Array(Int32Array.of(bench.container).buffer);
      bench.process.poke(bench.memory, fd);
      const { process, memory } = bench;
      return result(process.ioctl(other, VFIO_GROUP_SET_CONTAINER, memory));
    };
    assertEquals(set(), "EPERM");
    pci.hasIsolatedMsi = true;
    assertEquals(set(), "0");
    assertEquals(
      pci.group!.domain,
      bench.kernel.vfio.devices[0]!.pci.group!.domain,
    );
    bench.process.close(bench.group);
    assertEquals(bench.map(), "0");
    bench.end();
  });

  it("tells page sizes, mappings left and ranges", () => {
    const bench = new Bench();
    bench.map();
    assertEquals(bench.info(15).ret, "EINVAL");
    for (const argsz of [16, 24, 119]) {
      const { ret, bytes } = bench.info(argsz);
      const info = VfioIommuType1Info.decode(bytes);
      assertEquals([ret, info.argsz, info.flags], ["0", 120, 3]);
      assertEquals(info.iovaPgsizes, 0x40201000n);
      if (argsz > 20) assertEquals(info.capOffset, 0);
      const room = Math.min(argsz, 24);
      assertEquals(bytes.subarray(room).every((byte) => byte === 0xaa), true);
    }
    const { bytes } = bench.info(200);
    const info = VfioIommuType1Info.decode(bytes);
    assertEquals([info.argsz, info.capOffset], [200, 24]);
    const chain: number[][] = [];
    for (let at = info.capOffset; at !== 0;) {
      const { id, next } = VfioInfoCapHeader.decode(bytes.subarray(at));
      chain.push([id, at, next]);
      at = next;
    }
    assertEquals(chain, [[2, 24, 56], [3, 56, 72], [1, 72, 0]]);
    const view = new DataView(bytes.buffer);
    assertEquals(view.getUint32(56 + 8, true), 65534);
    assertEquals(view.getUint32(72 + 8, true), 2);
    assertEquals(IommuIovaRange.decode(bytes.subarray(88)), {
      start: 0n,
      last: 0xfedfffffn,
    });
    assertEquals(IommuIovaRange.decode(bytes.subarray(104)), {
      start: 0xfef00000n,
      last: 0xffffffffffffn,
    });
    bench.end();
  });

  it("refuses mappings in Linux's order", () => {
    const bench = new Bench();
    const top = 2n ** 64n - 4096n;
    assertEquals(bench.map(), "0");
    assertEquals(bench.map(), "EEXIST");
    assertEquals(bench.map({ argsz: 31 }), "EINVAL");
    assertEquals(bench.map({ flags: 8 }), "EINVAL");
    assertEquals(bench.map({ flags: 0 }), "EINVAL");
    assertEquals(bench.map({ length: 0n, iova: top }), "EINVAL");
    assertEquals(
      bench.map({ length: 8192n, iova: top, flags: 0 }),
      "EOVERFLOW",
    );
    assertEquals(bench.map({ length: 8192n, vaddr: top }), "EOVERFLOW");
    assertEquals(bench.map({ length: 100n }), "EINVAL");
    assertEquals(bench.map({ iova: 0x101001n }), "EINVAL");
    assertEquals(bench.map({ iova: 0xfee00000n, length: 4096n }), "EINVAL");
    assertEquals(bench.map({ iova: 0xfedff000n, length: 8192n }), "EINVAL");
    assertEquals(bench.map({ iova: 2n ** 48n }), "EINVAL");
    assertEquals(bench.map({ iova: 2n ** 48n - 0x4000n }), "0");
    assertEquals(bench.map({ iova: 0x200000n, vaddr: 0x1000n }), "EFAULT");
    bench.end();
  });

  it("unmaps what was mapped, in version 2 as a whole", () => {
    const bench = new Bench();
    bench.map();
    assertEquals(
      bench.unmap({ iova: 0x101000n, length: 4096n }),
      "EINVAL 4096",
    );
    assertEquals(
      bench.unmap({ iova: 0xff000n, length: 0x2000n }),
      "EINVAL 8192",
    );
    assertEquals(bench.unmap({ iova: 0x900000n, length: 4096n }), "0 0");
    assertEquals(bench.unmap({ flags: 2, iova: 4096n }), "EINVAL 0");
    assertEquals(bench.unmap({ flags: 8 }), "EINVAL 0");
    assertEquals(bench.unmap({ iova: 1n, length: 4096n }), "EINVAL 4096");
    assertEquals(bench.unmap({ length: 0n }), "EINVAL 0");
    assertEquals(bench.unmap({ length: 1n }), "EINVAL 1");
    const top = 2n ** 64n - 4096n;
    assertEquals(bench.unmap({ iova: top, length: 8192n }), "EOVERFLOW 8192");
    assertEquals(bench.unmap({ iova: 0n, length: 2n ** 40n }), "0 16384");
    bench.map();
    bench.map({ iova: 0x200000n });
    assertEquals(bench.process.vmStatus().vmLck, 32);
    assertEquals(bench.unmap({ flags: 2 }), "0 32768");
    assertEquals(bench.process.vmStatus().vmLck, 0);
    bench.end();
  });

  it("unmaps, in version 1, what begins in the range", () => {
    const bench = new Bench(TYPE1);
    bench.map();
    assertEquals(bench.unmap({ iova: 0x101000n, length: 4096n }), "0 0");
    assertEquals(bench.unmap({ iova: 0x100000n, length: 4096n }), "0 16384");
    assertEquals(bench.arg(VFIO_IOMMU_DIRTY_PAGES, bench.memory), "EACCES");
    bench.end();
  });

  it("charges memory, up to the limit", () => {
    const bench = new Bench(V2, { uid: 1000 });
    const { process } = bench;
    process.setrlimit(RLIMIT_MEMLOCK, 0x4000n);
    assertEquals(bench.map({ length: 0x5000n }), "ENOMEM");
    assertEquals(process.vmStatus().vmLck, 0);
    assertEquals(bench.map(), "0");
    assertEquals(bench.map({ iova: 0x200000n, length: 4096n }), "ENOMEM");
    assertEquals(process.vmStatus().vmLck, 16);
    bench.end();
  });

  it("has no more than 65535 mappings", () => {
    const bench = new Bench();
    for (let i = 0; i < 65535; i++) {
      assertEquals(bench.map({ iova: BigInt(i) * 4096n, length: 4096n }), "0");
    }
    assertEquals(bench.map({ iova: 2n ** 40n, length: 4096n }), "ENOSPC");
    bench.unmap({ iova: 0n, length: 4096n });
    assertEquals(bench.map({ iova: 2n ** 40n, length: 4096n }), "0");
    bench.end();
  });

  it("maps a BAR, for the DMA of another device", () => {
    const bench = new Bench();
    const { process } = bench;
    const device = bench.device();
    const prot = PROT_READ | PROT_WRITE;
    const bar = process.mmap(0, 4096, prot, MAP_SHARED, device, 0);
    const vaddr = BigInt(bar);
    const iova = 0x800000n;
    assertEquals(bench.map({ vaddr, iova, length: 4096n }), "0");
    assertEquals(process.vmStatus().vmLck, 0);
    assertEquals(bench.map(), "0");
    const [vfio] = bench.kernel.vfio.devices;
    const command = 7 * REGION_STRIDE + 4;
    process.poke(bench.memory, Uint8Array.of(7, 0));
    assertEquals(process.writeFrom(device, bench.memory, 2, command), 2);
    const id = new Uint8Array(4);
    vfio!.pci.dma.read(Number(iova), id);
    assertEquals(new TextDecoder().decode(id), "DMA1");
    vfio!.pci.dma.write(Number(iova) + 0x0c, Uint8Array.of(5, 0, 0, 0));
    assertEquals(process.peek(bar + 0x0c, 1), Uint8Array.of(5));
    process.mprotect(bar, 4096, PROT_READ);
    const other = { vaddr, iova: 0x900000n, length: 4096n };
    assertEquals(bench.map(other), "EFAULT");
    assertEquals(bench.map({ ...other, flags: 1 }), "0");
    process.poke(bench.memory, Uint8Array.of(5, 0));
    process.writeFrom(device, bench.memory, 2, command);
    const off = { vaddr, flags: 1, iova: 0xa00000n, length: 4096n };
    assertEquals(bench.map(off), "EFAULT");
    bench.end();
  });

  it("forgets the address of memory, and is told another", () => {
    const bench = new Bench();
    bench.map();
    const range = { iova: 0x100000n, length: 0x4000n };
    const vaddr = BigInt(bench.memory + 0x10000);
    assertEquals(bench.map({ flags: 4, vaddr }), "EINVAL");
    assertEquals(bench.unmap({ flags: 4, ...range }), "0 16384");
    assertEquals(bench.unmap({ flags: 4, ...range }), "EINVAL 16384");
    assertEquals(bench.map({ flags: 5, vaddr }), "EINVAL");
    assertEquals(bench.map({ flags: 4, vaddr, iova: 0x800000n }), "ENOENT");
    assertEquals(bench.map({ flags: 4, vaddr, length: 4096n }), "EINVAL");
    const { pci } = bench.kernel.addPciDevice(new CopyEngine());
    const other = bench.process.open(`/dev/vfio/${pci.group!.id}`);
    const fd = new Uint8Array(Int32Array.of(bench.container).buffer);
    bench.process.poke(bench.memory, fd);
    const set = () =>
      bench.process.ioctl(other, VFIO_GROUP_SET_CONTAINER, bench.memory);
    assertEquals(result(set()), "EBUSY");
    const child = bench.process.fork();
    const bytes = MAP.encode({ flags: 4, vaddr, ...range });
    const { container } = bench;
    assertEquals(child.ioctlStruct(container, VFIO_IOMMU_MAP_DMA, bytes), 0);
    assertEquals([bench.process.vmStatus().vmLck, child.vmStatus().vmLck], [
      0,
      16,
    ]);
    assertEquals(set(), 0);
    assertEquals(bench.unmap({ flags: 4, ...range }), "0 16384");
    assertEquals(bench.unmap({ flags: 2 }), "0 16384");
    child.exit();
    bench.end();
  });

  it("counts every mapped page as written", () => {
    const bench = new Bench();
    const { process, memory } = bench;
    bench.map({ iova: 0x3000n, length: 0x2000n });
    const call = (words: readonly bigint[], argsz = 48, flags = 4): string =>
      bench.dirty(words, argsz, flags);
    const data = BigInt(memory + 0x9000);
    const good = [0n, 0x10000n, 4096n, 8n, data];
    assertEquals(call(good), "EINVAL");
    assertEquals(call([], 7, 1), "EINVAL");
    assertEquals(call([], 8, 8), "EINVAL");
    assertEquals(call([], 8, 3), "EINVAL");
    assertEquals(call([], 8, 1), "0");
    assertEquals(call([], 8, 1), "0");
    assertEquals(call(good, 40), "EINVAL");
    assertEquals(call([0n, 0n, ...good.slice(2)]), "EINVAL");
    const top = 2n ** 64n - 4096n;
    assertEquals(call([top, 8192n, ...good.slice(2)]), "EOVERFLOW");
    assertEquals(call([1n, 0x1000n, ...good.slice(2)]), "EINVAL");
    assertEquals(call([0n, 0x10000n, 8192n, 8n, data]), "EINVAL");
    assertEquals(call([0n, 0x10000n, 4096n, 0n, data]), "EINVAL");
    assertEquals(call([0n, 0x100000n, 4096n, 8n, data]), "EINVAL");
    assertEquals(call([0n, 0x4000n, ...good.slice(2)]), "EINVAL");
    process.poke(memory + 0x9000, Uint8Array.of(1, 0, 0));
    assertEquals(call(good), "0");
    assertEquals(process.peek(memory + 0x9000, 3), Uint8Array.of(0x19, 0, 0));
    const unmap = (flags: number): string => {
      const at = memory + 0x8000;
      const bytes = new Uint8Array(48);
      bytes.set(UNMAP.encode({ argsz: 48, flags, length: 0x10000n }));
      const view = new DataView(bytes.buffer);
      [4096n, 8n, data].forEach((word, i) =>
        view.setBigUint64(24 + 8 * i, word, true)
      );
      process.poke(at, bytes);
      return result(process.ioctl(bench.container, VFIO_IOMMU_UNMAP_DMA, at));
    };
    assertEquals(unmap(3), "EINVAL");
    process.poke(memory + 0x9000, Uint8Array.of(0));
    assertEquals(unmap(1), "0");
    assertEquals(process.peek(memory + 0x9000, 1), Uint8Array.of(0x18));
    assertEquals(call([], 8, 2), "0");
    assertEquals(call(good), "EINVAL");
    assert(!bench.kernel.warnings.list.length);
    bench.end();
  });

  it("has neither read nor write, as its groups, but offsets", () => {
    const { process, container, group } = new Bench();
    for (const fd of [container, group]) {
      const all = [
        process.read(fd, new Uint8Array(4), 0),
        process.write(fd, new Uint8Array(4), 0),
        process.lseek(fd, 0, 0),
      ];
      assertEquals(all.map(result), ["EINVAL", "EINVAL", "ESPIPE"]);
    }
  });

  it("has a type without an IOMMU where that mode is on, and not where it was only built", () => {
    const noIommu = 8;
    for (const vfioNoIommuMode of [false, true]) {
      const built = { vfioNoIommu: true, vfioNoIommuMode };
      const kernel = new Kernel({ vfioContainer: "type1", ...built });
      const process = kernel.spawn();
      const answers = ["/dev/vfio/vfio", "/dev/iommu"].map((path) =>
        process.ioctl(process.open(path), VFIO_CHECK_EXTENSION, noIommu)
      );
      assertEquals(answers, [Number(vfioNoIommuMode), 1]);
    }
  });

  it("takes no extension for a type, as EINVAL where it has it, else ENODEV", () => {
    const bench = new Bench(NO_TYPE);
    assertEquals(bench.setContainer(), "0");
    const [unmapAll, updateVaddr] = [9, 10];
    assertEquals(bench.arg(VFIO_SET_IOMMU, unmapAll), "EINVAL");
    assertEquals(bench.arg(VFIO_SET_IOMMU, updateVaddr), "ENODEV");
  });

  it("looks at a bitmap's length, then at the range, then whether writes are noted", () => {
    for (const revision of ["6.12", "7.3"] as const) {
      const bench = new Bench(V2, {}, revision);
      const { process, container, memory } = bench;
      const unmap = (iova: bigint, ...bitmap: readonly bigint[]): string => {
        const bytes = new Uint8Array(48);
        const head = { argsz: 48, flags: 1, iova, length: 0x2000n };
        bytes.set(UNMAP.encode(head));
        const view = new DataView(bytes.buffer);
        bitmap.forEach((word, i) => view.setBigUint64(24 + 8 * i, word, true));
        process.poke(memory, bytes);
        return result(process.ioctl(container, VFIO_IOMMU_UNMAP_DMA, memory));
      };
      const data = BigInt(memory + 0x9000);
      const beyond = revision === "7.3" ? "EOVERFLOW" : "EINVAL";
      const top = 2n ** 64n - 4096n;
      assertEquals(unmap(top, 4096n, 8n, data), beyond);
      assertEquals(unmap(top, 8192n, 8n, data), beyond);
      assertEquals(unmap(top, 0n, 0x1000n, data), beyond);
      assertEquals(unmap(top, 4096n, 0n, data), "EINVAL");
      assertEquals(unmap(top, 2n ** 63n, 8n, data), "EINVAL");
      assertEquals(unmap(1n, 4096n, 8n, data), "EINVAL");
      assertEquals(unmap(0x10000n, 4096n, 8n, data), "EINVAL");
    }
  });
});
