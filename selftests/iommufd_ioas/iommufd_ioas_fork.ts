// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `iommufd_ioas`: memory that another process mapped.
 *
 * @module
 */

import { EFAULT } from "../../impl/uapi/errno.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { checkAccessRw } from "./access_rw_check.ts";
import { assertEq, assertOk } from "../harness/harness.ts";
import type { IoasFixture, IoasSelf } from "./iommufd_ioas.ts";

/** IOVA that the child maps at. */
const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the tests to the fixture. */
export function registerFork(f: IoasFixture): void {
  f.test("fork_gone", {
    description:
      "Memory of a process that is gone can be had from a domain, but not pinned anew",
    rules: ["P08.20"],
    needs: () => ["fork"],
  }, async ({ io, ioasId, stdevId }) => {
    const access = await io.mock.createAccess(ioasId, false);
    const child = await io.process.fork();
    await io.in(child).mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
    await child.exit();
    if (stdevId) {
      // A domain has the pages since the child mapped them.
      await io.mock.domain(ioasId);
      await checkAccessRw(io, access, IOVA, 0);
    } else {
      await io.mock.domain(ioasId, EFAULT);
    }
    await io.mock.destroyAccess(access);
  });

  f.test("fork_present", {
    description: "Memory of another process can be pinned, read and written",
    rules: ["P08.20"],
    needs: () => ["fork"],
  }, checkForkPresent);
}

/** Test `fork_present`: the child stays until the parent closes its pipe. */
async function checkForkPresent({ io, ioasId }: IoasSelf): Promise<void> {
  const { process } = io;
  const access = await io.mock.createAccess(ioasId, false);
  const pipe = await process.pipe();
  assertEq(pipe.ret, 0, "pipe");
  const efd = assertOk(await process.eventfd(0, 0), "eventfd");

  const child = await process.fork();
  await child.close(pipe.writeFd);
  await io.in(child).mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
  const one = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  assertEq(await child.write(efd, one), 8, "the child writes its eventfd");

  await process.close(pipe.readFd);
  assertEq(await process.read(efd, new Uint8Array(8)), 8, "read the eventfd");
  await io.mock.domain(ioasId);
  await checkAccessRw(io, access, IOVA, 0);

  assertEq(await process.close(pipe.writeFd), 0, "close the pipe");
  const left = await child.read(pipe.readFd, new Uint8Array(1));
  assertEq(left, 0, "the child sees the end of the pipe");
  await child.exit();
  await io.mock.destroyAccess(access);
}
