// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `iommufd_mock_domain`: one or two mock devices, ordinary and huge
 * pages.
 *
 * @module
 */

import {
  EBUSY,
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_IOAS_MAP_READABLE,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  MAP_HUGETLB,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  O_RDONLY,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertOk,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import type { Version } from "../../impl/uapi/revision/versions.ts";
import { mapFile, memfdMmap } from "../ioctls/file_ioctls.ts";
import { hwptAlloc } from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { copyProt } from "../iommufd_ioas/iommufd_ioas_copy.ts";
import type { MockDomain } from "../ioctls/mock_ioctls.ts";
import { devCheckCacheAll } from "../ioctls/viommu_ioctls.ts";
import type { Need } from "../target/capabilities.ts";
import { testDifferences } from "./test_differences.ts";

/** Parameters of a variant. */
export interface MockDomainVariant {
  /** Mock devices attached to the IOAS. */
  readonly mockDomains: number;
  /** Whether the memory is of huge pages, or as long as those. */
  readonly hugepages: boolean;
  /** Whether the memory is a file's, and mapped as such. */
  readonly file: boolean;
  /** The first version that has the variant. */
  readonly since?: Version;
}

/** What the tests share. */
export interface MockDomainSelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** The IOAS. */
  readonly ioasId: number;
  /** The mock devices. */
  readonly domains: readonly MockDomain[];
  /** Flags of mmap beside ANONYMOUS. */
  readonly mmapFlags: number;
  /** Bytes of the memory that a test maps for itself. */
  readonly mmapSize: number;
}

/** The fixture under construction. */
type MockDomainFixture = Fixture<MockDomainVariant, MockDomainSelf>;

/** The kernel's variants with memory that is no file's. */
export const MOCK_DOMAIN_VARIANTS: Readonly<Record<string, MockDomainVariant>> =
  {
    one_domain: { mockDomains: 1, hugepages: false, file: false },
    two_domains: { mockDomains: 2, hugepages: false, file: false },
    one_domain_hugepage: { mockDomains: 1, hugepages: true, file: false },
    two_domains_hugepage: { mockDomains: 2, hugepages: true, file: false },
  };

/** The kernel's variants with files. */
export const FILE_VARIANTS: Readonly<Record<string, MockDomainVariant>> = {
  one_domain_file: {
    mockDomains: 1,
    hugepages: false,
    file: true,
    since: "7.3",
  },
  one_domain_file_hugepage: {
    mockDomains: 1,
    hugepages: true,
    file: true,
    since: "7.3",
  },
};

/** What a variant of the fixture needs of the target. */
export function mockDomainNeeds(
  { hugepages, file }: MockDomainVariant,
): readonly Need[] {
  if (file) return ["map_file"];
  return hugepages ? ["hugetlb"] : [];
}

/** Adds the fixture's tests to `registry`. */
export function registerIommufdMockDomain(registry: Test[]): void {
  const f: MockDomainFixture = fixture(registry, "iommufd_mock_domain", {
    variants: { ...MOCK_DOMAIN_VARIANTS, ...FILE_VARIANTS },
    upstream: true,
    scopeOf: (variant) => variant,
    needs: mockDomainNeeds,
    setup: setupMockDomain,
    teardown: ({ io }) => io.teardown(),
  });
  registerBasic(f);
  registerAllAligns(f);
  registerUserCopy(f);
  registerReplace(f);
}

/** Opens an iommufd with an IOAS and the variant's mock devices. */
export async function setupMockDomain(
  context: Context,
  { mockDomains, hugepages }: MockDomainVariant,
): Promise<MockDomainSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  const domains: MockDomain[] = [];
  const { checksDeviceCache } = testDifferences(io.revision);
  for (let i = 0; i < mockDomains; i++) {
    domains.push(await io.mock.domain(ioasId));
    if (checksDeviceCache) await devCheckCacheAll(io, domains[0]!.idevId);
  }
  // With MAP_POPULATE mmap itself fails where there are too few huge pages.
  const mmapFlags = MAP_SHARED | (hugepages ? MAP_HUGETLB | MAP_POPULATE : 0);
  const mmapSize = hugepages ? 2 * context.hugePageSize : 8 * context.pageSize;
  return { io, ioasId, domains, mmapFlags, mmapSize };
}

/**
 * Has the kernel check that user pages are in the first domain and in the
 * second, if any. `second` stands in for the second.
 */
export async function checkMockIova(
  { io, domains }: MockDomainSelf,
  uptr: number,
  iova: bigint,
  length: number | bigint,
  second: MockDomain | undefined = domains[1],
): Promise<void> {
  await io.mock.checkMap(domains[0]!.hwptId, iova, length, uptr);
  if (second) await io.mock.checkMap(second.hwptId, iova, length, uptr);
}

/** Memory to map into the IOAS. */
export interface Memory {
  /** Its address. */
  readonly address: number;
  /** Maps a part of it; returns the IOVA. */
  map(
    ioasId: number,
    start: number,
    length: number | bigint,
    errno?: Errno,
  ): Promise<bigint>;
  /** Takes it away from the process. */
  unmap(): Promise<void>;
}

