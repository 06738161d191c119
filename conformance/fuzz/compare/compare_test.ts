// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL, ENOENT } from "../../../impl/uapi/errno.ts";
import { IommuIoasAlloc as IoasAlloc } from "../../../impl/uapi/ioas.ts";
import { MAP_FIXED } from "../../../impl/uapi/mman.ts";
import { VFIO_IOMMU_MAP_DMA } from "../../../impl/uapi/vfio.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import {
  type Outcome,
  type Program,
  StepByStep,
} from "../../../selftests/target/program.ts";
import { type Call, call } from "../../../selftests/target/verbs.ts";
import { parseProgram } from "../program/text.ts";
import { causeOf } from "../shrink/cause.ts";
import { compare, type Difference, type Ran, stepName } from "./compare.ts";
import { hereOf } from "./here.ts";
import { MASKS, Masks } from "./masks.ts";
import { isMapWithoutAccess } from "./reaches.ts";

function returned(result: number, ...back: number[]): Outcome {
  return { kind: "returned", result, back: Uint8Array.from(back) };
}

function ran(outcome: Outcome, ...problems: string[]): Ran {
  return { outcomes: [outcome], problems };
}

/** The difference of a program of one call. */
function differ(
  call: Call,
  ours: Outcome,
  theirs: Outcome,
  masks = new Masks("7.3"),
): Difference | undefined {
  return compare([{ process: 0, call }], ran(ours), ran(theirs), masks);
}

const ALLOC = call("ioctl", 3, IoasAlloc.ioctl.number, IoasAlloc.encode());
const MMAP = call("mmap", 0, 4096, 3, 0, -1, 0);
const FIXED = call("mmap", 4096, 4096, 3, MAP_FIXED, -1, 0);
const FAULT: Outcome = { kind: "fault" };
const GONE: Outcome = { kind: "gone" };
const DIED: Outcome = { kind: "died", reason: "killed by SIGBUS" };

describe("compare", () => {
  it("finds nothing where all is the same", () => {
    const same = returned(0, 1, 2, 3);
    assertEquals(differ(ALLOC, same, returned(0, 1, 2, 3)), undefined);
    for (const outcome of [FAULT, GONE, DIED]) {
      assertEquals(differ(ALLOC, outcome, outcome), undefined);
    }
  });

  const cases: [string, Call, Outcome, Outcome, RegExp][] = [
    ["result", call("dup", 3), returned(4), returned(5), /dup: 4 here, 5/],
    [
      "errno",
      ALLOC,
      returned(0),
      returned(-EINVAL.code),
      /IOMMU_IOAS_ALLOC: 0 here, EINVAL there/,
    ],
    [
      "errno",
      ALLOC,
      returned(-ENOENT.code),
      returned(-EINVAL.code),
      /ENOENT here, EINVAL there/,
    ],
    [
      "bytes",
      ALLOC,
      returned(0, 12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0),
      returned(0, 12, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0),
      /out_ioas_id: 1 here, 257 there/,
    ],
    [
      "read",
      call("peek", 0, new Uint8Array(2)),
      returned(0, 1, 2),
      returned(0, 1, 3),
      /peek, byte 1: 2 here, 3 there/,
    ],
    [
      "read",
      call("peek", 0, new Uint8Array(2)),
      FAULT,
      returned(0, 1, 3),
      /a fault here, 0 there/,
    ],
    ["poll", call("poll", 3, 5), returned(1), returned(5), /1 here, 5 there/],
    [
      "accounting",
      call("vmstatus", []),
      returned(0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0),
      returned(0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0),
      /VMPIN: 4 here, 8 there/,
    ],
    ["ending", call("exit"), returned(0), DIED, /0 here, died/],
    ["ending", call("exit"), GONE, returned(0), /no such process here/],
  ];
  for (const [what, call, ours, theirs, text] of cases) {
    it(`finds a difference of ${what}: ${text.source}`, () => {
      const difference = differ(call, ours, theirs);
      assertEquals(difference?.what, what);
      assertEquals(difference?.step, 0);
      assertMatch(difference!.text, text);
    });
  }

  it("finds the first difference", () => {
    const program = [ALLOC, ALLOC].map((call) => ({ process: 0, call }));
    const [ours, theirs] = [0, -EINVAL.code].map((code) => ({
      outcomes: [returned(code), returned(code)],
      problems: [],
    }));
    const difference = compare(program, ours!, theirs!, new Masks("7.3"));
    assertEquals(difference?.step, 0);
  });

  it("compares what is left by its kind, not by its words", () => {
    const program: Program = [{ process: 0, call: ALLOC }];
    function left(ours: string[], theirs: string[]) {
      const outcome = returned(0);
      const [a, b] = [ran(outcome, ...ours), ran(outcome, ...theirs)];
      return compare(program, a, b, new Masks("7.3"))?.text;
    }
    const same: [string, string][] = [
      ["The file /dev/shm/a was left.", "the file /dev/shm/a was left"],
      ["The kernel warned: x.", "WARNING: CPU: 1 PID: 2 at x.c:3 y+0x4/0x5"],
      ["3 page frames are still pinned.", "3 pages stay pinned"],
    ];
    for (const [ours, theirs] of same) {
      assertEquals(left([ours], [theirs]), undefined);
    }
    assertMatch(left([], ["WARNING: x"])!, /nothing here, a warning there/);
    assertMatch(left(["User 1 is still charged 2 pages."], [])!, /charged/);
  });
});

