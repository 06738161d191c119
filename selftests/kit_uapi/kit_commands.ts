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
  ENODEV,
  ENOENT,
  ENOTTY,
  ENXIO,
  EOPNOTSUPP,
} from "../../impl/uapi/errno.ts";
import {
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
  MAP_SHARED,
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

/** The first ioctl number that the oldest revisions do not have. */
const FIRST_HOLE = 0x3b8f;
/** IOAS_NOIOMMU_GET_PA: how a kernel is built says whether it can be had. */
const NOIOMMU_GET_PA = { cmd: 0x3b95, since: "7.3" } as const;
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
  f.table("unknown_numbers", {
    description: "Numbers that are not in the table are no ioctls",
    rules: ["P05.2", "C3.15"],
    finish: (io) => io.destroy(999, ENOENT),
  }, (t, _variant, { name }) => {
    const bytes = () => IommuDestroy.encode();
    const known = [...STRUCT_ROWS, NOIOMMU_GET_PA]
      .filter((row) => existsIn(name, row)).map(({ cmd }) => cmd);
    t.case(
      "a bad address is found first",
      (io) => io.ioctlArg(FIRST_HOLE, 0, EFAULT, "unused number at 0"),
    );
    t.case("up to the test ioctl", async (io) => {
      for (let cmd = FIRST_HOLE; cmd <= LAST_HOLE; cmd++) {
        if (!known.includes(cmd)) await io.ioctl(cmd, bytes(), ENOTTY);
      }
    });
    for (const row of STRUCT_ROWS) {
      if (existsIn(name, row)) continue;
      t.case(
        `${row.name} of another revision`,
        (io) => io.ioctl(row.cmd, bytes(), ENOTTY),
      );
    }
    // Past the table and below it numbers belong to VFIO, which ignores the argument.
    for (const cmd of [0x3ba1, 0x3bff, 0x3b00, 0x3b67, 0x3b75, 0x3b7f]) {
      const what = `0x${cmd.toString(16)} of VFIO`;
      t.case(what, (io) => io.ioctlArg(cmd, 0, ENOTTY, what));
    }
    // The whole number counts, not its last byte alone.
    t.case("the last byte of DESTROY", (io) => io.ioctl(0x80, bytes(), ENOTTY));
    t.case(
      "DESTROY with a direction and a size",
      (io) => io.ioctl(0xc0083b80, bytes(), ENOTTY),
    );
  });

  f.test("mmap_nothing", {
    description:
      "An iommufd without memory of drivers maps nothing, an access never anything",
    rules: ["P05.14"],
  }, async (io) => {
    const { hasMmap } = io.revision.objects;
    const access = await io.mock.createAccess(await io.ioasAlloc(), false);
    for (const fd of [io.fd, access]) {
      const { pageSize } = io.context;
      const errno = hasMmap && fd === io.fd ? ENXIO : ENODEV;
      for (const at of [0, pageSize]) {
        const ret = await io.process.mmap(
          0,
          pageSize,
          PROT_READ,
          MAP_SHARED,
          fd,
          at,
        );
        assertErrno(ret, errno, `mmap of descriptor ${fd}`);
      }
    }
    await io.mock.destroyAccess(access);
  });

  f.table("other_calls", {
    description:
      "The descriptors of iommufd and of an access are always ready, and cannot be read or written",
    rules: ["P05.14"],
    async prepare(io) {
      const access = await io.mock.createAccess(await io.ioasAlloc(), false);
      return { io, access };
    },
    finish: ({ io, access }) => io.mock.destroyAccess(access),
  }, (t) => {
    for (const what of ["/dev/iommu", "an access"]) {
      t.case(what, async ({ io: { fd: iommu, process }, access }) => {
        const fd = what === "an access" ? access : iommu;
        const ready = await process.poll(fd, POLLIN | POLLOUT);
        assertEq(ready, POLLIN | POLLOUT, `poll of ${what}`);
        const bytes = new Uint8Array(8);
        assertErrno(await process.read(fd, bytes), EINVAL, `read ${what}`);
        assertErrno(await process.write(fd, bytes), EINVAL, `write ${what}`);
      });
    }
  });

  f.table("test_op_range", {
    description: "Unknown test operations and short test commands are refused",
    rules: ["S24"],
  }, (t, _variant, revision) => {
    const { size, minSize, firstOp, ops } = testCmdForm(revision);
    const rows: [string, number][] = [
      ["the one before the first", firstOp - 1],
      ["the one after the last", firstOp + ops],
      ["the highest number", 0xffffffff],
    ];
    for (const [what, op] of rows) {
      t.case(what, async (io) => {
        const bytes = TestCmd.encode({ size, op: op >>> 0 });
        const sent = bytes.subarray(0, size);
        await io.ioctl(
          IOMMU_TEST_CMD,
          sent,
          EOPNOTSUPP,
          `test operation ${op}`,
        );
      });
    }
    t.case("a short command", async (io) => {
      const op = IOMMU_TEST_OP_ADD_RESERVED;
      const bytes = encodeTestCmd(revision, TestCmd, op, {});
      TestCmd.at(bytes).size = minSize - 1;
      await io.ioctl(IOMMU_TEST_CMD, bytes, revision.objects.shortStructErrno);
    });
  });
}