function userMemory(io: Iommufd, address: number, length: number): Memory {
  return {
    address,
    map: (ioasId, start, ...rest) => io.map(ioasId, address + start, ...rest),
    unmap: () => io.munmap(address, length),
  };
}

async function fileMemory(io: Iommufd, length: number): Promise<Memory> {
  const { fd, address } = await memfdMmap(io, length);
  return {
    address,
    map: (ioasId, ...rest) => mapFile(io, ioasId, fd, ...rest),
    async unmap() {
      await io.munmap(address, length);
      assertEq(await io.process.close(fd), 0, "close the file");
    },
  };
}

/** Fresh memory of a variant's kind. */
export async function memoryOf(
  { io, mmapFlags, mmapSize }: MockDomainSelf,
  { file }: MockDomainVariant,
): Promise<Memory> {
  if (file) return await fileMemory(io, mmapSize);
  return userMemory(io, await io.mmap(mmapSize, mmapFlags), mmapSize);
}

/** Asserts that all pages that `[start, end)` covers whole from its first page on have `refs` pins. */
export async function checkCoveredRefs(
  io: Iommufd,
  buf: number,
  start: number,
  end: number,
  refs: number,
): Promise<void> {
  const { pageSize } = io.context;
  const first = Math.floor(start / pageSize) * pageSize;
  const length = Math.floor(end / pageSize) * pageSize - first;
  await io.mock.checkRefs(buf + first, length, refs);
}

/** Tests `basic` and `ro_unshare`. */
function registerBasic(f: MockDomainFixture): void {
  f.test("basic", {
    description: "A map reaches the domains; bad memory is found and undone",
    rules: ["P08.6"],
  }, (self, { file }) => file ? checkBasicFile(self) : checkBasic(self));

  f.test("ro_unshare", {
    description:
      "A write to private file memory does not change the page that is mapped for reading",
    rules: ["S12"],
    since: "6.2",
  }, checkReadOnlyUnshare);
}

/** Test `basic`. */
async function checkBasic(self: MockDomainSelf): Promise<void> {
  const { io, ioasId, mmapSize, mmapFlags } = self;
  const iova = await io.map(ioasId, io.buffer, io.page);
  await checkMockIova(self, io.buffer, iova, io.page);

  const buf = await io.mmap(mmapSize, mmapFlags);
  await io.munmap(buf + mmapSize / 2, mmapSize / 2);
  await io.map(ioasId, buf, mmapSize, EFAULT);
  await io.munmap(buf, mmapSize / 2);
  await io.map(ioasId, buf, mmapSize, EFAULT);
}

/** The same with a file: a part that it does not have, or has no more, is bad. */
async function checkBasicFile(self: MockDomainSelf): Promise<void> {
  const { io, ioasId, mmapSize } = self;
  const whole = await memfdMmap(io, io.memory.bufferSize);
  const iova = await mapFile(io, ioasId, whole.fd, 0, io.page);
  await checkMockIova(self, whole.address, iova, io.page);

  const { fd } = await memfdMmap(io, mmapSize);
  await mapFile(io, ioasId, fd, 0, mmapSize + 1, EINVAL);
  assertEq(await io.process.ftruncate(fd, 0), 0, "ftruncate");
  await mapFile(io, ioasId, fd, 0, mmapSize, EINVAL);
  assertEq(await io.process.close(fd), 0, "close the file");
}

/** Test `ro_unshare`. */
async function checkReadOnlyUnshare(self: MockDomainSelf): Promise<void> {
  const { io, ioasId } = self;
  const { process } = io;
  const { pageSize } = io.context;
  const fd = assertOk(await process.open("/proc/self/exe", O_RDONLY), "open");
  const buf = assertOk(
    await process.mmap(0, pageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0),
    "mmap the file",
  );
  assertEq(await process.close(fd), 0, "close the file");

  const iova = await io.map(
    ioasId,
    buf,
    pageSize,
    undefined,
    IOMMU_IOAS_MAP_READABLE,
  );
  await checkMockIova(self, buf, iova, pageSize);
  await process.poke(buf, new Uint8Array(pageSize).fill(1));
  await checkMockIova(self, buf, iova, pageSize);
  await io.munmap(buf, pageSize);
}

/** Tests `all_aligns` and `all_aligns_copy`. */
function registerAllAligns(f: MockDomainFixture): void {
  f.test(
    "all_aligns",
    {
      description: "Memory is pinned once at every alignment and length",
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
        "At every alignment and length a domain can be added and removed while memory is mapped",
      rules: ["P09.17", "P09.19"],
    },
    (self, variant) =>
      forAllAligns(self, variant, async (buf, start, end, iova) => {
        const added = await self.io.mock.domain(self.ioasId);
        await checkMockIova(self, buf + start, iova, end - start, added);
        await checkCoveredRefs(self.io, buf, start, end, 1);
        await self.io.mock.destroyDomain(added);
      }),
  );
}

