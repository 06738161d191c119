// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `iommufd_device_pasid`: what the PASIDs of a device are attached to.
 *
 * @module
 */

import { EBUSY, EINVAL, ENOMEM } from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_FAULT_ID_VALID,
} from "../../impl/uapi/iommufd.ts";
import {
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  faultQueueAlloc,
  hwptAlloc,
  nestedAlloc,
  triggerIopf,
} from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import {
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_TEST_PASID_RESERVED,
  MOCK_FLAGS_DEVICE_PASID,
  pasidAttach,
  pasidCheckHwpt,
  pasidDetach,
  pasidReplace,
} from "../ioctls/pasid_ioctls.ts";
import { viommuAlloc } from "../ioctls/viommu_ioctls.ts";

/** Parameters of a variant. */
interface PasidVariant {
  /** Whether all devices have PASIDs; else there is one that has none. */
  readonly pasidCapable: boolean;
}

/** What the tests share. */
interface PasidSelf {
  readonly io: Iommufd;
  readonly ioasId: number;
  /** A device with PASIDs. */
  readonly stdevId: number;
  /** The same, as it is bound. */
  readonly devId: number;
  /** A device without, 0 for none. */
  readonly noPasidStdevId: number;
}

type PasidFixture = Fixture<PasidVariant, PasidSelf>;

/** The kernel's variants. */
const VARIANTS: Readonly<Record<string, PasidVariant>> = {
  no_pasid: { pasidCapable: false },
  has_pasid: { pasidCapable: true },
};

/** Adds the fixture's tests to `registry`. */
export function registerIommufdDevicePasid(registry: Test[]): void {
  const f: PasidFixture = fixture(registry, "iommufd_device_pasid", {
    variants: VARIANTS,
    since: "7.3",
    upstream: true,
    needs: () => ["hwpt", "pasid"],
    setup: setupPasid,
    teardown: ({ io }) => io.teardown(),
  });
  f.test("pasid_attach", {
    description:
      "PASIDs can be attached to HWPTs that are for them, replaced and detached, each by itself",
    rules: ["A1.1"],
    needs: () => ["faults", "viommu"],
  }, async (self) => {
    // Detaching what is not attached is no failure.
    await pasidDetach(self.io, self.stdevId, 100);
    const tables = await allocateTables(self);
    await checkCompatibility(self, tables);
    await checkAttach(self, tables);
    await checkReplace(self, tables);
    await checkFaults(self, tables);
    await self.io.mock.replaceDomain(self.stdevId, self.ioasId);
  });
}

/** An IOAS with the variant's devices. */
async function setupPasid(
  context: Context,
  { pasidCapable }: PasidVariant,
): Promise<PasidSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  const flags = MOCK_FLAGS_DEVICE_PASID;
  const { stdevId, idevId: devId } = await io.mock.domainFlags(ioasId, flags);
  const noPasidStdevId = pasidCapable
    ? 0
    : (await io.mock.domainFlags(ioasId, 0)).stdevId;
  return { io, ioasId, stdevId, devId, noPasidStdevId };
}

/** The HWPTs of the test. */
interface Tables {
  /** A nesting parent, not for PASIDs. */
  readonly parent: number;
  /** Nested in it, for PASIDs. */
  readonly nested: readonly [number, number];
  /** The same, with a fault queue. */
  readonly faulting: number;
  readonly faultId: number;
  readonly faultFd: number;
  /** An ordinary one, for PASIDs. */
  readonly s2: number;
}

/** Allocates the HWPTs. */
async function allocateTables(
  { io, ioasId, devId }: PasidSelf,
): Promise<Tables> {
  const flags = IOMMU_HWPT_ALLOC_PASID;
  const onIoas = { devId, ptId: ioasId };
  const parent = await hwptAlloc(io, {
    ...onIoas,
    flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
  });
  const nested = [
    await nestedAlloc(io, devId, parent, { flags }),
    await nestedAlloc(io, devId, parent, { flags }),
  ] as const;
  const { faultId, faultFd } = await faultQueueAlloc(io);
  const faulting = await nestedAlloc(io, devId, parent, {
    flags: IOMMU_HWPT_FAULT_ID_VALID | flags,
    faultId,
  });
  const viommuId = await viommuAlloc(io, devId, parent);
  await nestedAlloc(io, devId, viommuId, { flags });
  const s2 = await hwptAlloc(io, { ...onIoas, flags });
  return { parent, nested, faulting, faultId, faultFd, s2 };
}

