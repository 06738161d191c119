// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_mock_domain`: what the loops of `iommufd_mock_domain` leave
 * out, and domains that come, go and are refused.
 *
 * @module
 */

import { EADDRINUSE, EFAULT, EINVAL, ENOENT } from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { MAP_PRIVATE, MAP_SHARED, PROT_READ } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { type Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import {
  checkCoveredRefs,
  checkMockIova,
  FILE_VARIANTS,
  memoryOf,
  MOCK_DOMAIN_VARIANTS,
  mockDomainNeeds,
  type MockDomainSelf,
  type MockDomainVariant,
  setupMockDomain,
} from "../iommufd/iommufd_mock_domain.ts";

type KitFixture = Fixture<MockDomainVariant, MockDomainSelf>;

const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the fixture's tests to `registry`. */
export function registerKitMockDomain(registry: Test[]): void {
  const f: KitFixture = fixture(registry, "kit_mock_domain", {
    variants: MOCK_DOMAIN_VARIANTS,
    upstream: false,
    needs: mockDomainNeeds,
    setup: setupMockDomain,
    teardown: ({ io }) => io.teardown(),
  });
  registerAllAligns(f);
  registerMemory(f);
  registerLifetime(f);
  registerRefusals(f);

  const files: KitFixture = fixture(registry, "kit_mock_domain_file", {
    variants: FILE_VARIANTS,
    since: "7.3",
    upstream: false,
    needs: mockDomainNeeds,
    setup: setupMockDomain,
    teardown: ({ io }) => io.teardown(),
  });
  registerAllAligns(files);
}

/** The two tests whose kernel namesakes never reach the end of the buffer. */
function registerAllAligns(f: KitFixture): void {
  f.test(
    "all_aligns",
    {
      description:
        "Memory is pinned once at every alignment and length, up to the end of the buffer",
      rules: ["P08.6", "P07.15"],
    },
    (self, variant) =>
      forAllAligns(self, variant, async (buf, start, end, iova) => {
        await checkMockIova(self, buf + start, iova, end - start);
        await checkCoveredRefs(self.io, buf, start, end, 1);
      }),
  );

  f.test(
    "all_aligns_copy",
    {
      description:
        "At every alignment and length a domain can be added and removed, up to the end of the buffer",
      rules: ["P09.17", "P09.19"],
    },
    (self, variant) =>
      forAllAligns(self, variant, async (buf, start, end, iova) => {
        const added = await self.io.mock.domain(self.ioasId);
        await checkMockIova(self, buf + start, iova, end - start, added);
        await checkCoveredRefs(self.io, buf, start, end, 1);
        await self.io.mock.destroyDomain(added);
        await checkMockIova(self, buf + start, iova, end - start);
      }),
  );
}

/** Maps every sub-range in 16 steps, runs `check` on it, and unmaps it. */
async function forAllAligns(
  self: MockDomainSelf,
  variant: MockDomainVariant,
  check: (
    buf: number,
    start: number,
    end: number,
    iova: bigint,
  ) => Promise<void>,
): Promise<void> {
  const { io, ioasId, mmapSize } = self;
  const step = mmapSize / 16;
  const memory = await memoryOf(self, variant);
  const buf = memory.address;
  await io.mock.checkRefs(buf, mmapSize, 0);
  for (let start = 0; start < mmapSize; start += step) {
    for (let end = start + step; end <= mmapSize; end += step) {
      const iova = await memory.map(ioasId, start, end - start);
      await check(buf, start, end, iova);
      const unmapped = await io.unmap(ioasId, iova, end - start);
      assertEq(unmapped, BigInt(end - start), "bytes unmapped");
    }
  }
  await io.mock.checkRefs(buf, mmapSize, 0);
  await memory.unmap();
}

/** What memory can be mapped for. */
function registerMemory(f: KitFixture): void {
  f.test("read_only_memory", {
    description: "Memory without write permission can be mapped for reading",
    rules: ["S12"],
  }, async ({ io, ioasId }, { hugepages }) => {
    if (hugepages) return;
    const { page } = io;
    const read = IOMMU_IOAS_MAP_READABLE;
    const write = IOMMU_IOAS_MAP_WRITEABLE;
    const shared = await io.mmap(page, MAP_SHARED, PROT_READ);
    const own = await io.mmap(page, MAP_PRIVATE, PROT_READ);
    // Breaking copy-on-write by force works for private memory only.
    const force = io.revision.pages.readPinsForceWrite ? EFAULT : undefined;
    await io.mapFixed(ioasId, shared, page, IOVA, force, read);
    await io.mapFixed(ioasId, own, page, IOVA + page, undefined, read);
    const next = IOVA + 2n * page;
    await io.mapFixed(ioasId, shared, page, next, EFAULT, write);
    await io.mapFixed(ioasId, own, page, next, EFAULT, write);
    await io.mapFixed(ioasId, own, page, next, EFAULT, read | write);
    await io.unmap(ioasId, IOVA + page, page);
  });

  f.test("long_runs", {
    description: "Long runs of memory that is not in order reach the domains",
    rules: ["P07.15"],
  }, async ({ io, ioasId, domains }, { hugepages }) => {
    if (hugepages) return;
    const { pageSize } = io.context;
    const run = 100 * pageSize;
    const buf = await io.mmap(4 * run, MAP_PRIVATE);
    // Touched from the last run to the first, it is likely to be in four pieces.
    for (let at = 3 * run; at >= 0; at -= run) {
      for (let page = at; page < at + run; page += pageSize) {
        await io.process.poke(buf + page, Uint8Array.of(1));
      }
    }
    await io.mapFixed(ioasId, buf, 4 * run, IOVA);
    for (const { hwptId } of domains) {
      await io.mock.checkMap(hwptId, IOVA, 4 * run, buf);
    }
    await io.mock.checkRefs(buf, 4 * run, 1);
    await io.unmap(ioasId, IOVA, 4 * run);
    await io.mock.checkRefs(buf, 4 * run, 0);
    await io.munmap(buf, 4 * run);
  });

  f.test("keeps_pages", {
    description: "A domain keeps the pages it has when their owner unmaps them",
    rules: ["P07.1", "P08.15"],
  }, async (self) => {
    const { io, ioasId, mmapFlags, mmapSize } = self;
    const buf = await io.mmap(mmapSize, mmapFlags);
    await io.mapFixed(ioasId, buf, mmapSize, IOVA);
    await checkMockIova(self, buf, IOVA, mmapSize);
    await io.munmap(buf, mmapSize);
    // What is mapped now is other memory than what the domain has.
    const other = await io.mmap(mmapSize, mmapFlags);
    const { hwptId } = self.domains[0]!;
    await io.mock.checkMap(hwptId, IOVA, mmapSize, other, EINVAL);
    await io.mock.checkRefs(other, mmapSize, 0);
    await io.munmap(other, mmapSize);
  });

  f.test("fault_rolls_back", {
    description:
      "A map that meets bad memory in its midst unpins what it had pinned",
    rules: ["P08.6", "B25"],
  }, async ({ io, ioasId, mmapFlags, mmapSize }, { hugepages }) => {
    const buf = await io.mmap(mmapSize, mmapFlags);
    await io.munmap(buf + mmapSize / 2, mmapSize / 2);
    await io.mapFixed(ioasId, buf, mmapSize, IOVA, EFAULT);
    await io.mock.checkRefs(buf, mmapSize / 2, 0);
    await io.unmap(ioasId, IOVA, mmapSize, ENOENT);
    await io.mapFixed(ioasId, buf, mmapSize / 2, IOVA);
    const pins = hugepages ? 0 : 1;
    await io.mock.checkRefs(buf, mmapSize / 2, pins);
    assertEq(await io.unmap(ioasId, 0n, U64_MAX), BigInt(mmapSize / 2), "all");
  });
}

/** Domains that come and go while memory is mapped. */
function registerLifetime(f: KitFixture): void {
  f.test("domains_come_and_go", {
    description: "Pages stay pinned as long as any domain has them",
    rules: ["P09.19", "B19"],
  }, async (self, { hugepages }) => {
    const { io, ioasId, domains, mmapFlags, mmapSize } = self;
    const buf = await io.mmap(mmapSize, mmapFlags);
    const one = hugepages ? 0 : 1;
    await io.mapFixed(ioasId, buf, mmapSize, IOVA);
    await io.mapFixed(ioasId, buf, io.page, IOVA + BigInt(mmapSize));
    const added = await io.mock.domain(ioasId);
    await checkMockIova(self, buf, IOVA, mmapSize, added);
    for (const domain of domains) {
      await io.mock.destroyDomain(domain);
      await io.mock.checkMap(added.hwptId, IOVA, mmapSize, buf);
      await io.mock.checkRefs(buf + io.context.pageSize, io.page, one);
    }
    await io.mock.destroyDomain(added);
    await io.mock.checkRefs(buf, mmapSize, 0);
    const again = await io.mock.domain(ioasId);
    await io.mock.checkMap(again.hwptId, IOVA, mmapSize, buf);
    await io.mock.checkRefs(buf + io.context.pageSize, io.page, one);
    await io.unmap(ioasId, IOVA, mmapSize);
    await io.unmap(ioasId, 0n, U64_MAX);
    await io.mock.checkRefs(buf, mmapSize, 0);
  });

  f.test("pin_outlasts_domains", {
    description: "A pin keeps its pages when all domains go, and no others",
    rules: ["P08.8", "S13"],
  }, async (self, { hugepages }) => {
    const { io, ioasId, domains, mmapFlags, mmapSize } = self;
    const { page } = io;
    const buf = await io.mmap(mmapSize, mmapFlags);
    const one = hugepages ? 0 : 1;
    await io.mapFixed(ioasId, buf, mmapSize, IOVA);
    const access = await io.mock.createAccess(ioasId, true);
    const at = 3n * page;
    const range = {
      iova: IOVA + at,
      length: 2n * page,
      uptr: BigInt(buf) + at,
    };
    const item = await io.mock.accessPages(access, range);
    for (const domain of domains) await io.mock.destroyDomain(domain);
    await io.mock.checkRefs(range.uptr, range.length, one);
    await io.mock.checkRefs(buf, 3n * page, 0);
    const behind = range.uptr + range.length;
    await io.mock.checkRefs(behind, BigInt(mmapSize) - 5n * page, 0);
    const domain = await io.mock.domain(ioasId);
    await io.mock.checkMap(domain.hwptId, IOVA, mmapSize, buf);
    await io.mock.destroyAccessPages(access, item);
    await io.mock.checkRefs(buf, page, one);
    await io.mock.destroyAccess(access);
  });
}

/** Domains that an IOAS cannot take. */
function registerRefusals(f: KitFixture): void {
  f.table("area_outside_aperture", {
    description:
      "A domain that cannot map an existing area is refused, and leaves no trace",
    rules: ["P09.17"],
    prepare: async ({ io }) => ({ io, ioasId: await io.ioasAlloc() }),
    async finish({ io, ioasId }) {
      const { page, buffer } = io;
      await io.mapFixed(ioasId, buffer, page, IOVA);
      await io.mock.domain(ioasId);
      const errno = io.revision.ioas.reservedIovaErrno;
      await io.mapFixed(ioasId, buffer, page, IOVA - page, errno);
    },
  }, (t) => {
    const places: [string, (page: bigint) => bigint][] = [
      ["0", () => 0n],
      ["the page before", (page) => IOVA - page],
      ["the page behind", () => 2n ** 31n],
      ["2^63", () => 2n ** 63n],
    ];
    for (const [what, place] of places) {
      t.case(what, async ({ io, ioasId }) => {
        const iova = place(io.page);
        await io.mapFixed(ioasId, io.buffer, io.page, iova);
        await io.mock.domain(ioasId, EADDRINUSE);
        const ranges = await io.iovaRanges(ioasId, 1, io.scratch);
        assertEq(ranges.numIovas, 1, "ranges after the refusal");
        assertEq(ranges.outIovaAlignment, 1n, "alignment after the refusal");
        await io.unmap(ioasId, iova, io.page);
      });
    }
  });

  f.table("alignment_conflict", {
    description:
      "A domain is refused while an area lacks its alignment in IOVA, length or memory",
    rules: ["B08"],
    prepare: async ({ io }) => ({ io, ioasId: await io.ioasAlloc() }),
    finish: ({ io, ioasId }) => io.mock.domain(ioasId),
  }, (t) => {
    type Area = { iova: bigint; userVa: bigint; length: bigint };
    const rows: [string, (io: Iommufd) => Partial<Area>][] = [
      ["an IOVA off by one", () => ({ iova: IOVA + 1n })],
      ["a length off by one", ({ page }) => ({ length: page + 1n })],
      ["memory off by one", ({ buffer }) => ({ userVa: BigInt(buffer) + 1n })],
      ["memory half an IO page off", ({ buffer, mockPage }) => ({
        userVa: BigInt(buffer) + mockPage / 2n,
        length: mockPage,
      })],
    ];
    for (const [what, areaOf] of rows) {
      t.case(what, async ({ io, ioasId }) => {
        const whole = {
          iova: IOVA,
          userVa: BigInt(io.buffer),
          length: io.page,
        };
        const { iova, userVa, length } = { ...whole, ...areaOf(io) };
        await io.mapFixed(ioasId, userVa, length, iova);
        await io.mock.domain(ioasId, EADDRINUSE);
        await io.unmap(ioasId, iova, length);
      });
    }
  });

  f.test("alignment_told", {
    description: "The alignment that is needed is told, and is that of domains",
    rules: ["B08"],
  }, async ({ io }) => {
    const { mockPage } = io;
    const buffer = BigInt(io.buffer);
    const ioasId = await io.ioasAlloc();
    await io.mapFixed(ioasId, buffer + mockPage, mockPage, IOVA + mockPage);
    const domain = await io.mock.domain(ioasId);
    let ranges = await io.iovaRanges(ioasId, 1, io.scratch);
    assertEq(ranges.outIovaAlignment, mockPage, "alignment with a domain");
    const second = await io.mock.domain(ioasId);
    await io.mock.destroyDomain(domain);
    ranges = await io.iovaRanges(ioasId, 1, io.scratch);
    assertEq(ranges.outIovaAlignment, mockPage, "alignment with the other");
    await io.mapFixed(
      ioasId,
      buffer + 1n,
      mockPage,
      IOVA + 8n * mockPage,
      EINVAL,
    );
    await io.mock.destroyDomain(second);
    ranges = await io.iovaRanges(ioasId, 1, io.scratch);
    assertEq(ranges.outIovaAlignment, 1n, "alignment without");
    await io.unmap(ioasId, IOVA + mockPage, mockPage);
  });

  f.test("domain_over_bad_memory", {
    description: "A domain is refused when an area's memory cannot be pinned",
    rules: ["P09.17"],
  }, async ({ io }) => {
    const { page, buffer, bufferSize } = io;
    const ioasId = await io.ioasAlloc();
    const bad = IOVA + 2n * bufferSize;
    await io.mapFixed(ioasId, buffer, bufferSize, IOVA);
    await io.mapFixed(ioasId, 2n ** 31n, page, bad);
    await io.mock.domain(ioasId, EFAULT);
    await io.mock.checkRefs(buffer, bufferSize, 0);
    await io.unmap(ioasId, bad, page);
    const domain = await io.mock.domain(ioasId);
    await io.mock.checkMap(domain.hwptId, IOVA, bufferSize, buffer);
    await io.mock.checkRefs(buffer, bufferSize, 1);
  });
}
