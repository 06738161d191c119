// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Test } from "../../../selftests/harness/harness.ts";
import {
  KNOWN_BUGS,
  type KnownBug,
  LINUX,
} from "../../../selftests/harness/known_bugs.ts";
import { Model, targetOf } from "../../../selftests/target/impl_target.ts";
import { StepByStep } from "../../../selftests/target/program.ts";
import type { Target } from "../../../selftests/target/target.ts";
import { call } from "../../../selftests/target/verbs.ts";
import {
  knownBugPrograms,
  WITHOUT_PROGRAM,
} from "../../known_bugs/programs.ts";
import { runTest } from "../../running/run_one.ts";
import { parseProgram } from "../program/text.ts";
import { hereOf } from "./here.ts";
import {
  breaks,
  reachedBugs,
  reachedByCall,
  REACHES,
  reachesOf,
} from "./known_bugs.ts";

/** The bugs that a program of calls reaches. */
async function reachedIn(test: Test, uapi: RevisionName): Promise<Set<string>> {
  const model = new Model(uapi);
  const capabilities = [...model.info.capabilities, LINUX];
  const reaches = reachesOf({ uapi, capabilities });
  const reached = new Set<string>();
  const target: Target = {
    ...targetOf(model),
    make: (process, calls) => {
      for (const call of calls) {
        const here = hereOf(model.process(process), call);
        for (const bug of reachedByCall(reaches, here)) reached.add(bug.name);
      }
      return Promise.try(() => model.make(process, calls));
    },
  };
  const { status } = await runTest(test, target, { timeoutMs: 30_000 });
  assertEquals(status, "pass");
  return reached;
}

/** Bugs that have a program, which no other program can reach. */
const MENDED: readonly string[] = ["drops_dmabuf_descriptor"];

/** A device, and a page table that it can be attached to for a PASID. */
const DEVICE = `
$0 = open("/dev/iommu", O_RDWR)
$1 = ioctl($0, IOMMU_IOAS_ALLOC, {})
$2 = ioctl($0, IOMMU_TEST_CMD MOCK_DOMAIN_FLAGS, {id: $1.outIoasId, devFlags: PASID})
$3 = ioctl($0, IOMMU_HWPT_ALLOC, {flags: PASID, devId: $2.outIdevId, ptId: $1.outIoasId})
ioctl($0, IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE, {id: $2.outStdevId, ptId: $3.outHwptId})
`;
const ATTACH = `
ioctl($0, IOMMU_TEST_CMD PASID_ATTACH, {id: $2.outStdevId, pasid: 1, ptId: $3.outHwptId})
`;

/** A card that is attached, and then to a page table of an IOAS that handles page faults. */
const MOVED = (ioas: string) => `
$0 = open("/dev/vfio/devices/vfio0", O_RDWR)
$1 = open("/dev/iommu", O_RDWR)
$2 = ioctl($0, VFIO_DEVICE_BIND_IOMMUFD, {iommufd: $1})
$3 = ioctl($1, IOMMU_IOAS_ALLOC, {})
$4 = ioctl($1, IOMMU_IOAS_ALLOC, {})
ioctl($0, VFIO_DEVICE_ATTACH_IOMMUFD_PT, {ptId: $3.outIoasId})
$6 = ioctl($1, IOMMU_FAULT_QUEUE_ALLOC, {})
$7 = ioctl($1, IOMMU_HWPT_ALLOC, {flags: FAULT_ID_VALID, devId: $2.outDevid, ptId: ${ioas}.outIoasId, faultId: $6.outFaultId})
ioctl($0, VFIO_DEVICE_ATTACH_IOMMUFD_PT, {ptId: $7.outHwptId})
`;

/** Whether a program would break Linux 7.3. */
function breaksLinux(text: string): boolean {
  const uapi = "7.3";
  const model = new Model(uapi);
  const capabilities = [...model.info.capabilities, LINUX];
  return breaks({ uapi, capabilities }, model, parseProgram(text, uapi));
}

describe("The known bugs of Linux, for the fuzzer", () => {
  for (const test of knownBugPrograms()) {
    if (MENDED.includes(test.name)) continue;
    it(`are reached by their programs: ${test.name}`, async () => {
      const uapi = test.uapi.at(-1)!;
      const reached = await reachedIn(test, uapi);
      assert(reached.has(test.name), `it reached ${[...reached]}`);
    });
  }

  it("are all in the table, but for those that nothing can reach", () => {
    const listed = new Set<string>(REACHES.map(({ name }) => name));
    const missing = Object.keys(KNOWN_BUGS).filter((name) =>
      !listed.has(name) && !MENDED.includes(name) &&
      WITHOUT_PROGRAM[name as KnownBug] === undefined
    );
    assertEquals(missing, []);
  });

  for (const last of ["close($0)", "dup2(0, $0)", "dup3(0, $0, 0)", "exit()"]) {
    it(`are reached where a device goes with its descriptor: ${last}`, () => {
      assert(breaksLinux(DEVICE + ATTACH + last));
    });
    it(`control: but not where it has no PASID: ${last}`, () => {
      assert(!breaksLinux(DEVICE + last));
    });
  }

  it("are reached where a card moves to a page table with a queue of faults, in one IOAS", () => {
    const reached = (ioas: string) => {
      const uapi = "7.3";
      const model = new Model(uapi);
      const capabilities = [...model.info.capabilities, LINUX];
      const program = parseProgram(MOVED(ioas), uapi);
      const run = new StepByStep(model);
      for (const step of program.slice(0, -1)) run.make(step);
      const reaches = reachesOf({ uapi, capabilities });
      return reachedBugs(reaches, model, run, program.at(-1)!)
        .map(({ name }) => name);
    };
    assertEquals(reached("$3"), ["replace_drops_reserved"]);
    assertEquals(reached("$4"), []);
  });

  it("are not hidden by another that the same call reaches", () => {
    const flags = "MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | MAP_PRIVATE";
    const huge = `mmap(0x10001200000, 0x1000, PROT_READ, ${flags}, -1, 0)`;
    assert(breaksLinux(`${DEVICE}${ATTACH}${huge}\nexit()`));
  });

  it("are only where Linux is", () => {
    const model = new Model("7.3");
    const run = new StepByStep(model);
    const step = { process: 0, call: call("open", "/dev/iommu", 2) };
    const reaches = reachesOf(model.info);
    assertEquals(reachedBugs(reaches, model, run, step), []);
  });
});
