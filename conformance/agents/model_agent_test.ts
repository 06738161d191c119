// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Words } from "../protocol/codec.ts";
import { ModelServer } from "./model_agent.ts";

/** The transcript of protocol.md: what is sent, and what comes back. */
async function transcript(): Promise<[request: string, reply: string][]> {
  const url = new URL("../protocol.md", import.meta.url);
  const text = await Deno.readTextFile(url);
  const lines = text.slice(text.indexOf("## A transcript")).split("\n");
  const requests = lines.filter((line) => line.startsWith("> "));
  const replies = lines.filter((line) => line.startsWith("< "));
  assertEquals(requests.length, replies.length);
  return requests.map((line, i) => [line.slice(2), replies[i]!.slice(2)]);
}

/** The program of protocol.md, and its reply. */
async function programDocumented(): Promise<string[]> {
  const url = new URL("../protocol.md", import.meta.url);
  const text = await Deno.readTextFile(url);
  const lines = text.slice(text.indexOf("## Programs")).split("\n");
  return ["> ", "< "].map((start) =>
    lines.find((line) => line.startsWith(start))!.slice(2)
  );
}

/** The reply to a request, without its sequence number. */
function ask(server: ModelServer, request: string): string {
  const { reply } = server.answer(`1 ${request}`);
  assertEquals(reply.startsWith("1 "), true);
  return reply.slice(2);
}

/** The reason of a reply that is an error. */
function reason(reply: string): string {
  const words = new Words(reply);
  assertEquals(words.word("kind"), "error");
  return words.text("reason");
}

describe("ModelServer", () => {
  it("answers as the transcript of protocol.md says", async () => {
    const server = new ModelServer();
    const [[hello], ...others] = await transcript() as [
      [string, string],
      ...[string, string][],
    ];
    assertMatch(server.answer(hello).reply, /^1 ok protocol=1 name=\S+ /);
    for (const [request, reply] of others) {
      assertEquals(server.answer(request).reply, reply);
    }
  });

  it("answers the program of protocol.md", async () => {
    const [request, reply] = await programDocumented();
    assertEquals(new ModelServer().answer(request!).reply, reply);
  });

  it("ends after bye only", () => {
    const server = new ModelServer();
    assertEquals(server.answer("1 0 spawn").last, false);
    assertEquals(server.answer("2 1 exit").last, false);
    assertEquals(server.answer("3 0 bye").last, true);
  });

  it("names the capabilities that its revision has", () => {
    const old = ask(new ModelServer({ uapi: "v3" }), "0 hello 1");
    const recent = ask(new ModelServer(), "0 hello 1");
    assertStringIncludes(old, "uapi=v3");
    assertEquals(old.includes("hwpt"), false);
    assertStringIncludes(recent, ",hwpt,dirty,faults");
  });

  for (
    const [request, why] of [
      ["0 hello 2", "only 1 is spoken"],
      ["0 vmstatus", "vmstatus is no request to the adapter"],
      ["7 vmstatus", "there is no process 7"],
      ["1 spawn", "spawn is no request to a process"],
      ["1 constructor", "constructor is no request to a process"],
      ["1 close", "close has 1 arguments"],
      ["1 close 3 4", "close has 1 arguments"],
      ["1 close three", "FD is no number"],
      ["1 batch close 3", "close cannot be batched"],
      ["1 time 0 close 3", "nothing is timed in no repetition"],
      ["1 time 1", `nothing stands before or after a ";"`],
      ["1 time 1 pipe", "pipe cannot be timed"],
      ["1 time 1 constructor", "constructor cannot be timed"],
      ["1 time 1 close 3 4", "close has 1 arguments"],
      ["1 batch", `nothing stands before or after a ";"`],
      ["0 program", `nothing stands before or after a ";"`],
      ["0 program 0 spawn", "spawn is no request to a process"],
      ["0 program 0 batch close 3", "batch is no request to a process"],
      ["1 program 0 close 3", "program is no request to a process"],
      ["1 fork now", "fork has 0 arguments"],
    ] as const
  ) {
    it(`answers ${request} with an error: ${why}`, () => {
      const server = new ModelServer();
      ask(server, "0 spawn");
      assertStringIncludes(reason(ask(server, request)), why);
      // It goes on.
      assertEquals(ask(server, "1 vmstatus"), "ok 0 0");
    });
  }

  it("does nothing where an argument is too many", () => {
    const server = new ModelServer();
    ask(server, "0 spawn");
    assertEquals(ask(server, "1 pipe"), "ok 0 3 4");
    reason(ask(server, "1 close 3 4"));
    assertEquals(ask(server, "1 close 3"), "ok 0");
  });

  it("times no call of a list that it does not understand", () => {
    const server = new ModelServer();
    ask(server, "0 spawn");
    assertEquals(ask(server, "1 pipe"), "ok 0 3 4");
    reason(ask(server, "1 time 1 close 3 ; close three"));
    assertEquals(ask(server, "1 close 3"), "ok 0");
  });

  it("answers a line without a number as request 0", () => {
    const server = new ModelServer();
    for (const line of ["", "hello", "x 0 spawn"]) {
      assertMatch(server.answer(line).reply, /^0 error [0-9a-f]+$/);
    }
  });

  it("tells what a reset found", () => {
    const server = new ModelServer();
    assertEquals(ask(server, "0 spawn"), "ok 1");
    assertEquals(ask(server, "0 reset"), "ok");
    assertStringIncludes(reason(ask(server, "1 vmstatus")), "no process 1");
  });
});
