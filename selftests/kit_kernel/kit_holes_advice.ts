// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_holes`: advice about memory that drops pages.
 *
 * @module
 */

import { EACCES, EINVAL, EPERM, type Errno } from "../../impl/uapi/errno.ts";
import {
  F_ADD_SEALS,
  F_SEAL_FUTURE_WRITE,
  MADV_FREE,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  O_RDONLY,
  PROT_READ,
} from "../../impl/uapi/mman.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  assertEq,
  assertErrno,
  type Context,
  type Fixture,
  type TargetProcess,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import {
  assertDone,
  assertFile,
  mapFile,
  memfd,
  reopen,
  RW,
} from "./memory_files.ts";

const IOVA = BigInt(MOCK_APERTURE_START);
const SHARED = MAP_SHARED | MAP_ANONYMOUS;
const PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS;

/** Adds the tests of advice. */
export function registerAdvice(f: Fixture<undefined, Context>): void {
  f.table("remove", {
    description: "MADV_REMOVE makes a hole in what is mapped shared",
    rules: ["U1.10"],
  }, (t) => {
    const anonymous: [string, number, Errno | undefined][] = [
      ["shared anonymous memory", SHARED, undefined],
      ["private anonymous memory", PRIVATE, EINVAL],
    ];
    for (const [what, flags, errno] of anonymous) {
      t.case(what, async ({ process, pageSize }) => {
        const at = await mapFile(process, -1, pageSize, flags);
        await assertRemove(process, at, pageSize, errno);
      });
    }
    t.case("a private mapping of a file", async ({ process, pageSize }) => {
      const fd = await memfd(process, pageSize);
      const at = await mapFile(process, fd, pageSize, MAP_PRIVATE);
      await assertRemove(process, at, pageSize, EACCES);
    });
    t.case("a part of a mapping of a part", async ({ process, pageSize }) => {
      const fd = await memfd(process, 4 * pageSize);
      const file = new Uint8Array(4 * pageSize).fill(7);
      await process.pwrite(fd, file, 0);
      const length = 3 * pageSize;
      const at = await mapFile(process, fd, length, MAP_SHARED, RW, pageSize);
      const ret = await process.madvise(at + pageSize, pageSize, MADV_REMOVE);
      assertEq(ret, 0, "MADV_REMOVE");
      file.fill(0, 2 * pageSize, 3 * pageSize);
      await assertFile(process, fd, file, "afterwards");
    });
    t.case("sealed against writes to come", async ({ process, pageSize }) => {
      const fd = await memfd(process, pageSize);
      const at = await mapFile(process, fd, pageSize, MAP_SHARED);
      const sealed = await process.fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
      assertEq(sealed, 0, "F_ADD_SEALS");
      await assertRemove(process, at, pageSize, EPERM);
    });
    t.case("open for reading only", async ({ process, pageSize }) => {
      const fd = await reopen(
        process,
        await memfd(process, pageSize),
        O_RDONLY,
      );
      const at = await mapFile(process, fd, pageSize, MAP_SHARED, PROT_READ);
      const ret = await process.madvise(at, pageSize, MADV_REMOVE);
      assertErrno(ret, EACCES, "MADV_REMOVE");
    });
  });

  f.table("free", {
    description: "MADV_FREE is for private anonymous memory",
    rules: ["U1.11"],
  }, (t) => {
    t.case("shared", async ({ process, pageSize }) => {
      const at = await mapFile(process, -1, pageSize, SHARED);
      const ret = await process.madvise(at, pageSize, MADV_FREE);
      assertErrno(ret, EINVAL, "MADV_FREE");
    });
    t.case("a private mapping of a file", async ({ process, pageSize }) => {
      const fd = await memfd(process, pageSize);
      const at = await mapFile(process, fd, pageSize, MAP_PRIVATE);
      const ret = await process.madvise(at, pageSize, MADV_FREE);
      assertErrno(ret, EINVAL, "MADV_FREE");
    });
    t.case("pages that a device has", async (context) => {
      const { process, pageSize } = context;
      const io = await Iommufd.open(context);
      const ioasId = await io.ioasAlloc();
      const { hwptId } = await io.mock.domain(ioasId);
      const at = await mapFile(process, -1, pageSize, PRIVATE);
      await process.poke(at, new Uint8Array([5]));
      await io.mapFixed(ioasId, at, pageSize, IOVA);
      const ret = await process.madvise(at, pageSize, MADV_FREE);
      assertEq(ret, 0, "MADV_FREE");
      await io.mock.checkMap(hwptId, IOVA, pageSize, at);
      await io.teardown();
    });
  });
}

/** MADV_REMOVE of a mapping that is written must fail, or leave nothing of its bytes. */
async function assertRemove(
  process: TargetProcess,
  at: number,
  length: number,
  errno: Errno | undefined,
): Promise<void> {
  await process.poke(at, new Uint8Array([5]));
  const ret = await process.madvise(at, length, MADV_REMOVE);
  assertDone(ret, errno, "MADV_REMOVE");
  const left = errno === undefined ? 0 : 5;
  assertEq((await process.peek(at, 1))[0]!, left, "byte afterwards");
}
