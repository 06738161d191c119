// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Player } from "./play/player.ts";
import { kernelsFor, SCENARIOS } from "./scenarios/mod.ts";

const [TOUR] = SCENARIOS;
const MANY = SCENARIOS.at(-1)!;
/** Scenarios that are short enough to look at every step. */
const SHORT = SCENARIOS.slice(0, -1);

/** What kernels of the newest revision refuse in each scenario: the step, and what it comes to. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  tour: ["11 ENOENT", "12 EBUSY"],
  tiers: [],
  attach: [],
  iova: ["5 EADDRINUSE", "13 EINVAL"],
  huge: ["11 ENOENT"],
  dirty: [],
  access: ["11 ENOENT", "12 ENOENT"],
  fault: [],
  viommu: ["17 EBUSY"],
  vfio: ["8 ENOENT"],
  memlock: ["8 ENOMEM", "10 ENOMEM"],
};

function refusedBy(player: Player): string[] {
  return player.lines.flatMap((_, i) => {
    const made = player.at(i + 1).made!;
    return made.isFailed ? [`${i + 1} ${made.result}`] : [];
  });
}

describe("a scenario", () => {
  for (const { id, text } of SHORT) {
    it(`comes to what its comments say: ${id}`, () => {
      const player = new Player(text, "7.3");
      assertEquals(refusedBy(player), REFUSED[id]);
      const { shot } = player.at(player.lines.length);
      assertEquals(shot.warnings, []);
    });

    it(`is the same on the way back as on the way there: ${id}`, () => {
      const player = new Player(text, "7.3");
      const last = player.lines.length;
      const there = player.lines.map((_, i) => player.at(i));
      const other = new Player(text, "7.3");
      other.at(last);
      for (let i = last - 1; i >= 0; i--) assertEquals(other.at(i), there[i]);
    });

    for (const uapi of kernelsFor(id).slice(1)) {
      it(`comes to the same in ${uapi}: ${id}`, () => {
        const player = new Player(text, uapi);
        // Where IOVA is reserved, the oldest says that it is not there.
        const refused = refusedBy(player).map((step) =>
          uapi === "v3" ? step.replace("13 ENOENT", "13 EINVAL") : step
        );
        assertEquals(refused, REFUSED[id]);
        const { shot } = player.at(player.lines.length);
        assertEquals(shot.warnings, []);
      });
    }
  }

  it("can have 10,000 areas", () => {
    const player = new Player(MANY.text, "7.3");
    const { shot } = player.at(player.lines.length - 1);
    const [ctx] = shot.contexts;
    const areas = ctx!.ioases[0]!.spans.filter(({ kind }) => kind === "area");
    assertEquals(areas.length, 10_000);
    assertEquals(ctx!.pages.length, 10_000);
  });
});

describe("a program that is played", () => {
  it("makes each call once on the way there, and all again to go back", () => {
    const player = new Player(TOUR!.text, "7.3");
    const last = player.lines.length;
    for (let i = 0; i <= last; i++) player.at(i);
    assertEquals(player.made, last);
    for (let i = last; i >= 0; i--) player.at(i);
    assertEquals(player.made, last); // all were kept
    const other = new Player(TOUR!.text, "7.3");
    other.at(last);
    other.at(last - 1);
    assertEquals(other.made, last); // the one before was kept on the way
    other.at(last - 2);
    assertEquals(other.made, last + last - 2);
    for (let i = last - 2; i >= last - 10; i--) other.at(i);
    assertEquals(other.made, last + last - 2); // and some before that
  });

  it("tells the comment in front of each call with it", () => {
    const text = `
      # About the first,
      # in two lines.
      $0 = open("/dev/iommu", O_RDWR)

      # About nothing.

      close($0)
    `;
    assertEquals(new Player(text, "7.3").lines, [
      {
        text: `$0 = open("/dev/iommu", O_RDWR)`,
        note: "About the first, in two lines.",
      },
      { text: "close($0)", note: "" },
    ]);
  });

  it("names the line that cannot be read, and what is allowed there", () => {
    const text = `$0 = open("/dev/iommu", O_RDWR)\nclosed($0)`;
    assertThrows(
      () => new Player(text, "7.3"),
      Error,
      `Line 2, column 1: there is no call "closed".`,
    );
  });

  it("tells structs by field, as they went in and came back", () => {
    const { made } = new Player(TOUR!.text, "7.3").at(3);
    assertEquals([made!.name, made!.struct, made!.result], [
      "IOMMU_IOAS_ALLOC",
      "iommu_ioas_alloc",
      "0",
    ]);
    assertEquals(made!.args.map(({ name, sent }) => [name, sent]), [
      ["fd", "3"],
    ]);
    assertEquals(
      made!.fields.map(({ name, sent, back }) => [name, sent, back]),
      [
        ["size", "12", undefined],
        ["flags", "0x0", undefined],
        ["out_ioas_id", "0", "1"],
      ],
    );
  });

  it("says why a call failed", () => {
    const { made } = new Player(TOUR!.text, "7.3").at(11);
    assertEquals([made!.result, made!.why], [
      "ENOENT",
      "the range cuts an area",
    ]);
  });

  it("tells calls of processes that are not there, and memory that is not", () => {
    const text = [
      "fork()",
      "P1: exit()",
      "P1: close(0)",
      "peek(0x1000, 4)",
      "$p = pipe()",
      `write($p.writefd, x"01 02")`,
      "read($p.readfd, 2)",
      "vm_status()",
      `unlink("/nothing")`,
    ].join("\n");
    const player = new Player(text, "7.3");
    const made = player.lines.map((_, i) => player.at(i + 1).made!);
    assertEquals(made.map(({ result }) => result), [
      "P1",
      "0",
      "not made",
      "EFAULT",
      "0",
      "2",
      "2",
      "0",
      "EPERM",
    ]);
    assertEquals(made[2]!.process, 1);
    assertEquals(made[4]!.args.map(({ name, back }) => [name, back]), [
      ["readfd", "3"],
      ["writefd", "4"],
    ]);
    assertEquals(made[5]!.args[1]!.sent, "01 02");
    assertEquals(made[6]!.args[1]!.back, "01 02");
    assertEquals(made[8]!.args[0]!.sent, `"/nothing"`);
  });
});