/** A PASID can be attached only while the device itself is attached to a HWPT for PASIDs, and the other way round. */
async function checkCompatibility(
  { io, ioasId, stdevId, noPasidStdevId }: PasidSelf,
  { parent, nested, s2 }: Tables,
): Promise<void> {
  const pasid = 100;
  await io.mock.replaceDomain(stdevId, parent);
  await pasidAttach(io, stdevId, pasid, s2, EINVAL);
  await io.mock.replaceDomain(stdevId, s2);
  await pasidAttach(io, stdevId, pasid, nested[0]);
  await io.mock.replaceDomain(stdevId, parent, EINVAL);
  await pasidDetach(io, stdevId, pasid);
  await pasidCheckHwpt(io, stdevId, pasid, 0);

  if (!noPasidStdevId) return;
  await io.mock.replaceDomain(noPasidStdevId, nested[0]);
  await io.mock.replaceDomain(noPasidStdevId, ioasId);
  await pasidAttach(io, noPasidStdevId, pasid, parent, EINVAL);
  await pasidAttach(io, noPasidStdevId, pasid, s2, EINVAL);
}

/** What a PASID can be attached to, and how often. */
async function checkAttach(
  { io, ioasId, stdevId }: PasidSelf,
  { parent, nested, s2 }: Tables,
): Promise<void> {
  const pasid = 100;
  for (const notForPasids of [parent, ioasId]) {
    await pasidAttach(io, stdevId, pasid, notForPasids, EINVAL);
    await pasidCheckHwpt(io, stdevId, pasid, 0);
  }
  for (const hwptId of [s2, nested[0]]) {
    await pasidAttach(io, stdevId, pasid, hwptId);
    await pasidCheckHwpt(io, stdevId, pasid, hwptId);
    // Also to what it is attached to.
    await pasidAttach(io, stdevId, pasid, nested[0], EBUSY);
    await pasidDetach(io, stdevId, pasid);
    await pasidCheckHwpt(io, stdevId, pasid, 0);
  }
}

/** A PASID that is attached can be moved; a failure leaves it where it was. */
async function checkReplace(
  { io, ioasId, stdevId }: PasidSelf,
  { nested, s2 }: Tables,
): Promise<void> {
  const pasid = 200;
  await pasidReplace(io, stdevId, pasid, s2, EINVAL);
  await pasidAttach(io, stdevId, pasid, s2);
  await pasidCheckHwpt(io, stdevId, pasid, s2);
  await pasidReplace(io, stdevId, pasid, ioasId, EINVAL);
  await pasidCheckHwpt(io, stdevId, pasid, s2);
  for (const hwptId of nested) {
    await pasidReplace(io, stdevId, pasid, hwptId);
    await pasidCheckHwpt(io, stdevId, pasid, hwptId);
  }
  await pasidDetach(io, stdevId, pasid);

  // The mock refuses to move this one.
  const stuck = IOMMU_TEST_PASID_RESERVED;
  await pasidAttach(io, stdevId, stuck, s2);
  await pasidCheckHwpt(io, stdevId, stuck, s2);
  await pasidReplace(io, stdevId, stuck, nested[0], ENOMEM);
  await pasidCheckHwpt(io, stdevId, stuck, s2);
  await pasidDetach(io, stdevId, stuck);
}

/** The faults of a PASID go to the queue of its HWPT. */
async function checkFaults(
  { io, stdevId, devId }: PasidSelf,
  { faulting, faultId, faultFd, s2 }: Tables,
): Promise<void> {
  const pasid = 2048;
  await pasidAttach(io, stdevId, pasid, faulting);
  await pasidCheckHwpt(io, stdevId, pasid, faulting);
  await triggerIopf(io, devId, faultFd, pasid);
  await pasidReplace(io, stdevId, pasid, s2);
  await pasidCheckHwpt(io, stdevId, pasid, s2);
  await pasidDetach(io, stdevId, pasid);

  await io.destroy(faulting);
  assertEq(await io.process.close(faultFd), 0, "close the fault queue");
  await io.destroy(faultId);
}
