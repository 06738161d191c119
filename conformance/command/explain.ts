// SPDX-License-Identifier: GPL-2.0-only

/**
 * Says what is known of a test, of a rule or of an ioctl, without running
 * anything.
 *
 * @module
 */

import { splitId, verdictIds } from "../../selftests/harness/table.ts";
import { KNOWN_BUGS } from "../../selftests/harness/known_bugs.ts";
import {
  type Expectations,
  expectedStatuses,
} from "../expectations/expectations.ts";
import type { ListedColumn } from "./listing.ts";
import type { Commands } from "../reports/failure_facts.ts";
import { aboutTest, skipReason } from "../running/run_one.ts";
import { Glob } from "../lib/glob.ts";
import { suggestion, UsageError } from "../lib/usage_error.ts";
import type { Need } from "../../selftests/target/capabilities.ts";
import { explainIoctl } from "./explain_ioctl.ts";
import { explainRule } from "./explain_rule.ts";
import {
  RULE_CODES,
  type RuleCode,
  RULES,
} from "../../selftests/rules/rules.ts";

/** What each capability is. */
const NEEDS: Readonly<Record<Need, string>> = {
  hugetlb: "64 huge pages, and MAP_HUGETLB",
  hugetlb_1g: "a huge page of 1 GiB",
  fork: "processes that fork",
  fail_nth: "fault injection: the Nth step that can fail does",
  setrlimit: "limits that can be set",
  setuid: "processes that give up being root, or a capability",
  files: "memory files with seals, holes and offsets, and names in /dev/shm",
  mremap: "mappings that change their length and their place",
  exec: "processes that run a program anew",
  dup2: "descriptors that become another one's: dup2 and dup3",
  passfd: "descriptors that one process gives another",
  hwpt: "IOMMU_HWPT_ALLOC, IOMMU_GET_HW_INFO and IOMMU_HWPT_INVALIDATE",
  dirty: "dirty tracking",
  faults: "IO page faults: IOMMU_FAULT_QUEUE_ALLOC",
  map_file: "IOMMU_IOAS_MAP_FILE and IOMMU_IOAS_CHANGE_PROCESS",
  viommu: "virtual IOMMUs: IOMMU_VIOMMU_ALLOC and the ioctls of its objects",
  pasid: "devices with PASIDs, and HWPTs that can be attached to them",
  vfio_container: "/dev/vfio/vfio",
  vfio: "an iommufd behind /dev/vfio/vfio",
  type1_container: "a container of VFIO's own, of type1, behind /dev/vfio/vfio",
  memory_2g: "2 GiB of memory for a process",
  vfio_device: "a VFIO device, an 82576 as QEMU has it",
  vfio_sriov: "a VFIO device with virtual functions",
  vfio_rom: "a VFIO device with an expansion ROM",
  vfio_group_of_two: "two VFIO devices in one group",
  noiommu_device: "a VFIO device without an IOMMU",
  noiommu_engine: "a copy engine without an IOMMU",
  copy_engines: "copy engines of this package as VFIO devices",
};

/** What is known of each test that one of the globs matches, with a command of `commands`, and of rules and ioctls by name. Throws {@link UsageError} for a glob that matches none. */
export function formatExplanation(
  globs: readonly string[],
  columns: readonly ListedColumn[],
  expectations: Expectations,
  commands: Commands,
): string {
  const tests = columns.flatMap(({ tests }) => tests);
  const testIds = new Set(tests.map(({ id }) => id));
  const ids = testIds.union(new Set(verdictIds(tests)));
  const chosen = new Set<string>();
  const others: string[] = [];
  for (const pattern of globs) {
    const ioctl = explainIoctl(pattern);
    if (ioctl !== undefined) {
      others.push(ioctl);
      continue;
    }
    const codes = rulesNamed(pattern);
    if (codes.length > 0) {
      others.push(...codes.map((code) => explainRule(code, tests)));
      continue;
    }
    // The name of a test may do without its fixture and variant.
    const globs = [new Glob(pattern), new Glob(`*.${pattern}`)];
    const all = [...ids].filter((id) => globs.some((glob) => glob.matches(id)));
    // A test is told with its cases.
    const matched = all.filter((id) =>
      testIds.has(id) || !all.includes(splitId(id)[0])
    );
    if (matched.length === 0) {
      throw new UsageError(
        `No test, rule or ioctl is called "${pattern}".${
          suggestion(pattern, ids.union(new Set<string>(RULE_CODES)))
        }`,
      );
    }
    for (const id of matched) chosen.add(id);
  }
  const explained = [...chosen].map((id) =>
    explain(id, columns, expectations, commands)
  );
  return [...others, ...explained].join("\n");
}

/** The rules that a glob names: by a capital letter, which the id of no test begins with. */
function rulesNamed(pattern: string): RuleCode[] {
  if (!/^[A-Z]/.test(pattern)) return [];
  const glob = new Glob(pattern);
  return RULE_CODES.filter((code) => glob.matches(code));
}

/** What is known of one test. */
function explain(
  id: string,
  columns: readonly ListedColumn[],
  expectations: Expectations,
  commands: Commands,
): string {
  const there = columns.flatMap((column) => {
    const test = column.tests
      .flatMap((test) => [test, ...test.table?.cases ?? []])
      .find((test) => test.id === id);
    return test ? [{ ...column, test }] : [];
  });
  const { test } = there[0]!;
  const lines = [id];
  function fact(name: string, value: string): void {
    lines.push(`  ${name.padEnd(10)}  ${value}`);
  }
  fact("checks", test.description);
  fact("answers to", test.reference);
  for (const code of test.rules) fact("rule", `${code}: ${RULES[code].says}`);
  fact(
    "part of",
    test.program
      ? `the kernel's selftest program ${test.program}`
      : "this kit's own tests",
  );
  const needs = [...new Set(test.needs)];
  if (needs.length === 0) fact("needs", "nothing but the plain system calls");
  for (const need of needs) fact("needs", `${need}: ${NEEDS[need]}`);
  if (test.knownBug) {
    fact("not on", `Linux: ${KNOWN_BUGS[test.knownBug].linux}`);
  }
  const { cases = [] } = test.table ?? {};
  for (const { id } of cases) fact("case", splitId(id)[1]!);
  fact("revisions", test.uapi.join(", "));
  for (const { spec, uapi, info, test } of there) {
    const skip = skipReason(test, info);
    const fate = skip ? `would be skipped: ${skip.reason}` : "would run";
    fact("on", `${spec} ${uapi}: ${fate}`);
    const entry = expectations.entries[expectations.find(id, spec, uapi)];
    if (entry) {
      const statuses = expectedStatuses(entry).join(" or ");
      fact(
        "expected",
        `${statuses}: ${entry.reason} (${expectations.linkOf(entry)})`,
      );
    }
    const about = aboutTest(test, info);
    const result = { ...about, status: "notrun", durationMs: 0 } as const;
    fact("run it", commands.rerun(spec, result));
  }
  return lines.map((line) => `${line}\n`).join("");
}
