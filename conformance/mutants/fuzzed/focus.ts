// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which programs a mutant is fuzzed with: those about what is in its folder,
 * as somebody would who changed something there.
 *
 * @module
 */

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
  ["impl/iommu/", ["ioas", "dirty", "hwpt", "fail_nth"]],
  ["impl/mock/", ["hwpt", "dirty", "pasid", "viommu", "fail_nth"]],
  ["impl/kernel/", ["memory", "files", "process", "fail_nth"]],
  ["impl/vfio/", ["vfio"]],
  ["impl/pci/", ["vfio"]],
];

/** The profiles for a fault in a file, of those that there are: each makes a program in turn. */
export function profilesFor(
  file: string,
  all: readonly string[],
): readonly string[] {
  const [, focus = all] = FOCUS.find(([start]) => file.startsWith(start)) ?? [];
  const profiles = ["mixed", ...focus].filter((name) => all.includes(name));
  return [...new Set(profiles)];
}
