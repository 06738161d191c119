// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which programs a mutant is fuzzed with, and on which machines: those about
 * what is in its folder, as somebody would who changed something there.
 *
 * @module
 */

import type { Need } from "../../../selftests/target/capabilities.ts";
import type { Round } from "./events.ts";
import { OF_THE_CARD } from "./pair.ts";

/** Profiles by the folder or file of a fault; the first that fits counts. */
const FOCUS: readonly (readonly [string, readonly string[]])[] = [
  ["impl/iommufd/vfio_compat/", ["container", "ioas"]],
  ["impl/iommufd/ioas/", ["ioas", "fail_nth"]],
  ["impl/iommufd/pages/", ["ioas", "memory", "files", "process", "fail_nth"]],
  ["impl/iommufd/hwpt/", ["hwpt", "dirty", "faults", "fail_nth"]],
  ["impl/iommufd/attach/", ["hwpt", "pasid", "fail_nth"]],
  ["impl/iommufd/access/", ["ioas", "memory", "fail_nth"]],
  ["impl/iommufd/viommu/", ["viommu", "fail_nth"]],
  ["impl/iommufd/events/", ["faults", "viommu", "fail_nth"]],
  ["impl/iommu/", ["ioas", "dirty", "hwpt", "registers", "fail_nth"]],
  ["impl/mock/", ["hwpt", "dirty", "pasid", "viommu", "fail_nth"]],
  ["impl/kernel/", ["memory", "files", "process", "fail_nth"]],
  ["impl/vfio/", ["vfio", "registers"]],
  ["impl/pci/", ["vfio", "registers"]],
];

/** The profiles for a fault in a file, of those that there are: each makes a program in turn. */
export function profilesFor(
  file: string,
  all: readonly string[],
): readonly string[] {
  const [, focus = all] = FOCUS.find(([start]) => file.startsWith(start)) ?? [];
  // What is mixed has everything but devices.
  const profiles = focus.includes("vfio") ? focus : ["mixed", ...focus];
  return [...new Set(profiles)].filter((name) => all.includes(name));
}

/** Copy engines, to which a machine can be told to do DMA. */
const ENGINES: Need = "copy_engines";
/** Devices that a machine has in the place of the card. */
const OTHER_DEVICES: readonly Need[] = [
  ENGINES,
  "vfio_rom",
  "noiommu_device",
  "noiommu_engine",
  "vfio_group_of_two",
];

/** The machines for a fault that profiles are about: such as its test has, and then one with frames that do not follow each other, or with devices that do DMA. */
export function roundsFor(
  profiles: readonly string[],
  needs: readonly Need[],
): readonly Round[] {
  const rounds: Round[] = [{ needs, frameOrder: "ordered" }];
  const isOfDevices = profiles.includes("vfio");
  if (!isOfDevices) rounds.push({ needs, frameOrder: { scattered: 1 } });
  const hasOther = needs.some((need) => OTHER_DEVICES.includes(need));
  if (profiles.includes("registers") && !hasOther) {
    const others = needs.filter((need) => !OF_THE_CARD.includes(need));
    rounds.push({ needs: [...others, ENGINES], frameOrder: "ordered" });
  }
  return rounds;
}
