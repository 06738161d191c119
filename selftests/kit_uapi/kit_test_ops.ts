// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_test_ops`: what the operations of the selftest module refuse.
 * All other tests rely on them, above all on the checks: each is shown to fail
 * when it should.
 *
 * @module
 */

import {
  EADDRINUSE,
  EBADE,
  EFAULT,
  EINVAL,
  EIO,
  ENOENT,
  EOPNOTSUPP,
  EOVERFLOW,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_MAP_WRITEABLE,
  IommuIoasAlloc,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_OP_CREATE_ACCESS,
  MOCK_APERTURE_START,
  MOCK_FLAGS_ACCESS_SYZ,
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  TestCreateAccess,
} from "../../impl/uapi/selftest.ts";
import { MAP_SHARED } from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import type { MockDomain } from "../ioctls/mock_ioctls.ts";
import { Random } from "../harness/random.ts";

/** What the tests share. */
interface OpsSelf {
  readonly io: Iommufd;
  /** An IOAS with a mock device. */
  readonly ioasId: number;
  readonly domain: MockDomain;
}

type OpsFixture = Fixture<undefined, OpsSelf>;

const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the fixture's tests to `registry`. */
export function registerKitTestOps(registry: Test[]): void {
  const f: OpsFixture = fixture(registry, "kit_test_ops", {
    upstream: false,
    setup: async (context: Context) => {
      const io = await Iommufd.open(context);
      const ioasId = await io.ioasAlloc();
      return { io, ioasId, domain: await io.mock.domain(ioasId) };
    },
    teardown: ({ io }) => io.teardown(),
  });
  registerChecks(f);
  registerSyz(f);
  registerMakers(f);
  registerReserved(f);
}

/** The operations that check. */
function registerChecks(f: OpsFixture): void {
  f.test("check_map", {
    description:
      "MD_CHECK_MAP finds what is not mapped, not aligned, not the same",
    reference: "selftest.c iommufd_test_md_check_pa; P15.8",
  }, async ({ io, ioasId, domain: { hwptId } }) => {
    const { page, mockPage } = io;
    const buffer = BigInt(io.buffer);
    const length = 2n * page;
    await io.mapFixed(ioasId, buffer, length, IOVA);
    await io.mock.checkMap(hwptId, IOVA, length, buffer);
    await io.mock.checkMap(hwptId, IOVA + mockPage, page, buffer + mockPage);

    await io.mock.checkMap(hwptId, IOVA, length, buffer + page, EINVAL);
    await io.mock.checkMap(hwptId, IOVA, page, buffer + mockPage, EINVAL);
    await io.mock.checkMap(hwptId, IOVA + page, page, buffer, EINVAL);
    await io.mock.checkMap(hwptId, IOVA, length + mockPage, buffer, EINVAL);
    await io.mock.checkMap(hwptId, IOVA - mockPage, page, buffer, EINVAL);
    await io.mock.checkMap(hwptId, IOVA + 1n, page, buffer, EINVAL);
    await io.mock.checkMap(hwptId, IOVA, page + 1n, buffer, EINVAL);
    await io.mock.checkMap(hwptId, IOVA, page, buffer + 1n, EINVAL);
    await io.mock.checkMap(hwptId, IOVA, page, 2n ** 31n, EFAULT);
    await io.mock.checkMap(999, IOVA, page, buffer, ENOENT);
    // Alignment comes before the id.
    await io.mock.checkMap(999, IOVA + 1n, page, buffer, EINVAL);
    if (io.revision.selftest.opsValidate) {
      const wraps = U64_MAX - page + 1n;
      await io.mock.checkMap(hwptId, IOVA, page, wraps, EINVAL);
    }
    await io.unmap(ioasId, IOVA, length);
    await io.mock.checkMap(hwptId, IOVA, length, buffer, EINVAL);
  });

  f.test("check_refs", {
    description: "MD_CHECK_REFS finds a page that is pinned otherwise",
    reference: "selftest.c iommufd_test_md_check_refs; P15.9",
  }, async ({ io, ioasId }) => {
    const { page } = io;
    const buffer = BigInt(io.buffer);
    await io.mapFixed(ioasId, buffer + page, page, IOVA);
    await io.mock.checkRefs(buffer, page, 0);
    await io.mock.checkRefs(buffer + page, page, 1);
    await io.mock.checkRefs(buffer, page, 1, EIO);
    await io.mock.checkRefs(buffer, 2n * page, 0, EIO);
    await io.mock.checkRefs(buffer + page, 2n * page, 1, EIO);
    await io.mock.checkRefs(buffer + page, page, 2, EIO);
    await io.mock.checkRefs(buffer + 1n, page, 0, EINVAL);
    await io.mock.checkRefs(buffer, page + 1n, 0, EINVAL);
    await io.mock.checkRefs(2n ** 31n, page, 0, EFAULT);
    await io.mock.checkRefs(buffer, 0n, 5);
    if (io.revision.selftest.opsValidate) {
      const wraps = U64_MAX - page + 1n;
      await io.mock.checkRefs(wraps, page, 0, EINVAL);
    }
  });

  f.test("check_map_other_pages", {
    description: "MD_CHECK_MAP tells pages with the same contents apart",
    reference: "selftest.c iommufd_test_md_check_pa",
  }, async ({ io, ioasId, domain: { hwptId } }) => {
    const other = await io.mmap(io.page, MAP_SHARED);
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    await io.mock.checkMap(hwptId, IOVA, io.page, io.buffer);
    await io.mock.checkMap(hwptId, IOVA, io.page, other, EINVAL);
    await io.munmap(other, io.page);
  });
}

