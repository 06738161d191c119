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
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_MAP_WRITEABLE,
  IommuIoasAlloc,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_OP_CREATE_ACCESS,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  MOCK_APERTURE_START,
  MOCK_FLAGS_ACCESS_SYZ,
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  MOCK_FLAGS_DEVICE_PASID,
  TestCreateAccess,
  TestMockDomain,
} from "../../impl/uapi/selftest.ts";
import {
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  RLIMIT_NOFILE,
} from "../../impl/uapi/mman.ts";
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

/** Maps two pages of the buffer at {@link IOVA}. */
async function mapTwoPages(self: OpsSelf): Promise<OpsSelf> {
  const { io, ioasId } = self;
  await io.mapFixed(ioasId, io.buffer, 2n * io.page, IOVA);
  return self;
}

/** MD_CHECK_MAP of these two pages, unless told otherwise. */
async function checkMap(
  { io, domain: { hwptId } }: OpsSelf,
  values: { id?: number; iova?: bigint; length?: bigint; uptr?: bigint },
  errno?: Errno,
): Promise<void> {
  const all = {
    id: hwptId,
    iova: IOVA,
    length: 2n * io.page,
    uptr: BigInt(io.buffer),
    ...values,
  };
  await io.mock.checkMap(all.id, all.iova, all.length, all.uptr, errno);
}

