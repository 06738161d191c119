// SPDX-License-Identifier: GPL-2.0-only

/**
 * Random operations on a kernel and on the naive model.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import * as uapi from "../../uapi/mod.ts";
import { Access } from "../access/access.ts";
import { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { Ioas } from "../ioas/ioas.ts";
import { BUFFER_PAGES, IoptState, type LiveIoas } from "./iopt_state.ts";
import type { NaiveIoas, Range } from "./naive_iopt.ts";

const PAGE = 4096;
const IOVA_BASE = 1 << 24;

/** What an operation can be, the likely ones more than once. */
const KINDS = [
  "mapFixed",
  "mapFixed",
  "mapAuto",
  "unmap",
  "unmapAll",
  "copy",
  "copy",
  "mockDomain",
  "mockDomain",
  "destroyDomain",
  "createAccess",
  "createAccess",
  "pin",
  "pin",
  "pin",
  "unpin",
  "closeAccess",
  "remapUserMemory",
  "reserve",
  "allow",
  "hugePages",
] as const;
type Kind = typeof KINDS[number];

/** Those that have to do with where a map goes. */
const PLACING: readonly Kind[] = [
  "mapFixed",
  "mapAuto",
  "unmap",
  "copy",
  "reserve",
  "allow",
];

/** One operation: a kind, and numbers that it makes arguments of. */
export interface Step {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** A sequence of random operations. */
export class IoptRun extends IoptState {
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
    this.#perform[KINDS[step.kind % KINDS.length]!](step);
    this.settle();
    this.check();
  }

