// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import { compileAgent } from "../linux_vm/build.ts";
import { missingTools } from "../linux_vm/programs.ts";
import { formatText } from "../protocol/codec.ts";

/** Why the agent cannot be built here. */
const [missing] = Deno.build.os === "linux"
  ? await missingTools([{ what: "gcc", debianPackage: "gcc" }])
  : ["this is not Linux"];

const why = missing === undefined ? "" : ` (skipped: ${missing})`;

let folder: string;

/** The replies to programs, which are sent all at once, with a reset behind each. */
async function run(...programs: string[]): Promise<string[]> {
  const child = new Deno.Command(`${folder}/linux_agent`, {
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = programs.flatMap((program, i) => [
    `${2 * i + 1} 0 program ${program}`,
    `${2 * i + 2} 0 reset`,
  ]);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`${lines.join("\n")}\n`));
  await writer.close();
  const { stdout, success } = await child.output();
  assert(success);
  const replies = new TextDecoder().decode(stdout).trimEnd().split("\n");
  return programs.map((_, i) => {
    assertEquals(replies[2 * i + 1], `${2 * i + 2} ok`);
    return replies[2 * i]!.replace(/^\d+ /, "");
  });
}

/** What the steps of one program come to. */
async function steps(...program: string[]): Promise<string[]> {
  const [reply] = await run(program.join(" ; "));
  assert(reply!.startsWith("ok"), reply);
  return reply!.slice("ok".length).split(" ;").map((each) => each.trimStart());
}

const PAGE = "mmap 0 4096 3 34 -1 0";

describe(`programs on linux_agent${why}`, {
  skip: missing !== undefined,
}, () => {
  before(async () => {
    folder = await Deno.makeTempDir({ prefix: "linux_agent_" });
    await compileAgent(`${folder}/linux_agent`);
  });
  after(() => Deno.remove(folder, { recursive: true }));

  it("get results and fields of earlier steps", async () => {
    const [pipe, written, read, again] = await steps(
      "0 pipe",
      "0 write =0.8.8 0708",
      "0 read =0.0.8 3",
      "0 close =0.8.8+-7",
    );
    assertEquals([pipe, written, read, again], ["0 3 4", "2", "2 0708", "-9"]);
  });

  it("get values into bytes, and 0 for those that are not there", async () => {
    const [, , , , , peeked] = await steps(
      `0 ${PAGE}`,
      "0 poke =0 01020304",
      "0 peek =0 4",
      "0 peek 0x10 1",
      "0 poke =0+8 ffffffffffff@0.2=2.1.2@2.1=3.0.1@3.2=9@5.8=1+0x0706",
      "0 peek =0+8 8",
    );
    assertEquals(peeked, "0203000000060000");
  });

  it("have structs at the end of a page", async () => {
    // FIONREAD writes an int.
    const [, , whole, short] = await steps(
      "0 pipe",
      "0 write =0.8.8 0708",
      "0 ioctl =0.0.8 0x541b ffffffff",
      "0 ioctl =0.0.8 0x541b ffffff",
    );
    assertEquals([whole, short], ["0 02000000", "-14 ffffff"]);
  });

  it("go on after faults and errors, in order", async () => {
    assertEquals(
      await steps("0 peek 0x10 1", "0 close 99", "0 poke 0x10 01", "0 dup 0"),
      ["fault", "-9", "fault", "3"],
    );
  });

  it("have processes with memory and descriptors of their own, from 3 on", async () => {
    const outcomes = await steps(
      `0 ${PAGE}`,
      "0 poke =0 01",
      "0 fork",
      "1 poke =0 02",
      "0 peek =0 1",
      "1 peek =0 1",
      "1 fork",
      "1 dup 0",
      "2 dup 0",
      "0 dup 0",
      "1 exit",
      "1 dup 0",
      "1 fork",
      "3 dup 0",
      "0 fork",
      "4 peek =0 1",
    );
    assertEquals(outcomes.slice(1), [
      ...["", "1", "", "01", "02", "2", "3", "3", "3"],
      ...["", "gone", "gone", "gone", "4", "01"],
    ]);
  });

  it("run a process anew, which has nothing but its descriptors", async () => {
    const outcomes = await steps(
      `0 ${PAGE}`,
      "0 dup 0",
      "0 fork",
      "0 exec",
      "0 peek =0 1",
      "0 dup =1",
      "0 fork",
      "2 dup =5+0",
      "1 peek =0 1",
      "0 memfd 61 0",
      "2 exec",
      "2 close =5",
    );
    assertEquals(
      outcomes.slice(1),
      ["3", "1", "0", "fault", "4", "2", "5", "00", "5", "0", "0"],
    );
  });

  it("pass descriptors, also those that a step gave", async () => {
    assertEquals(
      await steps(
        "0 fork",
        "0 memfd 61 0",
        "0 ftruncate =1 5",
        "0 passfd =1 1",
        "1 lseek =3 0 2",
        "0 passfd 99 1",
        "1 exit",
        "0 passfd =1 1",
        "0 passfd =1 7",
      ),
      ["1", "3", "0", "3", "5", "-9", "", "gone", "gone"],
    );
  });

  it("tell who died over which step, and go on with the others", async () => {
    const died = `died ${formatText("SIGXFSZ")}`;
    const outcomes = await steps(
      "0 fork",
      "1 memfd 61 0",
      "1 setrlimit 1 1",
      "1 ftruncate =1 4096",
      "1 dup 0",
      "1 fork",
      "2 dup 0",
      "0 dup 0",
      "0 passfd 0 1",
      "0 fork",
      "3 dup 0",
    );
    assertEquals(outcomes, [
      ...["1", "3", "0", died, died, died, "gone", "3", "gone", "3", "4"],
    ]);
  });

  it("tell that the only process unmapped itself", async () => {
    const died = `died ${formatText("SIGSEGV")}`;
    const all = `0 mmap 0 ${2 ** 47 - 4096} 0 50 -1 0`;
    assertEquals(await steps("0 dup 0", all, "0 dup 0"), ["3", died, died]);
  });

  it("are as long as the lines of the port are not", async () => {
    const step = `0 write -1 ${"00".repeat(4096)}`;
    const program = Array.from({ length: 500 }, () => step);
    assertEquals(await steps(...program), program.map(() => "-9"));
  });

  it("are carried out whole or not at all", async () => {
    const bad = [
      "",
      "0",
      "0 dup",
      "0 dup 0 1",
      "0 dup =",
      "0 dup =0.0",
      "0 dup =0.0.3",
      "0 dup =0+",
      "0 dup =0x",
      "0 write 0 =0",
      "0 write 0 00@0.1",
      "0 write 0 00@0.3=0",
      "0 write 0 @0.1=0",
      "0 read 0 =0",
      "0 open =0 0",
      "0 passfd 0 =0",
      "0 batch poke 0 00",
      "0 !takefd",
      "0 !steps 0 1",
      "0 peek 0 0x1000000000",
      "-1 dup 0",
      "0 dup 0 ;",
    ].map((step) => `0 dup 0 ; ${step}`);
    const replies = await run(...bad);
    assertEquals(
      bad.filter((_, i) => !replies[i]!.startsWith("error ")),
      [],
    );
  });
});
