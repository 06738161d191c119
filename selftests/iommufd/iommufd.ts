// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `iommufd`: an open `/dev/iommu` with nothing in it.
 *
 * @module
 */

import {
  E2BIG,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOTTY,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_DESTROY,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_RLIMIT_MODE,
  IOMMU_VFIO_IOAS_CLEAR,
  IOMMU_VFIO_IOAS_GET,
  IOMMU_VFIO_IOAS_SET,
  IommuDestroy,
  IOMMUFD_CMD_BASE,
  IOMMUFD_TYPE,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { existsIn } from "../../impl/uapi/revision/versions.ts";
import {
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_GET_API_VERSION,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
} from "../../impl/uapi/vfio.ts";
import { SIZED_IOCTLS, type SizedIoctl } from "../ioctls/command_table.ts";
import {
  assertEq,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import {
  getInfo,
  mapDma,
  setIommu,
  unmapDma,
  vfioIoas,
} from "../ioctls/vfio_ioctls.ts";

/** Adds the fixture's tests to `registry`. */
export function registerIommufd(registry: Test[]): void {
  const f = fixture<undefined, Iommufd>(registry, "iommufd", {
    upstream: true,
    setup: (context) => Iommufd.open(context),
    teardown: (io) => io.teardown(),
  });
  registerCommandTests(f);
  registerVfioTests(f);
}

/** Tests of the dispatch of commands, and of the options of a context. */
function registerCommandTests(f: Fixture<undefined, Iommufd>): void {
  f.test("simple_close", {
    description: "Opening and closing works",
    rules: ["C2.13"],
  }, async () => {});

  f.test("cmd_fail", {
    description: "A bad id, a bad pointer and an unknown ioctl are refused",
    rules: ["P05.2", "P05.3", "P05.9"],
  }, async (io) => {
    await io.destroy(0, ENOENT);
    await io.ioctlArg(IOMMU_DESTROY, 0, EFAULT, "DESTROY of a null pointer");
    await io.ioctl(
      (IOMMUFD_TYPE << 8) | (IOMMUFD_CMD_BASE - 1),
      IommuDestroy.encode({ id: 0 }),
      ENOTTY,
    );
  });

  f.test("cmd_length", {
    description:
      "Every ioctl refuses a short struct and a non-zero unknown tail, and ignores a zero one",
    rules: ["C3.10"],
    since: "6.2",
  }, checkCommandLengths);

  f.test("cmd_ex_fail", {
    description: "A longer struct is accepted if its tail is zero",
    rules: ["C3.10"],
  }, async (io) => {
    const bytes = new Uint8Array(IommuDestroy.size + 8);
    const cmd = IommuDestroy.at(bytes);
    cmd.size = bytes.length;
    await io.ioctl(IOMMU_DESTROY, bytes, ENOENT, "longer DESTROY");
    bytes[IommuDestroy.size] = 1;
    await io.ioctl(IOMMU_DESTROY, bytes, E2BIG, "DESTROY with a future field");
    cmd.size = IommuDestroy.size;
    await io.ioctl(IOMMU_DESTROY, bytes, ENOENT, "DESTROY");
    cmd.size = IommuDestroy.size - 1;
    const errno = io.revision.objects.shortStructErrno;
    await io.ioctl(IOMMU_DESTROY, bytes, errno, "short DESTROY");
  });

  f.test("global_options", {
    description:
      "RLIMIT_MODE can be read and set; HUGE_PAGES belongs to an IOAS",
    rules: ["P10.10"],
  }, async (io) => {
    const mode = IOMMU_OPTION_RLIMIT_MODE;
    assertEq(await io.getOption(mode, 0, undefined, 1n), 0n, "RLIMIT_MODE");
    await io.setOption(mode, 0, 1n);
    await io.setOption(mode, 0, 2n, EINVAL);
    assertEq(await io.getOption(mode, 0), 1n, "RLIMIT_MODE once set");
    await io.setOption(mode, 0, 0n);
    await io.getOption(IOMMU_OPTION_HUGE_PAGES, 0, ENOENT);
    await io.setOption(IOMMU_OPTION_HUGE_PAGES, 0, 0n, ENOENT);
  });
}

/** cmd_length: the ioctls that the target has, in the kernel's order. */
async function checkCommandLengths(io: Iommufd): Promise<void> {
  const { capabilities } = io.context.info;
  for (const ioctl of SIZED_IOCTLS) {
    const { need } = ioctl;
    if (!existsIn(io.revision.name, ioctl)) continue;
    if (need && !capabilities.includes(need)) continue;
    await checkCommandLength(io, ioctl);
  }
}

/** One TEST_LENGTH of the C test: the struct with one byte behind it. */
async function checkCommandLength(
  io: Iommufd,
  { layout, cmd, last }: SizedIoctl,
): Promise<void> {
  const bytes = new Uint8Array(layout.size + 1);
  const header = layout.at(bytes);
  header.size = last - 1;
  bytes[layout.size] = 0xff;
  await io.ioctl(cmd, bytes, EINVAL, `short ${layout.name}`);
  header.size = layout.size + 1;
  await io.ioctl(cmd, bytes, E2BIG, `longer ${layout.name}`);
  header.size = layout.size;
  const exact = await io.process.ioctl(io.fd, cmd, bytes);
  header.size = layout.size + 1;
  bytes[layout.size] = 0;
  const longer = await io.process.ioctl(io.fd, cmd, bytes);
  assertEq(longer, exact, `result of a longer ${layout.name} with zero tail`);
}

/** Tests of the VFIO container ioctls without a compatibility IOAS. */
function registerVfioTests(f: Fixture<undefined, Iommufd>): void {
  const iova = BigInt(MOCK_APERTURE_START);

  f.test("simple_ioctls", {
    description: "The VFIO API version and the type1v2 extension are there",
    rules: ["P14.3"],
  }, async (io) => {
    assertEq(
      await io.process.ioctlArg(io.fd, VFIO_GET_API_VERSION, 0),
      VFIO_API_VERSION,
      "VFIO_GET_API_VERSION",
    );
    assertEq(
      await io.process.ioctlArg(
        io.fd,
        VFIO_CHECK_EXTENSION,
        VFIO_TYPE1v2_IOMMU,
      ),
      1,
      "VFIO_CHECK_EXTENSION of TYPE1v2",
    );
  });

  f.test("unmap_cmd", {
    description: "UNMAP_DMA checks its struct, then looks for an IOAS",
    rules: ["P14.9"],
  }, async (io) => {
    const values = { iova, length: io.page };
    await unmapDma(io, { ...values, argsz: 1 }, EINVAL);
    await unmapDma(io, { ...values, flags: 0x80000000 }, EINVAL);
    await unmapDma(io, values, ENODEV);
  });

  f.test("map_cmd", {
    description: "MAP_DMA checks its struct, then looks for an IOAS",
    rules: ["P14.8"],
  }, async (io) => {
    const values = { iova, length: io.page, vaddr: BigInt(io.buffer) };
    await mapDma(io, { ...values, argsz: 1, flags: 0 }, EINVAL);
    await mapDma(io, { ...values, flags: 0x80000000 }, EINVAL);
    await mapDma(io, values, ENODEV);
  });

  f.test("info_cmd", {
    description: "GET_INFO checks its struct, then looks for an IOAS",
    rules: ["P14.11"],
  }, async (io) => {
    await getInfo(io, { argsz: 1 }, EINVAL);
    await getInfo(io, {}, ENODEV);
  });

  f.test("set_iommu_cmd", {
    description: "SET_IOMMU needs an IOAS",
    rules: ["P14.4"],
  }, async (io) => {
    await setIommu(io, VFIO_TYPE1v2_IOMMU, ENODEV);
    await setIommu(io, VFIO_TYPE1_IOMMU, ENODEV);
  });

  f.test("vfio_ioas", {
    description: "The compatibility IOAS can be set, read and cleared",
    rules: ["P14.7"],
  }, async (io) => {
    await vfioIoas(io, IOMMU_VFIO_IOAS_GET, 0, ENODEV);
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, 0, ENOENT);
    const ioasId = await io.ioasAlloc();
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
    assertEq(await vfioIoas(io, IOMMU_VFIO_IOAS_GET), ioasId, "VFIO_IOAS GET");
    await vfioIoas(io, IOMMU_VFIO_IOAS_CLEAR, ioasId);
    await vfioIoas(io, IOMMU_VFIO_IOAS_GET, ioasId, ENODEV);
  });
}