  readonly #perform: Readonly<Record<Kind, (step: Step) => void>> = {
    mapFixed: (step) => this.#map(step, BigInt(this.#iova(step.b))),
    mapAuto: (step) => this.#map(step, undefined),
    unmap: (step) => this.#unmap(step),
    unmapAll: (step) => this.#unmapAll(step),
    copy: (step) => this.#copy(step),
    mockDomain: (step) => this.#mockDomain(step),
    destroyDomain: (step) => this.#destroyDomain(step),
    createAccess: (step) => this.#createAccess(step),
    pin: (step) => this.#pin(step),
    unpin: (step) => this.#unpin(step),
    closeAccess: (step) => this.#closeAccess(step),
    remapUserMemory: (step) => this.#remapUserMemory(step),
    reserve: (step) => this.#reserve(step),
    allow: (step) => this.#allow(step),
    hugePages: (step) => this.#hugePages(step),
  };

  #map({ a, c, d }: Step, iova: bigint | undefined): void {
    const { id, naive } = this.#ioas(a);
    const uaddr = BigInt(this.#uaddr(c));
    const length = BigInt(this.#length(d));
    const writable = a % 5 !== 0;
    let cmd = new Uint8Array();
    const { value } = this.perform({
      what: "MAP",
      issue: () => {
        cmd = uapi.IommuIoasMap.encode({
          flags: (iova === undefined ? 0 : uapi.IOMMU_IOAS_MAP_FIXED_IOVA) |
            uapi.IOMMU_IOAS_MAP_READABLE |
            (writable ? uapi.IOMMU_IOAS_MAP_WRITEABLE : 0),
          ioasId: id,
          userVa: uaddr,
          length,
          iova: iova ?? 0n,
        });
        return this.ioctl(uapi.IOMMU_IOAS_MAP, cmd);
      },
      predict: () => naive.map({ iova, uaddr, length, writable }),
      answersLast: true,
    });
    if (value === undefined) return;
    assertEquals(uapi.IommuIoasMap.at(cmd).iova, value, "MAP iova");
  }

  #copy({ a, b, c, d }: Step): void {
    const source = this.#ioas(a);
    const target = this.#ioas(b >> 3);
    const from = this.#rangeIn(source.naive, c, d);
    const sourceIova = from.start;
    const length = from.last - from.start + 1n;
    const iova = b % 3 === 0 ? undefined : BigInt(this.#iova(b));
    const writable = a % 3 !== 0;
    let cmd = new Uint8Array();
    const { value } = this.perform({
      what: "COPY",
      issue: () => {
        cmd = uapi.IommuIoasCopy.encode({
          flags: (iova === undefined ? 0 : uapi.IOMMU_IOAS_MAP_FIXED_IOVA) |
            uapi.IOMMU_IOAS_MAP_READABLE |
            (writable ? uapi.IOMMU_IOAS_MAP_WRITEABLE : 0),
          dstIoasId: target.id,
          srcIoasId: source.id,
          length,
          dstIova: iova ?? 0n,
          srcIova: sourceIova,
        });
        return this.ioctl(uapi.IOMMU_IOAS_COPY, cmd);
      },
      predict: () => {
        const options = { sourceIova, length, iova, writable };
        return target.naive.copy(source.naive, options);
      },
      answersLast: true,
    });
    if (value === undefined) return;
    assertEquals(uapi.IommuIoasCopy.at(cmd).dstIova, value, "COPY iova");
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
    let cmd = new Uint8Array();
    const { value } = this.perform({
      what: "UNMAP",
      issue: () => {
        cmd = uapi.IommuIoasUnmap.encode({
          ioasId: id,
          iova: range.start,
          length: all ? range.last : range.last - range.start + 1n,
        });
        return this.ioctl(uapi.IOMMU_IOAS_UNMAP, cmd);
      },
      predict: () => {
        const result = { unmapped: 0n };
        naive.unmap(range, result);
        if (!all && result.unmapped === 0n) {
          throw uapi.ENOENT.because("nothing is mapped in the range");
        }
        return result.unmapped;
      },
      answersLast: true,
    });
    if (value !== undefined) {
      assertEquals(uapi.IommuIoasUnmap.at(cmd).length, value, "UNMAP length");
    }
    this.#forgetItems();
  }

  #mockDomain({ a }: Step): void {
    const ioas = a % this.ioases.length;
    const { id, naive } = this.ioases[ioas]!;
    const { mockDomainBindsDevice } = this.kernel.revision.selftest;
    let ids = { stdevId: 0, hwptId: 0 };
    const { value: token } = this.perform({
      what: "MOCK_DOMAIN",
      issue: () => {
        const { ret, reply } = this.test(
          uapi.IOMMU_TEST_OP_MOCK_DOMAIN,
          uapi.TestMockDomain.encode({ id }),
        );
        const { outStdevId, outHwptId, id: domainId } = uapi.TestMockDomain.at(
          reply,
        );
        const hwptId = mockDomainBindsDevice ? outHwptId : domainId;
        ids = { stdevId: outStdevId, hwptId };
        return ret;
      },
      predict: () => {
        const shared = this.sharedDomain(ioas, ids.hwptId);
        if (shared) return shared;
        const token = {};
        naive.addDomain(token);
        return token;
      },
      answersLast: !mockDomainBindsDevice,
      lost: (token) =>
        this.domains.push({ ioas, ...this.#findDomain(), token }),
    });
    if (token) this.domains.push({ ioas, ...ids, token });
  }

  /** The ids of a mock domain that nobody was told. */
  #findDomain(): { stdevId: number; hwptId: number } {
    const ids = { stdevId: 0, hwptId: 0 };
    for (const object of this.ctx.objects) {
      if (object instanceof Ioas || object instanceof Access) continue;
      const which = object instanceof HwptPaging ? "hwptId" : "stdevId";
      const known = this.domains.some((domain) => domain[which] === object.id);
      if (!known) ids[which] = object.id;
    }
    return ids;
  }

  #destroyDomain({ a }: Step): void {
    const domain = this.domains[a % (this.domains.length || 1)];
    if (!domain) return;
    const { stdevId, hwptId, token } = domain;
    const destroysHwpt = !this.kernel.revision.selftest.mockDomainBindsDevice;
    this.#destroy(stdevId, () => {
      this.domains = this.domains.filter((other) => other !== domain);
      if (destroysHwpt) this.loneHwpts++;
      if (this.domains.some((other) => other.token === token)) return;
      this.ioases[domain.ioas]!.naive.removeDomain(token);
    });
    if (destroysHwpt) this.#destroy(hwptId, () => this.loneHwpts--);
  }

  #destroy(id: number, predict: () => void): void {
    this.perform({
      what: "DESTROY",
      issue: () => {
        const cmd = uapi.IommuDestroy.encode({ id });
        return this.ioctl(uapi.IOMMU_DESTROY, cmd);
      },
      predict,
    });
  }

  #createAccess({ a, b }: Step): void {
    const { id, naive } = this.#ioas(a);
    const { needsPinPages } = this.kernel.revision.access;
    const needsPin = !needsPinPages || b % 4 !== 0;
    let fd = -1;
    const { value } = this.perform({
      what: "CREATE_ACCESS",
      issue: () => {
        const { ret, reply } = this.test(
          uapi.IOMMU_TEST_OP_CREATE_ACCESS,
          uapi.TestCreateAccess.encode({
            id,
            flags: needsPin && needsPinPages
              ? uapi.MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES
              : 0,
          }),
        );
        fd = uapi.TestCreateAccess.at(reply).outAccessFd;
        return ret;
      },
      predict: () => naive.addAccess(needsPin),
    });
    if (value) this.accesses.push({ fd, naive: value });
  }

  #pin({ a, b, c, d }: Step): void {
    const access = this.accesses[a % (this.accesses.length || 1)];
    if (!access || !access.naive.needsPin) return;
    const { naive } = access;
    const range = this.#rangeIn(naive.ioas, b, d);
    const iova = range.start;
    const length = range.last - range.start + 1n;
    const write = c % 2 === 0;
    let id = -1;
    const { value } = this.perform({
      what: "ACCESS_PAGES",
      issue: () => {
        const { ret, reply } = this.test(
          uapi.IOMMU_TEST_OP_ACCESS_PAGES,
          uapi.TestAccessPages.encode({
            id: access.fd,
            flags: write ? uapi.MOCK_FLAGS_ACCESS_WRITE : 0,
            iova,
            length,
            uptr: 0n,
          }),
        );
        id = uapi.TestAccessPages.at(reply).outAccessPagesId;
        return ret;
      },
      predict: () => naive.ioas.pin(naive, range, write),
    });
    if (value) this.items.push({ accessFd: access.fd, id, naive: value });
  }

  #unpin({ a }: Step): void {
    const item = this.items[a % (this.items.length || 1)];
    if (!item) return;
    this.perform({
      what: "DESTROY_ACCESS_PAGES",
      issue: () =>
        this.test(
          uapi.IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
          uapi.TestDestroyAccessPages.encode({
            id: item.accessFd,
            accessPagesId: item.id,
          }),
        ).ret,
      predict: () => item.naive.access.ioas.unpin(item.naive),
    });
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
    this.perform({
      what: "ADD_RESERVED",
      issue: () =>
        this.test(
          uapi.IOMMU_TEST_OP_ADD_RESERVED,
          uapi.TestAddReserved.encode({ id, start, length }),
        ).ret,
      predict: () => naive.reserve({ start, last: start + length - 1n }),
    });
  }

  #allow({ a, b, c, d }: Step): void {
    const { id, naive } = this.#ioas(a);
    const ranges: Range[] = [b, c].slice(0, d % 3).map((n) => {
      const start = BigInt(this.#iova(n));
      return { start, last: start + BigInt(this.#length(d)) - 1n };
    });
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
    this.perform({
      what: "ALLOW_IOVAS",
      issue: () => {
        const cmd = uapi.IommuIoasAllowIovas.encode({
          ioasId: id,
          numIovas: ranges.length,
          allowedIovas: BigInt(addr),
        });
        return this.ioctl(uapi.IOMMU_IOAS_ALLOW_IOVAS, cmd);
      },
      predict: () => naive.allow(ranges),
    });
    this.process.munmap(addr, PAGE);
  }

  #hugePages({ a, b }: Step): void {
    const { id, naive } = this.#ioas(a);
    const enabled = b % 2 === 0;
    this.perform({
      what: "HUGE_PAGES",
      issue: () => {
        const cmd = uapi.IommuOption.encode({
          optionId: uapi.IOMMU_OPTION_HUGE_PAGES,
          op: uapi.IOMMU_OPTION_OP_SET,
          objectId: id,
          val64: enabled ? 1n : 0n,
        });
        return this.ioctl(uapi.IOMMU_OPTION, cmd);
      },
      predict: () => naive.setLargePages(enabled),
      answersLast: true,
    });
  }
}

/** Enough for every byte of the memory, and of as much IOVA. */
const argument = fc.nat(0xffff);

function stepOf(kind: fc.Arbitrary<number>): fc.Arbitrary<Step> {
  return fc.record({
    kind,
    a: argument,
    b: argument,
    c: argument,
    d: argument,
  });
}

/** Any operation. */
export const anyStep: fc.Arbitrary<Step> = stepOf(argument);

/** An operation that chooses an IOVA, or decides which ones can be chosen. */
export const placingStep: fc.Arbitrary<Step> = stepOf(
  fc.constantFrom(...PLACING.map((kind) => KINDS.indexOf(kind))),
);
