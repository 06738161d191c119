// SPDX-License-Identifier: GPL-2.0-only

/**
 * The rules that the tests prove, in areas. Each has a code, which tests name
 * and which stays its own: `deno task conformance explain CODE`.
 *
 * @module
 */

import type { Rule } from "./rule.ts";
import { FAULT_RULES } from "./fault.ts";
import { FILES_RULES } from "./files.ts";
import { HWPT_RULES } from "./hwpt.ts";
import { IOAS_RULES } from "./ioas.ts";
import { MEMORY_RULES } from "./memory.ts";
import { MOCK_RULES } from "./mock.ts";
import { PAGES_RULES } from "./pages.ts";
import { STRUCTS_RULES } from "./structs.ts";
import { VFIO_RULES } from "./vfio.ts";
import { VFIO_COMPAT_RULES } from "./vfio_compat.ts";
import { VIOMMU_RULES } from "./viommu.ts";

/** Rules of one subject. */
export interface Area {
  /** What they are about, as a heading. */
  readonly title: string;
  /** What that is, in a sentence. */
  readonly about: string;
  /** The rules by code. */
  readonly rules: Readonly<Record<string, Rule>>;
}

/** The areas, in the order in which an iommufd grows. */
export const AREAS: readonly Area[] = [
  {
    title: "Ioctls, structs and objects",
    about:
      "What holds for every ioctl of an iommufd, and for the ids that they hand out.",
    rules: STRUCTS_RULES,
  },
  {
    title: "IO address spaces",
    about:
      "IOVA ranges, areas, copies and options of an IOAS (io_pagetable.c, ioas.c).",
    rules: IOAS_RULES,
  },
  {
    title: "Pinned pages, accounting and accesses",
    about:
      "Who pins which page, from where it is had, who is charged for it (pages.c), and drivers that touch memory without DMA (device.c, iommufd_access).",
    rules: PAGES_RULES,
  },
  {
    title: "HWPTs, devices and PASIDs",
    about:
      "Page tables that programs allocate, nest, invalidate and track, and what devices and their PASIDs are attached to (hw_pagetable.c, device.c).",
    rules: HWPT_RULES,
  },
  {
    title: "IO page faults",
    about:
      "Fault queues: what they hand out, how they are answered, and what ends them (eventq.c).",
    rules: FAULT_RULES,
  },
  {
    title: "Virtual IOMMUs",
    about:
      "vIOMMUs, their devices, events, hardware queues and memory (viommu.c, eventq.c, driver.c).",
    rules: VIOMMU_RULES,
  },
  {
    title: "The VFIO container that an iommufd is",
    about:
      "/dev/iommu, or /dev/vfio/vfio, under the ioctls of VFIO's type1 (vfio_compat.c).",
    rules: VFIO_COMPAT_RULES,
  },
  {
    title: "The selftest module",
    about:
      "The mock IOMMU, its devices, and the operations of the test ioctl (selftest.c). Nothing of it is for programs, and all of it is this kernel's.",
    rules: MOCK_RULES,
  },
  {
    title: "Files, DMA buffers and CHANGE_PROCESS",
    about:
      "Memory of files and of drivers that is mapped by descriptor, and what the next process of a program takes over (io_pagetable.c, pages.c, ioas.c).",
    rules: FILES_RULES,
  },
  {
    title: "Memory and files of programs",
    about:
      "What Linux does around iommufd to the memory, the files and the processes that use it (mm/, fs/, kernel/).",
    rules: MEMORY_RULES,
  },
  {
    title: "Files of VFIO devices, groups and containers",
    about:
      "Devices that programs drive through VFIO: their files, regions, interrupts and features, their groups, and VFIO's own container (drivers/vfio).",
    rules: VFIO_RULES,
  },
];

const ALL = {
  ...STRUCTS_RULES,
  ...IOAS_RULES,
  ...PAGES_RULES,
  ...HWPT_RULES,
  ...FAULT_RULES,
  ...VIOMMU_RULES,
  ...VFIO_COMPAT_RULES,
  ...MOCK_RULES,
  ...FILES_RULES,
  ...MEMORY_RULES,
  ...VFIO_RULES,
};

/** The code of a rule. */
export type RuleCode = keyof typeof ALL;

/** All rules by code. */
export const RULES: Readonly<Record<RuleCode, Rule>> = ALL;

/** The codes in order. */
export const RULE_CODES = Object.keys(RULES) as readonly RuleCode[];

/** What of a test tells which rules it proves. */
interface Proof {
  readonly fixture: string;
  readonly name: string;
  readonly rules: readonly RuleCode[];
}

/** The tests that prove each rule, by name without the variant, in order. */
export function provesIn(
  tests: Iterable<Proof>,
): ReadonlyMap<RuleCode, readonly string[]> {
  const names = new Map(RULE_CODES.map((code) => [code, new Set<string>()]));
  for (const { fixture, name, rules } of tests) {
    for (const code of rules) names.get(code)!.add(`${fixture}.${name}`);
  }
  return new Map([...names].map(([code, names]) => [code, [...names]]));
}