/** What is written back. */
function registerReplies(f: CommandsFixture): void {
  f.test("reply_efault", {
    description:
      "A reply that cannot be written fails the ioctl; IOAS_ALLOC then leaves nothing behind",
    rules: ["B01"],
  }, async (io) => {
    const bytes = IommuIoasAlloc.encode();
    await io.ioctlReadOnly(IOMMU_IOAS_ALLOC, bytes, EFAULT, "IOAS_ALLOC");
    assertEq(await io.ioasAlloc(), 1, "the id is free again");
  });

  f.test("map_reply_efault", {
    description: "MAP whose reply cannot be written has mapped all the same",
    rules: ["P05.16"],
  }, async (io) => {
    const ioasId = await io.ioasAlloc();
    const map = {
      flags: IOMMU_IOAS_MAP_FIXED_IOVA | MAP_RW,
      ioasId,
      userVa: BigInt(io.buffer),
      length: io.page,
      iova: io.page,
    };
    const bytes = IommuIoasMap.encode(map);
    await io.ioctlReadOnly(IOMMU_IOAS_MAP, bytes, EFAULT, "IOAS_MAP");
    const length = await io.unmap(ioasId, map.iova, io.page);
    assertEq(length, io.page, "bytes that were mapped");
  });

  f.test("option_reply", {
    description: "OPTION writes back its value and nothing else",
    rules: ["P10.9"],
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
    rules: ["P05.7"],
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

  f.table("object_types", {
    description: "An id of another type is unknown, as is one of nothing",
    rules: ["P05.9"],
    async prepare(io) {
      const ioasId = await io.ioasAlloc();
      return { io, ioasId, ...await io.mock.domain(ioasId) };
    },
  }, (t) => {
    const ids: [
      string,
      (state: { stdevId: number; hwptId: number }) => number,
    ][] = [
      ["a selftest object", ({ stdevId }) => stdevId],
      ["a HWPT", ({ hwptId }) => hwptId],
      ["id 0", () => 0],
      ["an id of nothing", () => 99],
      ["the highest id", () => 0xffffffff],
    ];
    for (const [what, idOf] of ids) {
      t.case(
        `${what} for UNMAP`,
        (state) => state.io.unmap(idOf(state), 0n, state.io.page, ENOENT),
      );
    }
    t.case(
      "an IOAS for MD_CHECK_MAP",
      ({ io, ioasId }) => io.mock.checkMap(ioasId, 0n, 0, 0, ENOENT),
    );
    t.case(
      "a selftest object for MD_CHECK_MAP",
      ({ io, stdevId }) => io.mock.checkMap(stdevId, 0n, 0, 0, ENOENT),
    );
  });

  f.test("device_busy", {
    description: "The objects of a device are busy until it is destroyed",
    rules: ["P05.11"],
  }, async (io) => {
    const ioasId = await io.ioasAlloc();
    const domain = await io.mock.domain(ioasId);
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
    rules: ["S24", "P15.6"],
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
    rules: ["P05.15"],
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