/**
 * The loop of both tests: maps every sub-range of a buffer in steps of a mock
 * page, runs `check` on it, unmaps it. The C loop, kept as it is, never
 * reaches the end of the buffer, and so does nothing with huge pages; fixture
 * `kit_mock_domain` does.
 */
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
  const { hugepages } = variant;
  const mockPage = Number(io.mockPage);
  const step = hugepages ? mmapSize / 16 : mockPage;
  const memory = await memoryOf(self, variant);
  const buf = memory.address;
  await io.mock.checkRefs(buf, mmapSize, 0);
  for (let start = 0; start < mmapSize; start += step) {
    let end = hugepages ? mmapSize : start + mockPage;
    for (; end < mmapSize; end += mockPage) {
      const iova = await memory.map(ioasId, start, end - start);
      await check(buf, start, end, iova);
      await io.unmap(ioasId, iova, end - start);
    }
  }
  await io.mock.checkRefs(buf, mmapSize, 0);
  await memory.unmap();
}

/** Test `user_copy`. */
function registerUserCopy(f: MockDomainFixture): void {
  f.test("user_copy", {
    description:
      "Pages that an access pinned in one IOAS can be copied to one with domains",
    rules: ["P00.1", "P07.1"],
  }, async (self, { file }) => {
    const { io, ioasId } = self;
    const { bufferSize } = io.memory;
    const memory = file
      ? await fileMemory(io, bufferSize)
      : userMemory(io, io.buffer, bufferSize);
    let source = await io.ioasAlloc();
    let srcIova = await memory.map(source, 0, bufferSize);
    const access = await io.mock.createAccess(source, true);
    let item = await pinAndCopy(self, memory, access, source, srcIova);

    // Moving to another IOAS makes the access give up what it pinned.
    if (io.revision.access.attachesLater) {
      const old = source;
      source = await io.ioasAlloc();
      srcIova = await memory.map(source, 0, bufferSize);
      await io.mock.accessReplaceIoas(access, source);
      await io.unmap(ioasId, BigInt(MOCK_APERTURE_START), io.bufferSize);
      await io.destroy(old);
      item = await pinAndCopy(self, memory, access, source, srcIova);
    }
    await io.mock.destroyAccessPages(access, item);
    await io.mock.destroyAccess(access);
    await io.destroy(source);
  });
}

/** Pins the buffer through an access, copies it to the domains and checks them; returns the item. */
async function pinAndCopy(
  self: MockDomainSelf,
  { address }: Memory,
  access: number,
  src: number,
  srcIova: bigint,
): Promise<number> {
  const { io, ioasId } = self;
  const length = io.bufferSize;
  const dstIova = BigInt(MOCK_APERTURE_START);
  const prot = copyProt(io.revision);
  const range = { iova: srcIova, length, uptr: address };
  const item = await io.mock.accessPages(access, range);
  await io.copy({ dst: ioasId, src, srcIova, length, dstIova, prot });
  await checkMockIova(self, address, dstIova, length);
  return item;
}

/** Tests `replace` and `alloc_hwpt`. */
function registerReplace(f: MockDomainFixture): void {
  f.test("replace", {
    description:
      "A device can be moved between IOASes and HWPTs; an automatic HWPT goes with its last device",
    rules: ["C2.7"],
    since: "6.6",
  }, async ({ io, ioasId, domains }) => {
    const [{ stdevId, hwptId }, second] = [domains[0]!, domains[1]];
    const other = await io.ioasAlloc();
    await io.mock.replaceDomain(stdevId, other);
    if (!second) await io.mock.replaceDomain(stdevId, hwptId, ENOENT);
    await io.mock.replaceDomain(stdevId, other);
    if (second) {
      await io.mock.replaceDomain(stdevId, second.hwptId);
      await io.mock.replaceDomain(stdevId, second.hwptId);
      await io.mock.replaceDomain(stdevId, hwptId);
    }
    await io.mock.replaceDomain(stdevId, ioasId);
    await io.destroy(other);
  });

  f.test("alloc_hwpt", {
    description: "A device can be moved through HWPTs that were allocated",
    rules: ["C2.7"],
    since: "6.6",
    needs: () => ["hwpt"],
  }, async ({ io, ioasId, domains }) => {
    for (const { idevId: devId, stdevId } of domains) {
      const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
      const unknown = ~flags >>> 0;
      const values = { devId, ptId: ioasId };
      await hwptAlloc(io, { ...values, flags: unknown }, EOPNOTSUPP);
      const plain = await hwptAlloc(io, values);
      const parent = await hwptAlloc(io, { ...values, flags });

      await io.mock.replaceDomain(stdevId, plain);
      await io.destroy(plain, EBUSY);
      await io.mock.replaceDomain(stdevId, parent);
      await io.destroy(parent, EBUSY);
      await io.mock.replaceDomain(stdevId, ioasId);
      await io.destroy(parent);

      const another = await io.mock.domain(plain);
      await io.destroy(another.stdevId);
      await io.destroy(plain);
    }
  });
}
