// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  TestCheckRefs,
} from "../../../impl/uapi/selftest.ts";
import {
  HPAGE_SIZE,
  MADV_DOFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  O_RDONLY,
  O_RDWR,
  PROT_READ,
  PROT_WRITE,
} from "../../../impl/uapi/mman.ts";
import { VfioDeviceBindIommufd as Bind } from "../../../impl/uapi/vfio/device.ts";
import { VfioDeviceFeature as Feature } from "../../../impl/uapi/vfio/feature.ts";
import { REGION_STRIDE } from "../../../impl/vfio/pci/regions.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import { StepByStep } from "../../../selftests/target/program.ts";
import { type Call, call } from "../../../selftests/target/verbs.ts";
import { reachedBugs, reachesOf } from "./known_bugs.ts";

const PAGE = 4096;
const AT = 0x10000000000;
const RW = PROT_READ | PROT_WRITE;
const ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

/** The choice of a target that the last of some calls reaches. */
function chosen(target: string, calls: readonly Call[]): string | undefined {
  const model = new Model("7.3");
  const run = new StepByStep(model);
  const steps = calls.map((call) => ({ process: 0, call }));
  for (const step of steps.slice(0, -1)) run.make(step);
  const info = { ...model.info, name: target };
  return reachedBugs(reachesOf(info), model, run, steps.at(-1)!)[0]?.name;
}

/** Memory at the address. */
function mapped(length: number, flags = 0): Call {
  return call("mmap", AT, length, RW, ANONYMOUS | flags, -1, 0);
}

/** It is asked how often the page at the address is pinned, which is a file's. */
function refsOfFile(flags: number): Call[] {
  const bytes = TestCheckRefs.encode({
    op: IOMMU_TEST_OP_MD_CHECK_REFS,
    length: BigInt(PAGE),
    uptr: BigInt(AT),
  });
  return [
    call("open", "/dev/iommu", O_RDWR),
    call("memfd", "", 0),
    call("mmap", AT, PAGE, RW, flags | MAP_FIXED, 4, 0),
    call("ioctl", 3, IOMMU_TEST_CMD, bytes),
  ];
}

describe("what is up to a machine", () => {
  const here = "linux-here:7.3";
  const machine = "linux-vm:7.3";
  const exe = call("open", "/proc/self/exe", O_RDONLY);
  const pread = call("pread", 3, new Uint8Array(4), 0);
  const store = (at: number) => call("poke", at, new Uint8Array(3));
  const advice = call("madvise", AT, PAGE, MADV_DOFORK);
  const device = [
    call("open", "/dev/vfio/devices/vfio0", O_RDWR),
    call("open", "/dev/iommu", O_RDWR),
    call("ioctl", 3, Bind.ioctl.number, Bind.encode({ iommufd: 4 })),
  ];
  const sleep = (feature: number) =>
    call(
      "ioctl",
      3,
      Feature.ioctl.number,
      Feature.encode({ flags: 0x20000 | feature }),
    );
  const region = (number: number) => number * REGION_STRIDE;
  const mapsBar = call("mmap", AT, PAGE, RW, MAP_SHARED | MAP_FIXED, 3, 0);
  const peek = call("peek", AT, new Uint8Array(4));
  const mapsIt = call("mmap", 0, PAGE, PROT_READ, MAP_PRIVATE, 3, 0);

  const cases: [string, Call[], string, string?][] = [
    [
      "the bytes of the program",
      [exe, pread],
      machine,
      "the program that runs",
    ],
    ["memory that is it", [exe, mapsIt], machine, "the program that runs"],
    ["the bytes of another file", [call("memfd", "", 0), pread], machine],
    [
      "a store across the end of memory",
      [mapped(PAGE), store(AT + PAGE - 2)],
      machine,
      "how far a store gets",
    ],
    ["a store within it", [mapped(PAGE), store(AT + PAGE - 3)], machine],
    ["a store where none is", [mapped(PAGE), store(AT + PAGE)], machine],
    [
      "advice for huge pages",
      [mapped(HPAGE_SIZE, MAP_HUGETLB), advice],
      here,
      "huge pages that are forked again",
    ],
    ["advice for other pages", [mapped(PAGE), advice], here],
    [
      "the frame of a file's private page",
      refsOfFile(MAP_PRIVATE),
      here,
      "private page of a file",
    ],
    ["the frame of a shared page", refsOfFile(MAP_SHARED), here],
    ["that of a private page elsewhere", refsOfFile(MAP_PRIVATE), machine],
    [
      "what a device's registers hold",
      [...device, pread],
      machine,
      "registers of a device",
    ],
    [
      "what they hold, where they are mapped",
      [...device, mapsBar, peek],
      machine,
      "registers of a device",
    ],
    [
      "when a device sleeps that is to say that it wakes",
      [...device, sleep(4)],
      machine,
      "when a device falls asleep",
    ],
    ["that of one which is not", [...device, sleep(3)], machine],
    ["what the model's hold", [...device, pread], here],
    ["what other memory holds", [...device, mapped(PAGE), peek], machine],
    [
      "what configuration space holds",
      [...device, call("pread", 3, new Uint8Array(4), region(7))],
      machine,
    ],
  ];
  for (const [what, calls, target, name] of cases) {
    it(`${name ? "is" : "is not"} ${what}`, () => {
      assertEquals(chosen(target, calls), name);
    });
  }
});
