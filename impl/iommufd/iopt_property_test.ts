// SPDX-License-Identifier: GPL-2.0-only

/**
 * Random sequences of ioctls against the naive model: the same errnos, the
 * same IOVA, the same IOPTEs in every domain, the same pins on every frame.
 */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Kernel } from "../kernel.ts";
import type { Process } from "../kernel/process.ts";
import { MockDomain } from "../mock/mock_domain.ts";
import { Errno, errnoName } from "../uapi/errno.ts";
import * as uapi from "../uapi/mod.ts";
import { HwptPaging } from "./hw_pagetable.ts";
import {
  type NaiveAccess,
  NaiveIoas,
  type NaiveItem,
  NaiveWorld,
  PENDING,
  type Range,
} from "./testing/naive_iopt.ts";

const PAGE = 4096;
const BUFFER_PAGES = 16;
const IOVA_BASE = 1 << 24;

/** How a run is set up, beside its operations. */
interface Setting {
  readonly revision: uapi.RevisionName;
  /** Bytes of one batch: small ones take every path in many steps. */
  readonly memoryLimit: number;
  /** Bytes that addresses and lengths are multiples of. */
  readonly unit: number;
  readonly scattered: boolean;
  readonly privateMemory: boolean;
  /** Pages that may be pinned; none: CAP_IPC_LOCK. */
  readonly lockLimit: number | undefined;
}

/** One operation: a kind, and numbers that it makes arguments of. */
interface Step {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

interface LiveDomain {
  readonly ioas: number;
  /** Object to destroy first; destroying `hwptId` follows where the revision needs it. */
  readonly stdevId: number;
  readonly hwptId: number;
  readonly token: object;
}

interface LiveIoas {
  readonly id: number;
  readonly naive: NaiveIoas;
}

/** One run: the kernel and the model, side by side. */
class Run {
  readonly kernel: Kernel;
  readonly process: Process;
  readonly fd: number;
  readonly buffer: number;
  readonly mappedPages: boolean[] = new Array(BUFFER_PAGES).fill(true);
  readonly world: NaiveWorld;
  readonly ioases: LiveIoas[] = [];
  readonly mmapFlags: number;
  domains: LiveDomain[] = [];
  accesses: { fd: number; naive: NaiveAccess }[] = [];
  items: { accessFd: number; id: number; naive: NaiveItem }[] = [];
  /** Every frame that was ever pinned. */
  readonly frames = new Set<number>();

  constructor(readonly setting: Setting) {
    this.kernel = new Kernel({
      revision: setting.revision,
      memory: 16 << 20,
      frameOrder: setting.scattered ? { scattered: 7 } : "ordered",
    });
    this.process = this.kernel.spawn();
    const { process } = this;
    this.mmapFlags = uapi.MAP_ANONYMOUS |
      (setting.privateMemory ? uapi.MAP_PRIVATE : uapi.MAP_SHARED);
    this.buffer = process.mmap(
      0,
      BUFFER_PAGES * PAGE,
      uapi.PROT_READ | uapi.PROT_WRITE,
      this.mmapFlags,
      -1,
      0,
    );
    this.world = new NaiveWorld(this.kernel.revision, {
      isMapped: (uaddr) => {
        const page = Math.floor((Number(uaddr) - this.buffer) / PAGE);
        return this.mappedPages[page] ?? false;
      },
    });
    if (setting.lockLimit !== undefined) {
      process.dropCapability(uapi.CAP_IPC_LOCK);
      process.setrlimit(
        uapi.RLIMIT_MEMLOCK,
        BigInt(setting.lockLimit * PAGE),
      );
      this.world.lockLimit = setting.lockLimit;
    }
    this.fd = process.open("/dev/iommu", uapi.O_RDWR);
    this.#setMemoryLimit(setting.memoryLimit);
    for (let i = 0; i < 2; i++) {
      const cmd = uapi.IommuIoasAlloc.encode();
      assertEquals(this.#ioctl(uapi.IOMMU_IOAS_ALLOC, cmd), 0);
      const id = uapi.IommuIoasAlloc.at(cmd).outIoasId;
      this.ioases.push({ id, naive: new NaiveIoas(this.world) });
    }
  }

  #ioctl(cmd: number, bytes: Uint8Array): number {
    return this.process.ioctlStruct(this.fd, cmd, bytes);
  }

