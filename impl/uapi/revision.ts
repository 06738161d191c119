// SPDX-License-Identifier: GPL-2.0-only

/**
 * How the behaviour of iommufd differs with its age.
 *
 * Code asks for a named difference, never for a version. How to add one is in
 * revision/README.md. References: "v3 L…" is a line of the posted series
 * (seeds/002), "Bnn" and "Snn" a row of reference/seed_requirements.md; names
 * of files are those of Linux 6.12's drivers/iommu/iommufd.
 *
 * @module
 */

import { AccessDifferences } from "./revision/access.ts";
import { AttachDifferences } from "./revision/attach.ts";
import type { Resolved } from "./revision/differences.ts";
import { HwptDifferences } from "./revision/hwpt.ts";
import { IoasDifferences } from "./revision/ioas.ts";
import { ObjectDifferences } from "./revision/objects.ts";
import { PagesDifferences } from "./revision/pages.ts";
import { MockDifferences, SelftestDifferences } from "./revision/selftest.ts";
import { VfioDifferences } from "./revision/vfio.ts";

/** Name of a revision that is offered: the series as posted, with the bugs fixed that its review found, Linux 6.12.117, and Linux 7.3.4. */
export type RevisionName = "v3" | "6.12" | "7.3";

/** The differences as they are in one version. */
export class Revision {
  /** The version. */
  readonly name: RevisionName;
  /** Dispatch, ids, reserved fields, options. */
  readonly objects: Resolved<ObjectDifferences>;
  /** The IOVA of an IOAS, and its areas. */
  readonly ioas: Resolved<IoasDifferences>;
  /** User memory and its pins. */
  readonly pages: Resolved<PagesDifferences>;
  /** Devices. */
  readonly attach: Resolved<AttachDifferences>;
  /** HWPTs. */
  readonly hwpt: Resolved<HwptDifferences>;
  /** Accesses. */
  readonly access: Resolved<AccessDifferences>;
  /** The VFIO container. */
  readonly vfio: Resolved<VfioDifferences>;
  /** The test ioctl. */
  readonly selftest: Resolved<SelftestDifferences>;
  /** The mock IOMMU. */
  readonly mock: Resolved<MockDifferences>;

  /** Resolves all groups. */
  constructor(name: RevisionName) {
    this.name = name;
    this.objects = Object.freeze(new ObjectDifferences(name));
    this.ioas = Object.freeze(new IoasDifferences(name));
    this.pages = Object.freeze(new PagesDifferences(name));
    this.attach = Object.freeze(new AttachDifferences(name));
    this.hwpt = Object.freeze(new HwptDifferences(name));
    this.access = Object.freeze(new AccessDifferences(name));
    this.vfio = Object.freeze(new VfioDifferences(name));
    this.selftest = Object.freeze(new SelftestDifferences(name));
    this.mock = Object.freeze(new MockDifferences(name));
    Object.freeze(this);
  }
}

/** All revisions by name, oldest first. */
export const REVISIONS: Readonly<Record<RevisionName, Revision>> = Object
  .freeze({
    "v3": new Revision("v3"),
    "6.12": new Revision("6.12"),
    "7.3": new Revision("7.3"),
  });

/** Names of all revisions, oldest first. */
export const REVISION_NAMES: readonly RevisionName[] = Object.keys(
  REVISIONS,
) as RevisionName[];

/** The newest revision: what is taken where none is named. */
export const NEWEST: RevisionName = REVISION_NAMES.at(-1)!;

/** Whether a revision of that name is offered. */
export function isRevisionName(name: string): name is RevisionName {
  return Object.hasOwn(REVISIONS, name);
}
