// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Program } from "../../../selftests/target/program.ts";
import { type Call, call } from "../../../selftests/target/verbs.ts";
import { FILE_NAMES, type Names, namesOf, renamed } from "./names.ts";
import { modelSide } from "../../golden/testing/model_side.ts";

const THERE: Names = { group: 12, device: "0000:00:05.0" };

function text(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function programOf(...calls: readonly Call[]): Program {
  return calls.map((call) => ({ process: 0, call }));
}

describe("renamed()", () => {
  it("has a program name a machine's group and device", () => {
    const program = programOf(
      call("open", "/dev/vfio/0", 2),
      call("poke", 0x1000, text("0000:00:04.0 vf_token=1\0")),
    );
    assertEquals(
      renamed(program, FILE_NAMES, THERE),
      programOf(
        call("open", "/dev/vfio/12", 2),
        call("poke", 0x1000, text("0000:00:05.0 vf_token=1\0")),
      ),
    );
  });

  it("has what no machine of the file's has name what this one has not", () => {
    const program = programOf(
      call("open", "/dev/vfio/12", 2),
      call("poke", 0x1000, text("0000:00:05.0\0")),
    );
    assertEquals(
      renamed(program, FILE_NAMES, THERE),
      programOf(
        call("open", "/dev/vfio/0", 2),
        call("poke", 0x1000, text("0000:00:04.0\0")),
      ),
    );
  });

  it("leaves all else, and comes back", () => {
    const program = programOf(
      call("open", "/dev/vfio/1", 2),
      call("open", "/dev/vfio/devices/vfio0", 2),
      call("open", "/dev/vfio/0", 2),
      call("poke", 0x1000, text("0000:01:00.0")),
    );
    const there = renamed(program, FILE_NAMES, THERE);
    assertEquals(there.map((step) => step.call.args[0]), [
      "/dev/vfio/1",
      "/dev/vfio/devices/vfio0",
      "/dev/vfio/12",
      0x1000,
    ]);
    assertEquals(renamed(there, THERE, FILE_NAMES), program);
  });
});

describe("namesOf()", () => {
  it("finds the model's own names, which are those of the files", async () => {
    for (const container of ["iommufd", "type1"] as const) {
      const side = modelSide("7.3", { container });
      assertEquals(await namesOf(side), FILE_NAMES);
    }
  });

  it("asks nothing of a target that has no device", async () => {
    const side = { ...modelSide("7.3", {}), capabilities: [] };
    const run = () => Promise.reject(new Error("it was asked"));
    assertEquals(await namesOf({ ...side, run }), FILE_NAMES);
  });
});