  /** A test ioctl in the revision's layout; returns the struct after the call, 72 bytes. */
  #test(op: number, bytes: Uint8Array): { ret: number; reply: Uint8Array } {
    const { size, firstOp } = this.kernel.revision.testCmd;
    const cmd = bytes.slice(0, size);
    const header = uapi.TestCmd.at(bytes);
    new DataView(cmd.buffer).setUint32(0, size, true);
    new DataView(cmd.buffer).setUint32(4, op - 1 + firstOp, true);
    new DataView(cmd.buffer).setUint32(8, header.id, true);
    const ret = this.#ioctl(uapi.IOMMU_TEST_CMD, cmd);
    const reply = new Uint8Array(72);
    reply.set(cmd);
    return { ret, reply };
  }

  #setMemoryLimit(limit: number): void {
    const { ret } = this.#test(
      uapi.IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
      uapi.TestMemoryLimit.encode({ limit }),
    );
    assertEquals(ret, 0);
  }

  /** What the model says: its errno, or nothing. */
  #predict<T>(operation: () => T): { errno: number; value: T | undefined } {
    try {
      return { errno: 0, value: operation() };
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      return { errno: -error.code, value: undefined };
    }
  }

  #compare(what: string, actual: number, expected: number): void {
    assertEquals(errnoName(actual), errnoName(expected), what);
  }

  #ioas(n: number): LiveIoas {
    return this.ioases[n % this.ioases.length]!;
  }

  /** Whole pages two times out of three: most operations want them. */
  #unit(n: number): number {
    return n % 3 === 0 ? this.setting.unit : PAGE;
  }

  #uaddr(n: number): number {
    return this.buffer + (n * this.#unit(n)) % (BUFFER_PAGES * PAGE);
  }

  #length(n: number): number {
    const unit = this.#unit(n);
    return ((n % (6 * PAGE / unit)) + 1) * unit;
  }

  #iova(n: number): number {
    const unit = this.#unit(n);
    return IOVA_BASE + (n % (24 * PAGE / unit)) * unit;
  }

  /** A range that has to do with an area three times out of four, or anywhere. */
  #rangeIn(naive: NaiveIoas, n: number, size: number): Range {
    const areas = [...naive.areas].sort((a, b) => a.start < b.start ? -1 : 1);
    const area = areas[n % (areas.length || 1)];
    if (!area || n % 4 === 0) {
      const start = BigInt(this.#iova(n));
      return { start, last: start + BigInt(this.#length(size)) - 1n };
    }
    if (size % 2 === 0) return { start: area.start, last: area.last };
    const offset = BigInt(size % 5 * this.#unit(size));
    const start = area.start + offset;
    return { start, last: start + BigInt(this.#length(size)) - 1n };
  }

  step(step: Step): void {
    const kinds = [
      this.#mapFixed,
      this.#mapFixed,
      this.#mapAuto,
      this.#unmap,
      this.#unmapAll,
      this.#copy,
      this.#copy,
      this.#mockDomain,
      this.#mockDomain,
      this.#destroyDomain,
      this.#createAccess,
      this.#createAccess,
      this.#pin,
      this.#pin,
      this.#pin,
      this.#unpin,
      this.#closeAccess,
      this.#remapUserMemory,
      this.#reserve,
      this.#allow,
      this.#hugePages,
    ];
    kinds[step.kind % kinds.length]!.call(this, step);
    this.#settle();
    this.check();
  }

  #mapFixed(step: Step): void {
    this.#map(step, BigInt(this.#iova(step.b)));
  }

  #mapAuto(step: Step): void {
    this.#map(step, undefined);
  }

  #map({ a, c, d }: Step, iova: bigint | undefined): void {
    const { id, naive } = this.#ioas(a);
    const uaddr = BigInt(this.#uaddr(c));
    const length = BigInt(this.#length(d));
    const writable = a % 5 !== 0;
    const cmd = uapi.IommuIoasMap.encode({
      flags: (iova === undefined ? 0 : uapi.IOMMU_IOAS_MAP_FIXED_IOVA) |
        uapi.IOMMU_IOAS_MAP_READABLE |
        (writable ? uapi.IOMMU_IOAS_MAP_WRITEABLE : 0),
      ioasId: id,
      userVa: uaddr,
      length,
      iova: iova ?? 0n,
    });
    const expected = this.#predict(() =>
      naive.map({ iova, uaddr, length, writable })
    );
    this.#compare("MAP", this.#ioctl(uapi.IOMMU_IOAS_MAP, cmd), expected.errno);
    if (expected.value !== undefined) {
      assertEquals(uapi.IommuIoasMap.at(cmd).iova, expected.value, "MAP iova");
    }
  }

  #copy({ a, b, c, d }: Step): void {
    const source = this.#ioas(a);
    const target = this.#ioas(b >> 3);
    const from = this.#rangeIn(source.naive, c, d);
    const sourceIova = from.start;
    const length = from.last - from.start + 1n;
    const iova = b % 3 === 0 ? undefined : BigInt(this.#iova(b));
    const writable = a % 3 !== 0;
    const cmd = uapi.IommuIoasCopy.encode({
      flags: (iova === undefined ? 0 : uapi.IOMMU_IOAS_MAP_FIXED_IOVA) |
        uapi.IOMMU_IOAS_MAP_READABLE |
        (writable ? uapi.IOMMU_IOAS_MAP_WRITEABLE : 0),
      dstIoasId: target.id,
      srcIoasId: source.id,
      length,
      dstIova: iova ?? 0n,
      srcIova: sourceIova,
    });
    const expected = this.#predict(() =>
      target.naive.copy(source.naive, { sourceIova, length, iova, writable })
    );
    const ret = this.#ioctl(uapi.IOMMU_IOAS_COPY, cmd);
    this.#compare("COPY", ret, expected.errno);
    if (expected.value !== undefined) {
      const { dstIova } = uapi.IommuIoasCopy.at(cmd);
      assertEquals(dstIova, expected.value, "COPY iova");
    }
  }

  #unmap({ a, b, d }: Step): void {
    const ioas = this.#ioas(a);
    this.#unmapRange(ioas, this.#rangeIn(ioas.naive, b, d));
  }

  #unmapAll({ a }: Step): void {
    this.#unmapRange(this.#ioas(a), { start: 0n, last: uapi.RLIM_INFINITY });
  }

  #unmapRange({ id, naive }: LiveIoas, range: Range): void {
    const all = range.last === uapi.RLIM_INFINITY;
    const result = { unmapped: 0n };
    const expected = this.#predict(() => naive.unmap(range, result));
    const cmd = uapi.IommuIoasUnmap.encode({
      ioasId: id,
      iova: range.start,
      length: all ? range.last : range.last - range.start + 1n,
    });
    const ret = this.#ioctl(uapi.IOMMU_IOAS_UNMAP, cmd);
    const nothing = expected.errno === 0 && !all && result.unmapped === 0n;
    this.#compare("UNMAP", ret, nothing ? -uapi.ENOENT.code : expected.errno);
    if (ret === 0) {
      const { length } = uapi.IommuIoasUnmap.at(cmd);
      assertEquals(length, result.unmapped, "UNMAP length");
    }
    this.#forgetItems();
  }

  #mockDomain({ a }: Step): void {
    const ioas = a % this.ioases.length;
    const { id, naive } = this.ioases[ioas]!;
    const { mockDomainBindsDevice } = this.kernel.revision;
    // In 6.12 a second device shares the first one's domain.
    const shared = mockDomainBindsDevice
      ? this.domains.find((domain) => domain.ioas === ioas)?.token
      : undefined;
    const token = shared ?? {};
    const expected = this.#predict(() => {
      if (!shared) naive.addDomain(token);
    });
    const { ret, reply } = this.#test(
      uapi.IOMMU_TEST_OP_MOCK_DOMAIN,
      uapi.TestMockDomain.encode({ id }),
    );
    this.#compare("MOCK_DOMAIN", ret, expected.errno);
    if (ret !== 0) return;
    const ids = uapi.TestMockDomain.at(reply);
    this.domains.push({
      ioas,
      stdevId: ids.outStdevId,
      hwptId: mockDomainBindsDevice ? ids.outHwptId : ids.id,
      token,
    });
  }

  #destroyDomain({ a }: Step): void {
    const domain = this.domains[a % (this.domains.length || 1)];
    if (!domain) return;
    this.domains = this.domains.filter((other) => other !== domain);
    assertEquals(this.#destroy(domain.stdevId), "0", "DESTROY device");
    if (!this.kernel.revision.mockDomainBindsDevice) {
      assertEquals(this.#destroy(domain.hwptId), "0", "DESTROY hwpt");
    }
    if (!this.domains.some((other) => other.token === domain.token)) {
      this.ioases[domain.ioas]!.naive.removeDomain(domain.token);
    }
  }

  #destroy(id: number): string {
    const cmd = uapi.IommuDestroy.encode({ id });
    return errnoName(this.#ioctl(uapi.IOMMU_DESTROY, cmd));
  }

  #createAccess({ a, b }: Step): void {
    const { id, naive } = this.#ioas(a);
    const { accessNeedsPinPages } = this.kernel.revision;
    const needsPin = !accessNeedsPinPages || b % 4 !== 0;
    const expected = this.#predict(() => naive.addAccess(needsPin));
    const { ret, reply } = this.#test(
      uapi.IOMMU_TEST_OP_CREATE_ACCESS,
      uapi.TestCreateAccess.encode({
        id,
        flags: needsPin && accessNeedsPinPages
          ? uapi.MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES
          : 0,
      }),
    );
    this.#compare("CREATE_ACCESS", ret, expected.errno);
    if (expected.value) {
      const fd = uapi.TestCreateAccess.at(reply).outAccessFd;
      this.accesses.push({ fd, naive: expected.value });
    }
  }

  #pin({ a, b, c, d }: Step): void {
    const access = this.accesses[a % (this.accesses.length || 1)];
    if (!access || !access.naive.needsPin) return;
    const { naive } = access;
    const range = this.#rangeIn(naive.ioas, b, d);
    const iova = range.start;
    const length = range.last - range.start + 1n;
    const write = c % 2 === 0;
    const expected = this.#predict(() => naive.ioas.pin(naive, range, write));
    const { ret, reply } = this.#test(
      uapi.IOMMU_TEST_OP_ACCESS_PAGES,
      uapi.TestAccessPages.encode({
        id: access.fd,
        flags: write ? uapi.MOCK_FLAGS_ACCESS_WRITE : 0,
        iova,
        length,
        uptr: 0n,
      }),
    );
    this.#compare("ACCESS_PAGES", ret, expected.errno);
    if (expected.value) {
      const id = uapi.TestAccessPages.at(reply).outAccessPagesId;
      this.items.push({ accessFd: access.fd, id, naive: expected.value });
    }
  }

  #unpin({ a }: Step): void {
    const item = this.items[a % (this.items.length || 1)];
    if (!item) return;
    item.naive.access.ioas.unpin(item.naive);
    const { ret } = this.#test(
      uapi.IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
      uapi.TestDestroyAccessPages.encode({
        id: item.accessFd,
        accessPagesId: item.id,
      }),
    );
    assertEquals(ret, 0, "DESTROY_ACCESS_PAGES");
    this.#forgetItems();
  }

  #closeAccess({ a }: Step): void {
    const access = this.accesses[a % (this.accesses.length || 1)];
    if (!access) return;
    this.accesses = this.accesses.filter((other) => other !== access);
    access.naive.ioas.removeAccess(access.naive);
    assertEquals(this.process.close(access.fd), 0, "close access");
    this.#forgetItems();
  }

  #forgetItems(): void {
    this.items = this.items.filter((item) =>
      this.world.items.includes(item.naive)
    );
  }

  #remapUserMemory({ a, b }: Step): void {
    const page = a % BUFFER_PAGES;
    const npages = Math.min(b % 4 + 1, BUFFER_PAGES - page);
    const addr = this.buffer + page * PAGE;
    const mapped = !this.mappedPages[page];
    if (mapped) {
      const prot = uapi.PROT_READ | uapi.PROT_WRITE;
      const flags = this.mmapFlags | uapi.MAP_FIXED;
      const ret = this.process.mmap(addr, npages * PAGE, prot, flags, -1, 0);
      assertEquals(ret, addr, "mmap");
    } else {
      assertEquals(this.process.munmap(addr, npages * PAGE), 0, "munmap");
    }
    this.mappedPages.fill(mapped, page, page + npages);
  }

  #reserve({ a, b, d }: Step): void {
    const { id, naive } = this.#ioas(a);
    const start = BigInt(this.#iova(b));
    const length = BigInt(this.#length(d));
    const expected = this.#predict(() =>
      naive.reserve({ start, last: start + length - 1n })
    );
    const { ret } = this.#test(
      uapi.IOMMU_TEST_OP_ADD_RESERVED,
      uapi.TestAddReserved.encode({ id, start, length }),
    );
    this.#compare("ADD_RESERVED", ret, expected.errno);
  }

  #allow({ a, b, c, d }: Step): void {
    const { id, naive } = this.#ioas(a);
    const ranges: Range[] = [b, c].slice(0, d % 3).map((n) => {
      const start = BigInt(this.#iova(n));
      return { start, last: start + BigInt(this.#length(d)) - 1n };
    });
    const expected = this.#predict(() => naive.allow(ranges));
    const bytes = ranges.map((range) => uapi.IommuIovaRange.encode(range));
    // The array needs memory that the run does not unmap.
    const addr = this.process.mmap(
      0,
      PAGE,
      uapi.PROT_READ | uapi.PROT_WRITE,
      uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS,
      -1,
      0,
    );
    bytes.forEach((range, i) =>
      this.process.poke(addr + i * range.length, range)
    );
    const cmd = uapi.IommuIoasAllowIovas.encode({
      ioasId: id,
      numIovas: ranges.length,
      allowedIovas: BigInt(addr),
    });
    const ret = this.#ioctl(uapi.IOMMU_IOAS_ALLOW_IOVAS, cmd);
    this.#compare("ALLOW_IOVAS", ret, expected.errno);
    this.process.munmap(addr, PAGE);
  }

  #hugePages({ a, b }: Step): void {
    const { id, naive } = this.#ioas(a);
    const enabled = b % 2 === 0;
    const expected = this.#predict(() => naive.setLargePages(enabled));
    const cmd = uapi.IommuOption.encode({
      optionId: uapi.IOMMU_OPTION_HUGE_PAGES,
      op: uapi.IOMMU_OPTION_OP_SET,
      objectId: id,
      val64: enabled ? 1n : 0n,
    });
    const ret = this.#ioctl(uapi.IOMMU_OPTION, cmd);
    this.#compare("HUGE_PAGES", ret, expected.errno);
  }

  /** Pages that the operation pinned: the frame is the one behind the address now. */
  #settle(): void {
    for (const pages of this.world.allPages) {
      pages.pfns.forEach((pfn, i) => {
        if (pfn !== PENDING) return;
        const uaddr = Number(pages.uaddr) + i * PAGE;
        const frame = this.process.mm.userPage(uaddr);
        pages.pfns[i] = frame;
        this.frames.add(frame);
      });
    }
  }

  check(): void {
    const pins = this.world.pinsByFrame();
    for (const frame of this.frames) {
      const actual = this.kernel.frames.pins(frame);
      assertEquals(actual, pins.get(frame) ?? 0, `pins of frame ${frame}`);
    }
    assertEquals(this.process.mm.pinnedVm, this.world.pinned, "pinned_vm");
    const charged = this.world.lockLimit === undefined ? 0 : this.world.pinned;
    assertEquals(this.process.user.lockedVm, charged, "locked_vm");
    for (const hwptId of new Set(this.domains.map((d) => d.hwptId))) {
      this.#checkDomain(hwptId);
    }
    assertEquals(this.kernel.warnings.list, [], "warnings");
  }

  #checkDomain(hwptId: number): void {
    const [ctx] = this.kernel.iommufd.contexts;
    const hwpt = ctx!.objects.get(hwptId, HwptPaging);
    hwpt.put();
    const { domain } = hwpt;
    if (!(domain instanceof MockDomain)) throw new Error("Not a mock domain");
    const { ioas } = this.domains.find((d) => d.hwptId === hwptId)!;
    const expected = this.ioases[ioas]!.naive.granules();
    assertEquals(domain.entries, expected.size, "number of IOPTEs");
    for (const [granule, physical] of expected) {
      const paddr = domain.iovaToPhys(granule * 2048);
      assertEquals(paddr / 2048, physical, `IOPTE of granule ${granule}`);
    }
  }

  finish(): void {
    this.process.exit();
    assertEquals(this.kernel.audit(), [], "after exit");
  }
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.nat(1000),
  a: fc.nat(1000),
  b: fc.nat(1000),
  c: fc.nat(1000),
  d: fc.nat(1000),
});

