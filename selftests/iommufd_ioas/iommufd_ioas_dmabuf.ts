// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `iommufd_ioas`: dma-bufs.
 *
 * @module
 */

import { EINVAL, ENODEV } from "../../impl/uapi/errno.ts";
import { assertEq } from "../harness/harness.ts";
import {
  dmabufGet,
  dmabufRevoke,
  mapFile,
  mapFileFixed,
} from "../ioctls/file_ioctls.ts";
import { hwptAlloc } from "../ioctls/hwpt_ioctls.ts";
import type { IoasFixture } from "./iommufd_ioas.ts";

/** Adds the tests to the fixture. */
export function registerDmabuf(f: IoasFixture): void {
  f.test("dmabuf_simple", {
    description: "A dma-buf can be mapped, and is not needed afterwards",
    rules: ["F2.1"],
    since: "7.3",
    needs: () => ["map_file"],
  }, async ({ io, ioasId }) => {
    const size = 4 * io.context.pageSize;
    const fd = await dmabufGet(io, size);
    await mapFile(io, ioasId, fd, 0, 0, EINVAL);
    await mapFile(io, ioasId, fd, size, size, EINVAL);
    await mapFile(io, ioasId, fd, 0, size + 1, EINVAL);
    await mapFile(io, ioasId, fd, 0, size);
    assertEq(await io.process.close(fd), 0, "close the dma-buf");
  });

  f.test("dmabuf_revoke", {
    description:
      "A revoked dma-buf keeps its IOVA and cannot be mapped until that is taken back",
    rules: ["F2.5"],
    since: "7.3",
    needs: () => ["map_file"],
  }, async ({ io, ioasId, idevId: devId }, { mockDomains }) => {
    const size = 4 * io.context.pageSize;
    const fd = await dmabufGet(io, size);
    const iova = await mapFile(io, ioasId, fd, 0, size);
    await dmabufRevoke(io, fd, true);
    // There is nothing to fill the domain with.
    if (mockDomains) await hwptAlloc(io, { devId, ptId: ioasId });
    await mapFile(io, ioasId, fd, 0, size, ENODEV);

    await dmabufRevoke(io, fd, false);
    await mapFile(io, ioasId, fd, 0, size);
    await io.unmap(ioasId, iova, size);
    await mapFileFixed(io, ioasId, fd, 0, size, iova);
    assertEq(await io.process.close(fd), 0, "close the dma-buf");
  });
}
