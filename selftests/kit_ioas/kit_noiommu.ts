// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_noiommu`: GET_PA, which is for devices without an IOMMU, where
 * there are none.
 *
 * @module
 */

import {
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import { CAP_SYS_RAWIO } from "../../impl/uapi/mman.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { type Fixture, fixture, type Test } from "../harness/harness.ts";
import { Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import {
  type IommuIoasNoiommuGetPa,
  noiommuGetPa,
} from "../ioctls/noiommu_ioctls.ts";

/** What the tests share. */
interface NoiommuSelf {
  readonly io: Iommufd;
  /** An IOAS with memory and a mock device. */
  readonly ioasId: number;
  /** One with memory only. */
  readonly bareId: number;
}

const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the fixture's tests to `registry`. */
export function registerKitNoiommu(registry: Test[]): void {
  const f: Fixture<undefined, NoiommuSelf> = fixture(registry, "kit_noiommu", {
    since: "7.3",
    upstream: false,
    setup: async (context) => {
      const io = await Iommufd.open(context);
      const [ioasId, bareId] = [await io.ioasAlloc(), await io.ioasAlloc()];
      await io.mock.domain(ioasId);
      for (const id of [ioasId, bareId]) {
        await io.mapFixed(id, io.buffer, io.page, IOVA);
      }
      return { io, ioasId, bareId };
    },
    teardown: ({ io }) => io.teardown(),
  });

  f.table("get_pa_errno", {
    description: "GET_PA checks its arguments in Linux's order",
    rules: ["P10.13"],
  }, (t) => {
    type Values = Partial<IommuIoasNoiommuGetPa>;
    const all: Values = {
      flags: 1,
      length: 0n,
      iova: U64_MAX,
      ioasId: 999,
    };
    const rows: [string, Errno, Values][] = [
      ["flags first", EOPNOTSUPP, all],
      ["a reserved field", EOPNOTSUPP, { ...all, flags: 0, reserved: 1 }],
      ["no length", EINVAL, { ...all, flags: 0 }],
      ["IOVA 2^64-1", EOVERFLOW, { iova: U64_MAX, ioasId: 999 }],
      ["an id of nothing", ENOENT, { iova: 0n, ioasId: 999 }],
      ["nothing mapped", ENOENT, { iova: IOVA - 1n }],
      ["a mock device", EOPNOTSUPP, {}],
    ];
    for (const [what, errno, values] of rows) {
      t.case(what, async ({ io, ioasId }) => {
        await noiommuGetPa(io, ioasId, IOVA, io.page, errno, values);
      });
    }
    t.case("no device", async ({ io, bareId }) => {
      await noiommuGetPa(io, bareId, IOVA, io.page, EOPNOTSUPP);
    });
  });

  f.test("get_pa_capability", {
    description: "Without CAP_SYS_RAWIO GET_PA is EPERM before anything else",
    rules: ["P10.13"],
  }, async ({ io }) => {
    await io.process.dropCapability(CAP_SYS_RAWIO);
    const values = { flags: 1, reserved: 1 };
    await noiommuGetPa(io, 999, U64_MAX, 0, EPERM, values);
  });
}
