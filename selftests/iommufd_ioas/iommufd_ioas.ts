// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `iommufd_ioas`: an IOAS without a domain, with one or two, and with
 * one under a tiny batch limit. The tests live in the `iommufd_ioas_*.ts`
 * files by subject; this file fixes their order, which is the kernel's.
 *
 * @module
 */

import { EBUSY } from "../../impl/uapi/errno.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { testDifferences } from "../iommufd/test_differences.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { MOCK_FLAGS_DEVICE_PASID } from "../ioctls/pasid_ioctls.ts";
import { devCheckCacheAll } from "../ioctls/viommu_ioctls.ts";
import { registerAccess } from "./iommufd_ioas_access.ts";
import { registerArea } from "./iommufd_ioas_area.ts";
import { registerAutoIova } from "./iommufd_ioas_auto_iova.ts";
import { registerCopyArea, registerCopySweep } from "./iommufd_ioas_copy.ts";
import { registerDmabuf } from "./iommufd_ioas_dmabuf.ts";
import { registerFork } from "./iommufd_ioas_fork.ts";
import {
  registerAllocHwptNested,
  registerGetHwInfo,
  registerHwptAttach,
} from "./iommufd_ioas_hwpt.ts";
import { registerIovaRanges } from "./iommufd_ioas_iova_ranges.ts";
import { registerOptions } from "./iommufd_ioas_option.ts";

/** Parameters of a variant. */
export interface IoasVariant {
  /** Mock devices attached to the IOAS. */
  readonly mockDomains: number;
  /** Temporary memory limit, bytes; the default without. */
  readonly memoryLimit?: number;
  /** Whether there is a mock device with PASIDs too, in the revisions that have such. */
  readonly pasidCapable?: boolean;
}

/** What the tests share. */
export interface IoasSelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** The IOAS. */
  readonly ioasId: number;
  /** The last mock device, 0 without one. */
  readonly stdevId: number;
  /** Its HWPT, 0 without one. */
  readonly hwptId: number;
  /** Its bound device, 0 without one. */
  readonly idevId: number;
  /** The bound device with PASIDs, 0 without one. */
  readonly pasidDevId: number;
  /** Lowest IOVA that can be mapped. */
  readonly baseIova: bigint;
}

/** The fixture as the files of its tests see it. */
export type IoasFixture = Fixture<IoasVariant, IoasSelf>;

/** The kernel's variants. */
const VARIANTS: Readonly<Record<string, IoasVariant>> = {
  no_domain: { mockDomains: 0 },
  mock_domain: { mockDomains: 1, pasidCapable: true },
  two_mock_domain: { mockDomains: 2 },
  mock_domain_limit: { mockDomains: 1, memoryLimit: 16 },
};

/** Adds the fixture's tests to `registry`. */
export function registerIommufdIoas(registry: Test[]): void {
  const f: IoasFixture = fixture(registry, "iommufd_ioas", {
    variants: VARIANTS,
    upstream: true,
    setup: setupIoas,
    teardown: teardownIoas,
  });
  registerDestroy(f);
  registerAllocHwptNested(f);
  registerHwptAttach(f);
  registerAreaDestroy(f);
  registerGetHwInfo(f);
  registerArea(f);
  registerAutoIova(f);
  registerCopyArea(f);
  registerIovaRanges(f);
  registerAccess(f);
  registerFork(f);
  registerOptions(f);
  registerCopySweep(f);
  registerDmabuf(f);
}

/** Opens an iommufd with an IOAS and the variant's mock devices. */
export async function setupIoas(
  context: Context,
  variant: IoasVariant,
): Promise<IoasSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  await io.mock.tryMemoryLimit(variant.memoryLimit);
  let domain = { stdevId: 0, hwptId: 0, idevId: 0 };
  const { checksDeviceCache, hasPasidDevice } = testDifferences(io.revision);
  for (let i = 0; i < variant.mockDomains; i++) {
    domain = await io.mock.domain(ioasId);
    if (checksDeviceCache) await devCheckCacheAll(io, domain.idevId);
  }
  const { idevId: pasidDevId } = variant.pasidCapable && hasPasidDevice
    ? await io.mock.domainFlags(ioasId, MOCK_FLAGS_DEVICE_PASID)
    : { idevId: 0 };
  const baseIova = variant.mockDomains ? BigInt(MOCK_APERTURE_START) : 0n;
  return { io, ioasId, ...domain, pasidDevId, baseIova };
}

/** Resets the batch limit and runs the common teardown. */
export async function teardownIoas({ io }: IoasSelf): Promise<void> {
  await io.mock.tryMemoryLimit();
  await io.teardown();
}

/** An empty IOAS goes with the descriptor or by DESTROY. */
function registerDestroy(f: IoasFixture): void {
  f.test("ioas_auto_destroy", {
    description: "Closing the descriptor frees the IOAS",
    rules: ["C2.13"],
  }, async () => {});

  f.test("ioas_destroy", {
    description: "An IOAS can be destroyed unless a device uses it",
    rules: ["P10.2"],
  }, async (self) => {
    await self.io.destroy(self.ioasId, self.stdevId ? EBUSY : undefined);
  });
}

/** An IOAS with areas goes the same ways. */
function registerAreaDestroy(f: IoasFixture): void {
  f.test("ioas_area_destroy", {
    description: "An area does not keep an IOAS from being destroyed",
    rules: ["P10.2"],
  }, async ({ io, ioasId, stdevId, baseIova }) => {
    await io.mapFixed(ioasId, io.buffer, io.page, baseIova);
    await io.destroy(ioasId, stdevId ? EBUSY : undefined);
  });

  f.test("ioas_area_auto_destroy", {
    description: "Closing the descriptor frees an IOAS with many areas",
    rules: ["C2.13"],
  }, async ({ io, ioasId, baseIova }) => {
    for (let i = 0n; i < 10n; i++) {
      await io.mapFixed(ioasId, io.buffer, io.page, baseIova + i * io.page);
    }
  });
}