describe("The masks", () => {
  it("hide where memory is, but not that there is none, nor where in a page", () => {
    const masks = new Masks("7.3");
    const [here, there] = [returned(0x1000), returned(0x7f000)];
    assertEquals(differ(MMAP, here, there, masks), undefined);
    assertEquals(masks.hidden.get("address of memory"), 1);
    assertEquals(differ(MMAP, here, returned(-12), masks)?.what, "errno");
    assertEquals(differ(MMAP, here, returned(0x1001), masks)?.what, "result");
    assertEquals(differ(FIXED, here, there, masks)?.what, "result");
  });

  it("hide the pointers to it that a struct brings back, and nothing beside", () => {
    const masks = new Masks("7.3");
    const program: Program = [
      { process: 0, call: MMAP },
      {
        process: 0,
        call: ALLOC,
        patches: [{
          arg: 2,
          field: { offset: 4, bytes: 4 },
          from: { step: 0 },
        }],
      },
    ];
    const answer = (address: number, last: number): Ran => ({
      outcomes: [
        returned(address),
        returned(0, 12, 0, 0, 0, address, 0, 0, 0, 1, 0, 0, last),
      ],
      problems: [],
    });
    assertEquals(compare(program, answer(0, 0), answer(0, 1), masks)?.step, 1);
    const [ours, theirs] = [answer(0, 0), answer(4096, 0)];
    theirs.outcomes[1]!.kind === "returned" &&
      (theirs.outcomes[1]!.back[4] = 9);
    assertEquals(compare(program, ours, theirs, masks), undefined);
    assertEquals(masks.hidden.get("pointer that was sent"), 1);
  });

  it("hide what a socket's poll adds, where a file of the model is one", () => {
    const poll = call("poll", 3, 0xffff);
    const here = new Masks("7.3", "linux-here:7.3");
    assertEquals(differ(poll, returned(5), returned(0x145), here), undefined);
    assertEquals(here.hidden.get("POLLRDNORM and POLLWRNORM"), 1);
    assertEquals(
      differ(poll, returned(5), returned(0x144), here)?.what,
      "poll",
    );
    const other = new Masks("7.3", "linux-vm:7.3");
    assertEquals(
      differ(poll, returned(5), returned(0x145), other)?.what,
      "poll",
    );
  });

  it("say what each hides, and why", () => {
    for (const { name, why } of MASKS) assertMatch(`${name} ${why}`, /\w+ \w+/);
  });
});

describe("an ioctl whose number a device and a container share", () => {
  const struct = 'x"0c00000000000000 00*4"';
  const program = parseProgram(
    `
$0 = open("/dev/vfio/vfio", O_RDWR)
$1 = open("/dev/vfio/devices/vfio0", O_RDWR)
$2 = dup($1)
$3 = passfd($2, P1)
ioctl($0, VFIO_IOMMU_GET_INFO, ${struct})
ioctl($1, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, ${struct})
ioctl($2, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, ${struct})
P1: ioctl($3, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, ${struct})
`,
    "7.3",
  );
  const ofIoctls = program.slice(4);

  it("has the name of the file's", () => {
    assertEquals(
      ofIoctls.map((step) => stepName(program, step, "7.3")),
      [
        "VFIO_IOMMU_GET_INFO",
        ...new Array(3).fill("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"),
      ],
    );
  });

  it("has the fields of the file's, and is a finding of its own", () => {
    const differences = ofIoctls.map((_, i) => {
      const at = 4 + i;
      const ran = (count: number): Ran => ({
        outcomes: program.map((_, step) =>
          step === at
            ? returned(0, 12, 0, 0, 0, 0, 0, 0, 0, count, 0, 0, 0)
            : returned(0)
        ),
        problems: [],
      });
      const masks = new Masks("7.3");
      return compare(program, ran(0), ran(1), masks)!;
    });
    assertEquals(
      differences.map(({ where }) => where),
      ["iova_pgsizes", "count", "count", "count"],
    );
    const causes = differences.map((each) => causeOf(program, each, "7.3"));
    assertEquals(new Set(causes).size, 2);
  });

  it("does not reach a bug of the container's on a device", () => {
    const [onContainer, onDevice] = [3, 4].map((fd) => {
      const model = new Model("7.3");
      const run = new StepByStep(model);
      for (const step of program.slice(0, 2)) run.make(step);
      const arg = new Uint8Array(32);
      const cmd = VFIO_IOMMU_MAP_DMA;
      const map = call("ioctl", fd, cmd, arg);
      return isMapWithoutAccess(hereOf(model.process(1), map));
    });
    assertEquals([onContainer, onDevice], [true, false]);
  });
});
