// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Program } from "../../selftests/target/program.ts";
import { call } from "../../selftests/target/verbs.ts";
import type { Ran } from "../fuzz/compare/compare.ts";
import { Masks } from "../fuzz/compare/masks.ts";
import type { Side } from "../fuzz/run/side.ts";
import { play } from "./play.ts";
import { record } from "./record.ts";
import { select } from "./select.ts";
import {
  formatTraces,
  packTraces,
  parseTraces,
  type Traces,
  unpackTraces,
} from "./trace.ts";

/** Maps memory, and passes its address in a struct. */
const PROGRAM: Program = [
  { process: 0, call: call("mmap", 0, 4096, 3, 0x22, -1, 0), patches: [] },
  {
    process: 0,
    call: call("ioctl", 3, 0x3b85, new Uint8Array(16)),
    patches: [{
      arg: 2,
      field: { offset: 8, bytes: 8 },
      from: { step: 0 },
    }],
  },
];

/** What it comes to where memory is at an address. */
function ranAt(address: number, result = 0): Ran {
  const back = new Uint8Array(16);
  new DataView(back.buffer).setBigUint64(8, BigInt(address), true);
  return {
    outcomes: [
      { kind: "returned", result: address, back: new Uint8Array(0) },
      { kind: "returned", result, back },
    ],
    problems: [],
  };
}

/** A side that gives these answers in turn. */
function sideOf(...answers: Awaited<ReturnType<Side["run"]>>[]): Side {
  return {
    name: "side",
    uapi: "7.3",
    capabilities: ["vfio", "fork"],
    run: () => Promise.resolve(answers.shift()!),
    close: () => Promise.resolve(),
  };
}

const CANDIDATE = { name: "one", program: PROGRAM, keys: new Set<string>() };

async function tracesOf(ran: Ran): Promise<Traces> {
  const { traces } = await record(sideOf(ran, ran), [CANDIDATE]);
  return { uapi: "7.3", kernel: "7.3.4", targets: ["x:"], traces };
}

describe("A file of traces", () => {
  it("is read as it was written", async () => {
    const traces = await tracesOf(ranAt(0x1000));
    assertEquals(parseTraces(formatTraces(traces)), traces);
    assertEquals(await unpackTraces(await packTraces(traces)), traces);
  });

  it("is the same wherever the kernel had memory", async () => {
    assertEquals(
      await packTraces(await tracesOf(ranAt(0x1000))),
      await packTraces(await tracesOf(ranAt(0x7f000))),
    );
  });

  it("is refused in another form", async () => {
    const text = formatTraces(await tracesOf(ranAt(0)))
      .replace('"format":1', '"format":2');
    assertThrows(() => parseTraces(text), Error, "Traces of format 2");
    await assertRejects(() => unpackTraces(new Uint8Array(3)));
  });
});

describe("record()", () => {
  it("leaves out what comes to something else the second time", async () => {
    const side = sideOf(ranAt(0x1000), ranAt(0x1000, -22));
    const { traces, left } = await record(side, [CANDIDATE]);
    assertEquals(traces, []);
    assertEquals(left.length, 1);
  });

  it("leaves out what breaks the target", async () => {
    const failure = { failed: "crash", message: "it died" } as const;
    const side = sideOf(ranAt(0), failure);
    const { traces, left } = await record(side, [CANDIDATE]);
    assertEquals([traces, left], [[], ["one: it died"]]);
  });

  it("notes which machine a trace is of", async () => {
    const { traces: [trace] } = await tracesOf(ranAt(0));
    assertEquals(trace!.needs, ["vfio"]);
  });
});

describe("play()", () => {
  it("takes another address for the same, but no other result", async () => {
    const { traces } = await tracesOf(ranAt(0x1000));
    const masks = new Masks("7.3");
    const same = await play(traces, sideOf(ranAt(0x5000)), masks);
    assertEquals([same.same, same.calls], [1, 2]);
    const other = await play(traces, sideOf(ranAt(0x5000, -22)), masks);
    assertEquals(other.same, 0);
    assertEquals(other.different.length, 1);
  });

  it("skips what the target lacks, and says what that is", async () => {
    const [trace] = (await tracesOf(ranAt(0))).traces;
    const traces = [{ ...trace!, needs: ["vfio", "viommu"] }];
    const { skipped, same } = await play(traces, sideOf(), new Masks("7.3"));
    assertEquals([...skipped], [["viommu", 1]]);
    assertEquals(same, 0);
  });

  it("tells of a target that breaks", async () => {
    const { traces } = await tracesOf(ranAt(0));
    const failure = { failed: "timeout", message: "no answer" } as const;
    const { different } = await play(traces, sideOf(failure), new Masks("7.3"));
    assertEquals(different.map(({ text }) => text), ["no answer"]);
  });
});

describe("select()", () => {
  const candidate = (name: string, length: number, ...keys: string[]) => ({
    name,
    program: Array(length).fill(PROGRAM[0]!),
    keys: new Set(keys),
  });

  it("chooses what reaches most for its length, and nothing that reaches nothing new", () => {
    const covered = new Set(["known"]);
    const chosen = select([
      candidate("long", 100, "a", "b"),
      candidate("short", 2, "a", "b"),
      candidate("more", 5, "a", "b", "c", "d", "e"),
      candidate("known", 1, "known"),
      candidate("rest", 50, "f"),
    ], covered);
    assertEquals(chosen.map(({ name }) => name), ["more", "rest"]);
    assertEquals(covered.size, 7);
  });
});
