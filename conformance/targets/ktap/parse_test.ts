// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { GivenResult } from "../target_spec.ts";
import { parseKtap } from "./parse.ts";

/** Results in few words, lists with what they are made of. */
function told(results: readonly GivenResult[]): string[] {
  return results.map(({ name, status, reason, parts }) =>
    [
      status,
      name,
      ...reason === "" ? [] : [`(${reason})`],
      ...parts.length === 0 ? [] : [`[${told(parts).join(", ")}]`],
    ].join(" ")
  );
}

/** As a program of the kernel's prints it. */
const PROGRAM = `TAP version 13
1..4
# Starting 4 tests from 2 test cases.
#  RUN           iommufd.simple_close ...
#            OK  iommufd.simple_close
ok 1 iommufd.simple_close
#  RUN           iommufd_ioas.mock_domain.area ...
# iommufd.c:345:area:Expected 0 (0) == ioctl(self->fd, IOMMU_IOAS_MAP, &cmd) (-1)
# area: Test terminated by assertion
#          FAIL  iommufd_ioas.mock_domain.area
not ok 2 iommufd_ioas.mock_domain.area
#      SKIP      no huge pages
ok 3 iommufd_ioas.mock_domain.huge # SKIP no huge pages
ok 4 iommufd_ioas.no_domain.area
# FAILED: 3 / 4 tests passed.
# Totals: pass:2 fail:1 xfail:0 xpass:0 skip:1 error:0
`;

const PROGRAM_TOLD = [
  "pass iommufd.simple_close",
  "fail iommufd_ioas.mock_domain.area",
  "skip iommufd_ioas.mock_domain.huge (no huge pages)",
  "pass iommufd_ioas.no_domain.area",
];

describe("parseKtap()", () => {
  it("reads what a program of the kernel's prints", () => {
    const { results, stopped } = parseKtap(PROGRAM);
    assertEquals(told(results), PROGRAM_TOLD);
    assertEquals(stopped, undefined);
    assertEquals(results[1]!.said, [
      "iommufd.c:345:area:Expected 0 (0) == ioctl(self->fd, IOMMU_IOAS_MAP, &cmd) (-1)",
      "area: Test terminated by assertion",
    ]);
    assertEquals(parseKtap(PROGRAM.replaceAll("\n", "\r\n")).results, results);
  });

  it("reads what is printed where the kernel's runner ran programs", () => {
    const inner = PROGRAM.trimEnd().replaceAll(/^/gm, "# ");
    const { results } = parseKtap(
      `TAP version 13\n1..2\n# timeout set to 45\n# selftests: iommu: iommufd\n${inner}\n` +
        "not ok 1 selftests: iommu: iommufd # exit=1\n" +
        "# selftests: iommu: other\nok 2 selftests: iommu: other # SKIP\n",
    );
    assertEquals(told(results), [
      `fail selftests: iommu: iommufd (exit=1) [${PROGRAM_TOLD.join(", ")}]`,
      "skip selftests: iommu: other (SKIP)",
    ]);
  });

  it("reads lists inside lists", () => {
    const { results } = parseKtap(`KTAP version 1
1..2
  KTAP version 1
  1..2
    KTAP version 1
    1..2
    ok 1 length_0
    not ok 2 length_1 # TIMEOUT No end
  not ok 1 kit_map.errno
  ok 2 - kit_map.size # XFAIL not yet
not ok 1 kit
ok 2 a
`);
    assertEquals(told(results), [
      "fail kit [fail kit_map.errno [pass length_0, timeout length_1 (No end)], xfail kit_map.size (not yet)]",
      "pass a",
    ]);
  });

  it("reads programs one after the other, with a plan before or behind their tests", () => {
    const { results, stopped } = parseKtap(
      "1..1\nok 1 a.x\n1..1\nok 1 b.x\nTAP version 13\nok 1 c.x\n1..1\n",
    );
    assertEquals(told(results), ["pass a.x", "pass b.x", "pass c.x"]);
    assertEquals(stopped, undefined);
  });

  it("says that a list was cut off", () => {
    const cut = PROGRAM.slice(0, PROGRAM.indexOf("ok 3"));
    assertEquals(parseKtap(cut).stopped, "The list has 2 of 4 results");
    const bailed = parseKtap("1..2\nok 1 a.x\nBail out! no memory\nok 2 b.x\n");
    assertEquals(bailed.stopped, "Bail out! no memory");
  });

  it("does not take a pass for what is not ok, whatever stands behind it", () => {
    for (const word of ["", " # SKIP", " # PASS", " # XFAIL", " # huh"]) {
      assertEquals(parseKtap(`not ok 1 a.x${word}`).results[0]!.status, "fail");
    }
    assertEquals(parseKtap("ok 1 a.x # TIMEOUT").results[0]!.status, "pass");
    assertEquals(parseKtap("not ok 1 a.x # CRASH").results[0]!.status, "crash");
  });

  it("refuses a file without results", () => {
    assertThrows(() => parseKtap("TAP version 13\n1..0\n"), Error, "no line");
    assertThrows(() => parseKtap("okay 1 a\nnot ok a.x"), Error, "no line");
  });
});
