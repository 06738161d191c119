// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_commands`: how an ioctl's number and reply are treated, and which
 * ids objects get. Structs are the subject of `kit_struct`.
 *
 * @module
 */

import {
  EBUSY,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOTTY,
  EOPNOTSUPP,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_OPTION,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IommuDestroy,
  IommuIoasAlloc,
  IommuIoasMap,
  IommuOption,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_ADD_RESERVED,
  TestCmd,
} from "../../impl/uapi/selftest.ts";
import { existsIn } from "../../impl/uapi/revision/versions.ts";
import {
  MAP_PRIVATE,
  POLLIN,
  POLLOUT,
  PROT_READ,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { Iommufd, MAP_RW } from "../ioctls/ioctls.ts";
import { encodeTestCmd, testCmdForm } from "../ioctls/mock_ioctls.ts";
import { STRUCT_ROWS } from "../ioctls/struct_table.ts";

type CommandsFixture = Fixture<undefined, Iommufd>;

/** The first ioctl number that no revision here has. */
const FIRST_HOLE = 0x3b8f;
/** The last one below the test ioctl. */
const LAST_HOLE = 0x3b9f;

/** Adds the fixture's tests to `registry`. */
export function registerKitCommands(registry: Test[]): void {
  const f: CommandsFixture = fixture(registry, "kit_commands", {
    upstream: false,
    setup: (context) => Iommufd.open(context),
    teardown: (io) => io.teardown(),
  });
  registerNumbers(f);
  registerReplies(f);
  registerIds(f);
}

/** Numbers. */
function registerNumbers(f: CommandsFixture): void {
  f.test("unknown_numbers", {
    description: "Numbers that are not in the table are no ioctls",
    reference: "main.c iommufd_fops_ioctl; P05.2, C3.15",
  }, async (io) => {
    const bytes = IommuDestroy.encode();
    // A bad address is found first.
    await io.ioctlArg(FIRST_HOLE, 0, EFAULT, "unused number at 0");
    for (let cmd = FIRST_HOLE; cmd <= LAST_HOLE; cmd++) {
      await io.ioctl(cmd, bytes, ENOTTY);
    }
    for (const row of STRUCT_ROWS) {
      if (existsIn(io.revision.name, row)) continue;
      await io.ioctl(row.cmd, bytes, ENOTTY);
    }
    // Past the table and below it numbers belong to VFIO, which ignores the argument.
    for (const cmd of [0x3ba1, 0x3bff, 0x3b00, 0x3b67, 0x3b75, 0x3b7f]) {
      await io.ioctlArg(cmd, 0, ENOTTY, `ioctl 0x${cmd.toString(16)}`);
    }
    // The whole number counts, not its last byte alone.
    await io.ioctl(0x80, bytes, ENOTTY);
    await io.ioctl(0xc0083b80, bytes, ENOTTY);
    await io.ioctl(IOMMU_DESTROY, bytes, ENOENT);
  });

  f.test("other_calls", {
    description:
      "The descriptors of iommufd and of an access are always ready, and cannot be read or written",
    reference: "main.c iommufd_fops, selftest.c iommfd_test_staccess_fops",
  }, async (io) => {
    const access = await io.mock.createAccess(await io.ioasAlloc(), false);
    for (const fd of [io.fd, access]) {
      const what = fd === access ? "the access" : "/dev/iommu";
      const ready = await io.process.poll(fd, POLLIN | POLLOUT);
      assertEq(ready, POLLIN | POLLOUT, `poll of ${what}`);
      const bytes = new Uint8Array(8);
      assertErrno(await io.process.read(fd, bytes), EINVAL, `read ${what}`);
      assertErrno(await io.process.write(fd, bytes), EINVAL, `write ${what}`);
    }
    await io.mock.destroyAccess(access);
  });

  f.test("test_op_range", {
    description: "Unknown test operations and short test commands are refused",
    reference: "selftest.c iommufd_test; S24",
  }, async (io) => {
    const { size, minSize, firstOp, ops } = testCmdForm(io.revision);
    for (const op of [firstOp - 1, firstOp + ops, 0xffffffff]) {
      const bytes = TestCmd.encode({ size, op: op >>> 0 }).subarray(0, size);
      await io.ioctl(IOMMU_TEST_CMD, bytes, EOPNOTSUPP, `test operation ${op}`);
    }
    const op = IOMMU_TEST_OP_ADD_RESERVED;
    const bytes = encodeTestCmd(io.revision, TestCmd, op, {});
    TestCmd.at(bytes).size = minSize - 1;
    await io.ioctl(IOMMU_TEST_CMD, bytes, io.revision.objects.shortStructErrno);
  });
}

/** What is written back. */
function registerReplies(f: CommandsFixture): void {
  f.test("reply_efault", {
    description:
      "A reply that cannot be written fails the ioctl; IOAS_ALLOC then leaves nothing behind",
    reference: "ioas.c iommufd_ioas_alloc_ioctl; B01",
  }, async (io) => {
    const { pageSize } = io.context;
    const page = await io.mmap(pageSize, MAP_PRIVATE);
    await io.process.poke(page, IommuIoasAlloc.encode());
    const ret = await io.process.mprotect(page, pageSize, PROT_READ);
    assertEq(ret, 0, "mprotect");
    await io.ioctlArg(IOMMU_IOAS_ALLOC, page, EFAULT, "read-only IOAS_ALLOC");
    assertEq(await io.ioasAlloc(), 1, "the id is free again");
    await io.munmap(page, pageSize);
  });

  f.test("map_reply_efault", {
    description: "MAP whose reply cannot be written has mapped all the same",
    reference: "ioas.c iommufd_ioas_map",
  }, async (io) => {
    const { pageSize } = io.context;
    const ioasId = await io.ioasAlloc();
    const page = await io.mmap(pageSize, MAP_PRIVATE);
    const map = {
      flags: IOMMU_IOAS_MAP_FIXED_IOVA | MAP_RW,
      ioasId,
      userVa: BigInt(io.buffer),
      length: io.page,
      iova: io.page,
    };
    await io.process.poke(page, IommuIoasMap.encode(map));
    await io.process.mprotect(page, pageSize, PROT_READ);
    await io.ioctlArg(IOMMU_IOAS_MAP, page, EFAULT, "read-only IOAS_MAP");
    const length = await io.unmap(ioasId, map.iova, io.page);
    assertEq(length, io.page, "bytes that were mapped");
    await io.munmap(page, pageSize);
  });

  f.test("option_reply", {
    description: "OPTION writes back its value and nothing else",
    reference: "main.c iommufd_option; P10.9",
  }, async (io) => {
    const objectId = await io.ioasAlloc();
    const values = {
      size: IommuOption.size,
      optionId: IOMMU_OPTION_HUGE_PAGES,
      op: IOMMU_OPTION_OP_GET,
      objectId,
    };
    const bytes = IommuOption.encode({ ...values, val64: 7n });
    await io.ioctl(IOMMU_OPTION, bytes);
    const expected = IommuOption.encode({ ...values, val64: 1n });
    assertBytes(bytes, expected, "iommu_option");
  });
}

/** Ids and lookups. */
function registerIds(f: CommandsFixture): void {
  f.test("object_ids", {
    description: "Objects get the lowest free id from 1 on",
    reference: "main.c _iommufd_object_alloc; P05.7",
  }, async (io) => {
    for (let id = 1; id <= 4; id++) assertEq(await io.ioasAlloc(), id, "id");
    await io.destroy(3);
    await io.destroy(2);
    assertEq(await io.ioasAlloc(), 2, "lowest free id");
    assertEq(await io.ioasAlloc(), 3, "next free id");
    assertEq(await io.ioasAlloc(), 5, "id after all that are used");
    await io.destroy(3);
    await io.destroy(3, ENOENT);
  });

  f.test("object_types", {
    description:
      "An id of another type is unknown; a device's objects are busy",
    reference: "main.c iommufd_get_object, iommufd_destroy; P05.9, P05.11",
  }, async (io) => {
    const ioasId = await io.ioasAlloc();
    const domain = await io.mock.domain(ioasId);
    for (const id of [domain.stdevId, domain.hwptId, 0, 99, 0xffffffff]) {
      await io.unmap(id, 0n, io.page, ENOENT);
    }
    await io.mock.checkMap(ioasId, 0n, 0, 0, ENOENT);
    await io.mock.checkMap(domain.stdevId, 0n, 0, 0, ENOENT);
    await io.destroy(ioasId, EBUSY);
    await io.destroy(domain.hwptId, EBUSY);
    if (domain.idevId) await io.destroy(domain.idevId, EBUSY);
    await io.mock.destroyDomain(domain);
    await io.destroy(domain.stdevId, ENOENT);
    await io.destroy(domain.hwptId, ENOENT);
    await io.destroy(ioasId);
  });

  f.test("mock_domain_ids", {
    description: "MOCK_DOMAIN's objects get their ids in the kernel's order",
    reference: "selftest.c iommufd_test_mock_domain; S24, P15.6",
  }, async (io) => {
    const ioasId = await io.ioasAlloc();
    const { stdevId, idevId, hwptId } = await io.mock.domain(ioasId);
    assertEq(stdevId, 2, "selftest device");
    if (!io.revision.selftest.mockDomainBindsDevice) {
      assertEq(hwptId, 3, "HWPT");
      const second = await io.mock.domain(ioasId);
      assertEq(second.hwptId, 5, "a HWPT of its own");
      return;
    }
    assertEq(idevId, 3, "bound device");
    assertEq(hwptId, 4, "HWPT");
    const second = await io.mock.domain(ioasId);
    assertEq(second.hwptId, hwptId, "the HWPT that both share");
    await io.destroy(stdevId);
    await io.mock.checkMap(hwptId, 0n, 0, 0);
    await io.destroy(second.stdevId);
    await io.mock.checkMap(hwptId, 0n, 0, 0, ENOENT);
  });

  f.test("contexts_apart", {
    description: "Two open descriptors have nothing in common; a dup has all",
    reference: "main.c iommufd_fops_open",
  }, async (io) => {
    const { process } = io;
    const other = await io.reopen();
    assertEq(await io.ioasAlloc(), 1, "id in the first context");
    await other.destroy(1, ENOENT);
    assertEq(await other.ioasAlloc(), 1, "id in the second context");

    const copy = await process.dup(other.fd);
    assertEq(await process.close(other.fd), 0, "close the original");
    await io.at(copy).destroy(1);
    assertEq(await process.close(copy), 0, "close the dup");
    await io.destroy(1);
  });
}