/** The IOVA that syzkaller makes up. */
function registerSyz(f: OpsFixture): void {
  f.test("syz_iova", {
    description:
      "With syzkaller's flag an IOVA is the number of an area and an offset in it",
    reference: "selftest.c iommufd_test_syz_conv_iova",
    since: "6.2",
  }, checkSyzIova);
}

/** Test `syz_iova`. */
async function checkSyzIova(self: OpsSelf): Promise<void> {
  const { io, ioasId, domain: { hwptId } } = self;
  const { page } = io;
  const { pageSize } = io.context;
  const flags = MOCK_FLAGS_ACCESS_SYZ;
  const second = io.buffer + 4 * pageSize;
  await io.process.poke(second, new Random(9).bytes(2 * pageSize));
  await io.mapFixed(ioasId, io.buffer, 2n * page, IOVA);
  await io.mapFixed(ioasId, second, 2n * page, IOVA + 4n * page);

  const access = await io.mock.createAccess(ioasId, true);
  const at = (nth: bigint, offset: number) => nth | BigInt(offset) << 32n;
  const read = { iova: at(1n, 100), length: pageSize, uptr: io.scratch, flags };
  await io.mock.accessRw(access, read);
  const seen = await io.process.peek(io.scratch, pageSize);
  const expected = await io.process.peek(second + 100, pageSize);
  assertBytes(seen, expected, "bytes read");
  const pin = { length: page, uptr: second + pageSize, flags };
  await io.mock.accessPages(access, { ...pin, iova: at(1n, pageSize) });
  await io.mock.accessPages(access, { ...pin, iova: at(0n, pageSize) }, EBADE);
  // There is no third area; IOVA 0 stands for it.
  await io.mock.accessRw(access, { ...read, iova: at(2n, 0) }, ENOENT);

  const copy = {
    src: ioasId,
    dst: ioasId,
    dstIova: IOVA + 8n * page,
    length: page,
    prot: IOMMU_IOAS_MAP_WRITEABLE | flags,
  };
  await io.copy({ ...copy, srcIova: at(2n, pageSize) }, ENOENT);
  // The flag is no other one even if there is no IOAS to count areas in.
  await io.copy({ ...copy, src: 999, srcIova: at(1n, 0) }, ENOENT);
  await io.copy({ ...copy, srcIova: at(1n, pageSize) });
  await io.mock.checkMap(hwptId, copy.dstIova, page, second + pageSize);
  await io.mock.destroyAccess(access);
}