function runsLikeTheModel(setting: Setting, seed: number, runs: number): void {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const run = new Run(setting);
      for (const one of steps) run.step(one);
      run.finish();
    }),
    { seed, numRuns: runs },
  );
}

/** 12 settings of 250 runs each: every difference that changes a path, in both revisions. */
const SETTINGS: Setting[] = (["v3", "6.12"] as const).flatMap((revision) => {
  const base = {
    revision,
    memoryLimit: 65536,
    unit: 2048,
    scattered: false,
    privateMemory: false,
    lockLimit: undefined,
  };
  return [
    base,
    { ...base, scattered: true },
    { ...base, memoryLimit: 16 },
    { ...base, memoryLimit: 40, scattered: true },
    { ...base, unit: 512, privateMemory: true },
    { ...base, lockLimit: 12 },
  ];
});

SETTINGS.forEach((setting, i) => {
  const { revision, memoryLimit, unit } = setting;
  const traits = [
    `batches of ${memoryLimit} bytes`,
    `units of ${unit} bytes`,
    setting.scattered ? "scattered frames" : "frames in order",
    setting.privateMemory ? "private memory" : "shared memory",
    setting.lockLimit ? `limit of ${setting.lockLimit} pages` : "no limit",
  ];
  Deno.test(`IOAS ioctls do what the naive model does: ${revision}, ${traits.join(", ")}`, () =>
    runsLikeTheModel(setting, 1000 + i, 250));
});