/** The operations that check. */
function registerChecks(f: OpsFixture): void {
  f.table("check_map", {
    description:
      "MD_CHECK_MAP finds what is not mapped, not aligned, not the same",
    rules: ["P15.8"],
    prepare: mapTwoPages,
    async finish(self) {
      await checkMap(self, {});
      const { io, ioasId } = self;
      await io.unmap(ioasId, IOVA, 2n * io.page);
      await checkMap(self, {}, EINVAL);
    },
  }, (t, _variant, { selftest }) => {
    type Values = Partial<Parameters<typeof checkMap>[1]>;
    function row(
      what: string,
      errno: Errno | undefined,
      valuesOf: (io: Iommufd) => Values,
    ): void {
      t.case(what, (self) => checkMap(self, valuesOf(self.io), errno));
    }
    row("all that is mapped", undefined, () => ({}));
    row("a part of it", undefined, ({ page, mockPage, buffer }) => ({
      iova: IOVA + mockPage,
      length: page,
      uptr: BigInt(buffer) + mockPage,
    }));
    row("other memory", EINVAL, ({ page, buffer }) => ({
      uptr: BigInt(buffer) + page,
    }));
    row("memory half a page off", EINVAL, ({ page, mockPage, buffer }) => ({
      length: page,
      uptr: BigInt(buffer) + mockPage,
    }));
    row("another IOVA", EINVAL, ({ page }) => ({
      iova: IOVA + page,
      length: page,
    }));
    row("more than is mapped", EINVAL, ({ page, mockPage }) => ({
      length: 2n * page + mockPage,
    }));
    row("an IOVA that is not mapped", EINVAL, ({ page, mockPage }) => ({
      iova: IOVA - mockPage,
      length: page,
    }));
    row("an IOVA that is not aligned", EINVAL, () => ({ iova: IOVA + 1n }));
    row("a length that is not aligned", EINVAL, ({ page }) => ({
      length: page + 1n,
    }));
    row("memory that is not aligned", EINVAL, ({ page, buffer }) => ({
      length: page,
      uptr: BigInt(buffer) + 1n,
    }));
    row("memory that is not there", EFAULT, () => ({ uptr: 2n ** 31n }));
    row("an id of nothing", ENOENT, () => ({ id: 999 }));
    const isIdFirst = selftest.checkMapFindsHwptFirst;
    row("alignment and the id", isIdFirst ? ENOENT : EINVAL, () => ({
      id: 999,
      iova: IOVA + 1n,
    }));
    if (!selftest.opsValidate) return;
    row("memory that wraps", EINVAL, ({ page }) => ({
      uptr: U64_MAX - page + 1n,
    }));
  });

  f.table("check_refs", {
    description: "MD_CHECK_REFS finds a page that is pinned otherwise",
    rules: ["P15.9"],
    async prepare({ io, ioasId }) {
      const pinned = BigInt(io.buffer) + io.page;
      await io.mapFixed(ioasId, pinned, io.page, IOVA);
      return { io, pinned, free: BigInt(io.buffer) };
    },
  }, (t, _variant, { selftest }) => {
    t.case(
      "a page that is not pinned",
      ({ io, free }) => io.mock.checkRefs(free, io.page, 0),
    );
    t.case(
      "a page that is",
      ({ io, pinned }) => io.mock.checkRefs(pinned, io.page, 1),
    );
    t.case(
      "one pin too many",
      ({ io, free }) => io.mock.checkRefs(free, io.page, 1, EIO),
    );
    t.case(
      "one of two pins",
      ({ io, pinned }) => io.mock.checkRefs(pinned, io.page, 2, EIO),
    );
    t.case(
      "a second page that is pinned",
      ({ io, free }) => io.mock.checkRefs(free, 2n * io.page, 0, EIO),
    );
    t.case(
      "a second page that is not",
      ({ io, pinned }) => io.mock.checkRefs(pinned, 2n * io.page, 1, EIO),
    );
    t.case(
      "memory that is not aligned",
      ({ io, free }) => io.mock.checkRefs(free + 1n, io.page, 0, EINVAL),
    );
    t.case(
      "a length that is not aligned",
      ({ io, free }) => io.mock.checkRefs(free, io.page + 1n, 0, EINVAL),
    );
    t.case("memory without rights", async ({ io }) => {
      const memory = await io.mmap(io.page, MAP_PRIVATE);
      await io.process.poke(memory, Uint8Array.of(1));
      const { pageSize } = io.context;
      const ret = await io.process.mprotect(memory, pageSize, PROT_NONE);
      assertEq(ret, 0, "mprotect");
      await io.mock.checkRefs(memory, io.page, 0, EFAULT);
      await io.munmap(memory, io.page);
    });
    t.case(
      "memory that is not there",
      ({ io }) => io.mock.checkRefs(2n ** 31n, io.page, 0, EFAULT),
    );
    t.case("no page at all", ({ io, free }) => io.mock.checkRefs(free, 0n, 5));
    if (!selftest.opsValidate) return;
    t.case(
      "memory that wraps",
      ({ io }) => io.mock.checkRefs(U64_MAX - io.page + 1n, io.page, 0, EINVAL),
    );
  });

  f.test("check_map_other_pages", {
    description: "MD_CHECK_MAP tells pages with the same contents apart",
    rules: ["P15.8"],
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
    rules: ["P15.14"],
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
  f.table("mock_domain_errno", {
    description:
      "MOCK_DOMAIN needs something to attach to, and leaves no ids behind",
    rules: ["P15.7"],
    async finish({ io, domain }) {
      const next = await io.ioasAlloc();
      const expected = Math.max(domain.stdevId, domain.hwptId) + 1;
      assertEq(next, expected, "the lowest id after those in use");
    },
  }, (t, _variant, { selftest }) => {
    t.case("id 0", ({ io }) => io.mock.domain(0, ENOENT));
    t.case("an id of nothing", ({ io }) => io.mock.domain(999, ENOENT));
    // Only where devices are bound can anything but an IOAS be named.
    const wrongType = selftest.mockDomainBindsDevice ? EINVAL : ENOENT;
    t.case(
      "a selftest object",
      ({ io, domain }) => io.mock.domain(domain.stdevId, wrongType),
    );
    t.case("an IOAS", async ({ io, ioasId }) => {
      await io.mock.destroyDomain(await io.mock.domain(ioasId));
    });
    if (!selftest.mockDomainBindsDevice) return;
    t.case(
      "an answer that cannot be written",
      ({ io, ioasId }) =>
        io.mock.callUnanswered(
          "MOCK_DOMAIN",
          TestMockDomain,
          IOMMU_TEST_OP_MOCK_DOMAIN,
          { id: ioasId },
        ),
    );
  });

  f.table("mock_domain_flags", {
    description: "MOCK_DOMAIN_FLAGS refuses flags it does not know",
    rules: ["P15.15"],
    since: "6.7",
  }, (t, _variant, { mock }) => {
    const huge = MOCK_FLAGS_DEVICE_HUGE_IOVA;
    const both = huge | MOCK_FLAGS_DEVICE_NO_DIRTY;
    const known = (flags: number) =>
      flags & ~mock.deviceFlags ? EINVAL : undefined;
    const pasid = MOCK_FLAGS_DEVICE_PASID;
    const rows: [string, number, (Errno | undefined)?][] = [
      ["the first unknown flag", 1 << 3, EINVAL],
      ["the last unknown flag", 0x80000000, EINVAL],
      ["a known and an unknown flag", 1 | 1 << 3, EINVAL],
      ["no flags", 0],
      ["NO_DIRTY", MOCK_FLAGS_DEVICE_NO_DIRTY],
      ["HUGE_IOVA", huge, known(huge)],
      ["HUGE_IOVA and NO_DIRTY", both, known(both)],
      ["PASID", pasid, known(pasid)],
    ];
    for (const [what, flags, errno] of rows) {
      t.case(
        what,
        ({ io, ioasId }) => io.mock.domainFlags(ioasId, flags, errno),
      );
    }
  });

  f.table("mock_domain_replace_errno", {
    description:
      "MOCK_DOMAIN_REPLACE refuses what is no device and no page table",
    rules: ["P15.16"],
    since: "6.6",
  }, (t) => {
    type Ids = (self: OpsSelf) => [device: number, table: number];
    const rows: [string, Ids, Errno][] = [
      ["an id of nothing as device", ({ ioasId }) => [999, ioasId], ENOENT],
      ["an IOAS as device", ({ ioasId }) => [ioasId, ioasId], ENOENT],
      [
        "a bound device as device",
        ({ domain, ioasId }) => [domain.idevId, ioasId],
        ENOENT,
      ],
      ["an id of nothing", ({ domain }) => [domain.stdevId, 999], ENOENT],
      [
        "a selftest object",
        ({ domain: { stdevId } }) => [stdevId, stdevId],
        EINVAL,
      ],
    ];
    for (const [what, idsOf, errno] of rows) {
      t.case(what, (self) => {
        const [device, table] = idsOf(self);
        return self.io.mock.replaceDomain(device, table, errno);
      });
    }
  });

  f.test("mock_domain_replace", {
    description: "A device that cannot move to an IOAS stays where it was",
    rules: ["P15.16"],
    since: "6.6",
  }, async ({ io, ioasId, domain }) => {
    const { stdevId, hwptId } = domain;
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

  f.table("create_access_errno", {
    description: "CREATE_ACCESS that fails leaves no descriptor behind",
    rules: ["P15.10"],
    async prepare({ io, ioasId }) {
      const fd = await io.mock.createAccess(ioasId, false);
      await io.mock.destroyAccess(fd);
      return { io, ioasId, fd };
    },
    async finish({ io, ioasId, fd }) {
      const again = await io.mock.createAccess(ioasId, false);
      assertEq(again, fd, "the lowest free descriptor");
      await io.mock.destroyAccess(again);
    },
  }, (t, _variant, { selftest }) => {
    t.case(
      "an id of nothing",
      ({ io }) => io.mock.createAccess(999, false, ENOENT),
    );
    t.case("id 0", ({ io }) => io.mock.createAccess(0, true, ENOENT));
    t.case(
      "an answer that cannot be written",
      ({ io, ioasId }) =>
        io.mock.callUnanswered(
          "CREATE_ACCESS",
          TestCreateAccess,
          IOMMU_TEST_OP_CREATE_ACCESS,
          { id: ioasId },
        ),
    );
    if (!selftest.opsValidate) return;
    t.case("unknown flags", ({ io, ioasId }) =>
      io.mock.call(
        "CREATE_ACCESS",
        TestCreateAccess,
        IOMMU_TEST_OP_CREATE_ACCESS,
        { id: ioasId, flags: 2 },
        EOPNOTSUPP,
      ));
  });

  f.test("create_access_emfile", {
    description: "CREATE_ACCESS without a free descriptor is ENOMEM",
    rules: ["P15.10"],
    needs: () => ["setrlimit"],
  }, async ({ io, ioasId }) => {
    const fd = await io.nextFd();
    const { process } = io;
    assertEq(await process.setrlimit(RLIMIT_NOFILE, BigInt(fd)), 0, "limit");
    await io.mock.createAccess(ioasId, false, ENOMEM);
    assertEq(await process.setrlimit(RLIMIT_NOFILE, 256n), 0, "setrlimit");
    const access = await io.mock.createAccess(ioasId, false);
    assertEq(access, fd, "the lowest free descriptor");
    await io.mock.destroyAccess(access);
  });

  f.table("ioas_alloc_errno", {
    description: "IOAS_ALLOC refuses flags and uses no id up",
    rules: ["P10.1"],
    prepare: async ({ io }) => ({ io, id: await io.ioasAlloc() }),
    async finish({ io, id }) {
      assertEq(await io.ioasAlloc(), id + 1, "next id");
    },
  }, (t) => {
    for (const flags of [1, 0x80000000]) {
      t.case(
        `flags 0x${flags.toString(16)}`,
        ({ io }) =>
          io.call(IommuIoasAlloc, IOMMU_IOAS_ALLOC, { flags }, EOPNOTSUPP),
      );
    }
  });
}

/** ADD_RESERVED. */
function registerReserved(f: OpsFixture): void {
  f.table("add_reserved_errno", {
    description:
      "ADD_RESERVED refuses what is mapped or allowed, and bad ranges",
    rules: ["P09.14", "P15.5"],
    async prepare(self) {
      const { io, ioasId } = self;
      await io.mapFixed(ioasId, io.buffer, 2n * io.page, IOVA + io.page);
      return self;
    },
  }, (t, _variant, { selftest }) => {
    function row(
      what: string,
      errno: Errno | undefined,
      rangeOf: (page: bigint) => [start: bigint, length: bigint],
      idOf = ({ ioasId }: OpsSelf) => ioasId,
    ): void {
      t.case(what, (self) => {
        const { io } = self;
        const [start, length] = rangeOf(io.page);
        return io.mock.addReserved(idOf(self), start, length, errno);
      });
    }
    const whole = (page: bigint): [bigint, bigint] => [0n, page];
    row("an id of nothing", ENOENT, whole, () => 999);
    row("a HWPT", ENOENT, whole, ({ domain }) => domain.hwptId);
    const mapped: [string, bigint, bigint][] = [
      ["an area's first page", 0n, 2n],
      ["a page of an area", 1n, 1n],
      ["an area's last page", 2n, 2n],
      ["a whole area", 0n, 4n],
    ];
    for (const [what, first, pages] of mapped) {
      row(what, EADDRINUSE, (page) => [IOVA + first * page, pages * page]);
    }
    row("the page before an area", undefined, (page) => [IOVA, page]);
    row(
      "the page after an area",
      undefined,
      (page) => [IOVA + 3n * page, page],
    );
    // Reserved ranges may overlap, also those of the domain.
    row("what is reserved", undefined, (page) => [0n, IOVA + page]);
    row("the last page", undefined, (page) => [U64_MAX - page + 1n, page]);
    if (!selftest.opsValidate) return;
    row("no length", EINVAL, (page) => [page, 0n]);
    row("no length before the id", EINVAL, (page) => [page, 0n], () => 999);
    row("a range that wraps", EOVERFLOW, (page) => [
      U64_MAX - page + 1n,
      page + 1n,
    ]);
  });
}