/** The operations that make something, and IOAS_ALLOC. */
function registerMakers(f: OpsFixture): void {
  f.test("mock_domain_errno", {
    description:
      "MOCK_DOMAIN needs something to attach to, and leaves no ids behind",
    reference: "selftest.c iommufd_test_mock_domain, device.c; P12.4",
  }, async ({ io, ioasId, domain }) => {
    await io.mock.domain(0, ENOENT);
    await io.mock.domain(999, ENOENT);
    // Only where devices are bound can anything but an IOAS be named.
    const wrongType = io.revision.selftest.mockDomainBindsDevice
      ? EINVAL
      : ENOENT;
    await io.mock.domain(domain.stdevId, wrongType);
    const next = await io.ioasAlloc();
    const expected = Math.max(domain.stdevId, domain.hwptId) + 1;
    assertEq(next, expected, "the lowest id after those in use");
    await io.mock.domain(ioasId);
  });

  f.test("mock_domain_flags", {
    description: "MOCK_DOMAIN_FLAGS refuses flags it does not know",
    reference: "selftest.c mock_dev_create",
    since: "6.7",
  }, async ({ io, ioasId }) => {
    await io.mock.domainFlags(ioasId, 1 << 2, EINVAL);
    await io.mock.domainFlags(ioasId, 0x80000000, EINVAL);
    await io.mock.domainFlags(ioasId, 0);
    await io.mock.domainFlags(ioasId, MOCK_FLAGS_DEVICE_HUGE_IOVA);
    await io.mock.domainFlags(ioasId, MOCK_FLAGS_DEVICE_NO_DIRTY, undefined);
  });

  f.test("mock_domain_replace_errno", {
    description:
      "MOCK_DOMAIN_REPLACE refuses what is no device and no page table",
    reference: "selftest.c iommufd_test_mock_domain_replace, device.c",
    since: "6.6",
  }, async ({ io, ioasId, domain }) => {
    const { stdevId, hwptId, idevId } = domain;
    await io.mock.replaceDomain(999, ioasId, ENOENT);
    await io.mock.replaceDomain(ioasId, ioasId, ENOENT);
    await io.mock.replaceDomain(idevId, ioasId, ENOENT);
    await io.mock.replaceDomain(stdevId, 999, ENOENT);
    await io.mock.replaceDomain(stdevId, stdevId, EINVAL);
    const same = await io.mock.replaceDomain(stdevId, ioasId);
    assertEq(same, hwptId, "the HWPT of the same IOAS");
    // An IOAS that the domain does not fit leaves the device where it was.
    const other = await io.ioasAlloc();
    await io.mapFixed(other, io.buffer, io.page, 0n);
    await io.mock.replaceDomain(stdevId, other, EADDRINUSE);
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    await io.mock.checkMap(hwptId, IOVA, io.page, io.buffer);
    await io.unmap(other, 0n, io.page);
    const moved = await io.mock.replaceDomain(stdevId, other);
    await io.mapFixed(other, io.buffer, io.page, IOVA);
    await io.mock.checkMap(moved, IOVA, io.page, io.buffer);
    await io.mock.checkMap(hwptId, IOVA, io.page, io.buffer, ENOENT);
  });

  f.test("create_access_errno", {
    description: "CREATE_ACCESS that fails leaves no descriptor behind",
    reference: "selftest.c iommufd_test_create_access; P15.10",
  }, async ({ io, ioasId }) => {
    const first = await io.mock.createAccess(ioasId, false);
    await io.mock.destroyAccess(first);
    await io.mock.createAccess(999, false, ENOENT);
    await io.mock.createAccess(0, true, ENOENT);
    if (io.revision.selftest.opsValidate) {
      await io.mock.call(
        "CREATE_ACCESS",
        TestCreateAccess,
        IOMMU_TEST_OP_CREATE_ACCESS,
        { id: ioasId, flags: 2 },
        EOPNOTSUPP,
      );
    }
    const again = await io.mock.createAccess(ioasId, false);
    assertEq(again, first, "the lowest free descriptor");
    await io.mock.destroyAccess(again);
  });

  f.test("ioas_alloc_errno", {
    description: "IOAS_ALLOC refuses flags and uses no id up",
    reference: "ioas.c iommufd_ioas_alloc_ioctl; P10.1",
  }, async ({ io }) => {
    const id = await io.ioasAlloc();
    for (const flags of [1, 0x80000000]) {
      const cmd = IOMMU_IOAS_ALLOC;
      await io.call(IommuIoasAlloc, cmd, { flags }, EOPNOTSUPP);
    }
    assertEq(await io.ioasAlloc(), id + 1, "next id");
  });
}

/** ADD_RESERVED. */
function registerReserved(f: OpsFixture): void {
  f.test("add_reserved_errno", {
    description:
      "ADD_RESERVED refuses what is mapped or allowed, and bad ranges",
    reference: "selftest.c iommufd_test_add_reserved; P09.14, P15.5",
  }, async ({ io, ioasId, domain }) => {
    const { page } = io;
    await io.mapFixed(ioasId, io.buffer, 2n * page, IOVA + page);
    await io.mock.addReserved(999, 0n, page, ENOENT);
    await io.mock.addReserved(domain.hwptId, 0n, page, ENOENT);
    for (const [first, pages] of [[0n, 2n], [1n, 1n], [2n, 2n], [0n, 4n]]) {
      const start = IOVA + first! * page;
      await io.mock.addReserved(ioasId, start, pages! * page, EADDRINUSE);
    }
    await io.mock.addReserved(ioasId, IOVA, page);
    await io.mock.addReserved(ioasId, IOVA + 3n * page, page);
    // Reserved ranges may overlap, also those of the domain.
    await io.mock.addReserved(ioasId, 0n, IOVA + page);
    if (io.revision.selftest.opsValidate) {
      await io.mock.addReserved(ioasId, page, 0n, EINVAL);
      await io.mock.addReserved(999, page, 0n, EINVAL);
      const wraps = U64_MAX - page + 1n;
      await io.mock.addReserved(ioasId, wraps, page + 1n, EOVERFLOW);
    }
    await io.mock.addReserved(ioasId, U64_MAX - page + 1n, page);
  });
}
