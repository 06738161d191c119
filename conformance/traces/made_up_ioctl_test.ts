// SPDX-License-Identifier: GPL-2.0-only

/**
 * What `impl/uapi/README.md` says about adding an ioctl, tried with one that
 * Linux does not have, from outside of the package.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  EOPNOTSUPP,
  errnoName,
  IommufdClient,
  IommufdError,
  Kernel,
  REVISIONS,
} from "@iommufd/kit";
import { Ioas, ioctlOp } from "@iommufd/kit/internals";
import { ioctl, type IoctlStruct, role, type Sized } from "@iommufd/kit/uapi";
import { NEWEST, type RevisionName } from "../../impl/uapi/revision.ts";
import { describeStruct, ioctlName } from "./describe_ioctl.ts";

/** Counts the areas of an IOAS; with `limit`, which came later, at most so many. */
interface IoasCount extends Sized {
  flags: number;
  ioasId: number;
  outAreas: number;
  limit: number;
  reserved: number;
}

const IOMMU_IOAS_COUNT = 0x3b9f;
/** A revision that does not have its last field yet. */
const OLDER = "6.12";
const IoasCount: IoctlStruct<IoasCount> = ioctl(
  { IOMMU_IOAS_COUNT, since: "6.7" },
  "iommu_ioas_count",
  {
    size: role.size(),
    flags: role.flags({ LIMITED: 1, EXACT: 2 }),
    ioasId: role.id("IOAS"),
    outAreas: role.out(role.count()),
    ...role.since("6.11", { limit: role.u32() }),
    ...role.since("7.3", { reserved: role.reserved() }),
  },
);

/** A process of a kernel that has the ioctl. */
function processWith(revision: RevisionName) {
  const op = ioctlOp(IoasCount, (ucmd) => {
    const { ctx, cmd } = ucmd;
    if (cmd.flags & ~3) throw EOPNOTSUPP.because("a flag is unknown");
    const ioas = ctx.objects.get(cmd.ioasId, Ioas);
    const areas = [...ioas.iopt.areas].length;
    ioas.put();
    cmd.outAreas = cmd.flags & 1 ? Math.min(areas, cmd.limit) : areas;
    ucmd.respond();
  });
  return new Kernel({ revision, ioctls: [op] }).spawn();
}

describe("a made-up ioctl", () => {
  it("is dispatched where it exists", () => {
    using iommufd = IommufdClient.open(processWith(NEWEST));
    const { ioasId } = iommufd.ioasAlloc();
    assertEquals(iommufd.call(IoasCount, { ioasId }).outAreas, 0);
    const userVa = iommufd.process.mmap(0, 0x2000, 3, 0x21);
    const half = { ioasId, userVa, length: 0x1000 };
    iommufd.ioasMap(half);
    iommufd.ioasMap(half);
    assertEquals(iommufd.call(IoasCount, { ioasId }).outAreas, 2);
    const limited = { ioasId, flags: 1, limit: 1 };
    assertEquals(iommufd.call(IoasCount, limited).outAreas, 1);

    using old = IommufdClient.open(processWith("v3"));
    assertThrows(
      () => old.call(IoasCount, { ioasId: 1 }),
      IommufdError,
      "this revision does not have the ioctl",
    );
  });

  it("has the sizes that its fields give it in a version", () => {
    const process = processWith(OLDER);
    const fd = process.open("/dev/iommu");
    const call = (size: number, last = 0) => {
      const bytes = new Uint8Array(size);
      bytes.set(IoasCount.encode({ size }).subarray(0, size));
      if (last) bytes[size - 1] = last;
      return errnoName(process.ioctlStruct(fd, IOMMU_IOAS_COUNT, bytes));
    };
    // Without IOAS it gets to ENOENT at best.
    assertEquals(call(15), "EINVAL");
    assertEquals(call(16), "ENOENT");
    assertEquals(call(20, 1), "ENOENT");
    assertEquals(call(24), "ENOENT");
    // The last field came later than this kernel.
    assertEquals(call(24, 1), "E2BIG");
    assertEquals([IoasCount.size, IoasCount.sizeIn(OLDER)], [24, 20]);
    process.exit();
  });

  it("is checked and explained by the client", () => {
    using iommufd = IommufdClient.open(processWith(NEWEST));
    assertThrows(
      () => iommufd.call(IoasCount, {}),
      TypeError,
      "ioasId must be an integer from 0 to 2^32-1, not undefined",
    );
    const { message } = assertThrows(
      () => iommufd.call(IoasCount, { ioasId: 4096, flags: 5, limit: 2 }),
      IommufdError,
    );
    assertEquals(
      message,
      "IOMMU_IOAS_COUNT failed with EOPNOTSUPP: a flag is unknown " +
        "(flags 0x5 (LIMITED | 0x4), ioasId 4096, limit 2)",
    );
  });

  it("is told of by name in a report", () => {
    const bytes = IoasCount.encode({ flags: 3, ioasId: 1 });
    const table = [IoasCount];
    assertEquals(ioctlName(IOMMU_IOAS_COUNT, table), "IOMMU_IOAS_COUNT");
    assertEquals(
      describeStruct(IOMMU_IOAS_COUNT, bytes, REVISIONS[OLDER], table),
      {
        name: "iommu_ioas_count",
        fields: {
          size: "24",
          flags: "0x3 (LIMITED | EXACT)",
          ioas_id: "1",
          out_areas: "0",
          limit: "0",
          __reserved: "0",
          "beyond the end": "4 bytes, all zero",
        },
      },
    );
  });
});
