// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `vfio_cdev` of vfio_iommufd_setup_test.c: a device of its own path
 * is bound and attached.
 *
 * @module
 */

import { IOMMU_IOAS_ALLOC, IommuIoasAlloc } from "../../impl/uapi/iommufd.ts";
import { O_RDWR } from "../../impl/uapi/mman.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import {
  assertEq,
  assertOk,
  assertTrue,
  type Fixture,
  type Test,
} from "../harness/harness.ts";
import { Attach, Bind, Detach, Info, VFIO } from "../kit_vfio/vfio_ioctls.ts";
import { VfioFile } from "../kit_vfio/vfio_ioctls.ts";
import { programFixture } from "./programs.ts";

/** What the tests share. */
interface CdevSelf {
  readonly device: VfioFile;
  readonly iommufd: number;
}

/** Adds the fixture's tests to `registry`. */
export function registerVfioIommufdSetup(registry: Test[]): void {
  const f: Fixture<undefined, CdevSelf> = programFixture(
    registry,
    "vfio_cdev",
    {
      program: "vfio_iommufd_setup_test",
      setup: async ({ process }) => {
        const device = await VfioFile.open(process);
        const fd = await process.open("/dev/iommu", O_RDWR);
        return { device, iommufd: assertOk(fd, "open /dev/iommu") };
      },
      teardown: async ({ device, iommufd }) => {
        await device.close();
        assertEq(await device.process.close(iommufd), 0, "close the iommufd");
      },
    },
  );

  f.test("bind", {
    description: "A device that is bound tells about itself",
    rules: ["X1.1"],
  }, async (self) => {
    assertEq(await bind(self), 0, "BIND");
    assertEq(await getInfo(self), 0, "GET_INFO");
  });

  f.test("get_info_without_bind_fails", {
    description: "A device that is not bound tells nothing",
    rules: ["X1.1"],
  }, async (self) => {
    assertTrue(await getInfo(self) < 0, "GET_INFO fails");
  });

  f.test("bind_bad_iommufd_fails", {
    description: "A device is not bound to what is no descriptor",
    rules: ["X1.1"],
  }, async (self) => {
    assertTrue(await bind(self, -2) < 0, "BIND fails");
  });

  f.test("repeated_bind_fails", {
    description: "A device is bound once",
    rules: ["X1.1"],
  }, async (self) => {
    assertEq(await bind(self), 0, "BIND");
    assertTrue(await bind(self) < 0, "BIND once more fails");
  });

  f.test("attach_detatch_pt", {
    description: "A device is attached to an IOAS and detached",
    rules: ["X1.3"],
  }, async (self) => {
    assertEq(await bind(self), 0, "BIND");
    const bytes = IommuIoasAlloc.encode();
    const { device: { process }, iommufd } = self;
    const ret = await process.ioctl(iommufd, IOMMU_IOAS_ALLOC, bytes);
    assertEq(ret, 0, "IOMMU_IOAS_ALLOC");
    const { outIoasId } = IommuIoasAlloc.decode(bytes);
    assertEq(await attach(self, outIoasId), 0, "ATTACH");
    assertEq(await call(self, Detach, VFIO.DETACH, {}), 0, "DETACH");
  });

  f.test("attach_invalid_pt_fails", {
    description: "A device is not attached to what there is not",
    rules: ["X1.3"],
  }, async (self) => {
    assertEq(await bind(self), 0, "BIND");
    assertTrue(await attach(self, 2 ** 32 - 1) < 0, "ATTACH fails");
  });
}

/** An ioctl of the device with a struct; the result. */
function call<T extends { argsz: number }>(
  { device: { process, fd } }: CdevSelf,
  layout: Struct<T>,
  cmd: number,
  values: Partial<T>,
): Promise<number> {
  const bytes = layout.encode({ argsz: layout.size, ...values });
  return process.ioctl(fd, cmd, bytes);
}

function bind(self: CdevSelf, iommufd = self.iommufd): Promise<number> {
  return call(self, Bind, VFIO.BIND, { iommufd });
}

function getInfo(self: CdevSelf): Promise<number> {
  return call(self, Info, VFIO.GET_INFO, {});
}

function attach(self: CdevSelf, ptId: number): Promise<number> {
  return call(self, Attach, VFIO.ATTACH, { ptId });
}
