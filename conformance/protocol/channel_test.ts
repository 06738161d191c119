// SPDX-License-Identifier: GPL-2.0-only

import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  MemoryFault,
  ProcessDied,
  ProtocolError,
  TargetFailure,
} from "../../selftests/target/target_failure.ts";
import { answering, FakeConnection } from "../testing/fake_connection.ts";
import { TestTime } from "../testing/test_time.ts";
import { Channel } from "./channel.ts";
import { formatText, type Words } from "./codec.ts";

/** Reads one number. */
function one(values: Words): number {
  return values.number("it");
}

/** A channel whose adapter answers with `answer`, and an error if it rejects. */
async function failureOf(answer: (line: string) => string): Promise<{
  error: TargetFailure;
  channel: Channel;
  connection: FakeConnection;
}> {
  const connection = answering(answer);
  const channel = new Channel(connection);
  const error = await assertRejects(
    () => channel.request(5, "dup 3", one),
    TargetFailure,
  );
  return { error, channel, connection };
}

describe("Channel", () => {
  it("counts its requests from 1 and reads the values of an ok", async () => {
    const connection = answering((line) => `${line.split(" ")[0]} ok 7`);
    const channel = new Channel(connection);
    assertEquals(await channel.request(0, "spawn", one), 7);
    assertEquals(await channel.request(7, "dup 3", one), 7);
    await channel.close();
    assertEquals(connection.lines, ["1 0 spawn", "2 7 dup 3", "3 0 bye"]);
  });

  it("sends requests without waiting, and takes the replies in order", async () => {
    const connection = new FakeConnection((line, connection) => {
      if (line.startsWith("3")) connection.send("1 ok 10\n2 ok 20\n3 ok 30\n");
    });
    const channel = new Channel(connection);
    const replies = ["a", "b", "c"].map((verb) =>
      channel.request(1, verb, one)
    );
    assertEquals(await Promise.all(replies), [10, 20, 30]);
    const closed = channel.close();
    connection.end();
    await closed;
  });

  it("tells a fault, and goes on", async () => {
    const { error, channel } = await failureOf(() => "1 fault");
    assertInstanceOf(error, MemoryFault);
    assertEquals(error.status, "error");
    assertEquals(channel.failure, undefined);
    await channel.close();
  });

  it("tells a process that died as a crash, with the reason, and goes on", async () => {
    const { error, channel } = await failureOf(
      () => `1 died ${formatText("SIGSEGV")}`,
    );
    assertInstanceOf(error, ProcessDied);
    assertEquals(error.status, "crash");
    assertEquals(error.message, `The process died in "1 5 dup 3": SIGSEGV`);
    assertEquals(channel.failure, undefined);
    await channel.close();
  });

  it("tells an adapter's error with its reason, and goes on", async () => {
    const { error, channel } = await failureOf(
      () => `1 error ${formatText("no such verb")}`,
    );
    assertEquals(error.status, "error");
    assertStringIncludes(error.message, `"1 5 dup 3": no such verb`);
    assertEquals(channel.failure, undefined);
    await channel.close();
  });

  const nonsense: [reply: string, why: string][] = [
    ["", "it is empty"],
    ["hello", "the sequence number is no number"],
    ["2 ok 7", "it answers request 2, and 1 is to be answered"],
    ["1", "ok, fault, died or error is missing"],
    ["1 fine 7", `"fine" is none of ok, fault, died and error`],
    ["1 ok", "it is missing"],
    ["1 ok 7 8", `nothing was expected from "8" on`],
    ["1 ok seven", `it is no number: "seven"`],
    ["1 fault 1", `nothing was expected from "1" on`],
    ["1 died", "the reason is missing"],
    ["1 error because", "not written in lower-case hex digits"],
    ["1 ok \u00fc", "no printable ASCII character"],
  ];
  for (const [reply, why] of nonsense) {
    it(`ends the adapter after the reply "${reply}": ${why}`, async () => {
      const { error, channel, connection } = await failureOf(() => reply);
      assertInstanceOf(error, ProtocolError);
      assertStringIncludes(error.message, why);
      assertEquals(channel.failure, error);
      assertEquals(connection.closes, [0]);
      const later = await assertRejects(() => channel.request(0, "reset", one));
      assertEquals(later, error);
      await channel.close();
    });
  }

  it("tells an end as a crash, with the request and how it came to it", async () => {
    const connection = new FakeConnection((_, connection) => connection.end());
    const channel = new Channel(connection);
    const error = await assertRejects(
      () => channel.request(1, "vmstatus", one),
      TargetFailure,
      `it was to answer "1 1 vmstatus": it exited with code 7`,
    );
    assertEquals(error.status, "crash");
    await channel.close();
  });

  it("tells an end in the middle of a line", async () => {
    const connection = new FakeConnection((_, connection) => {
      connection.send("1 ok");
      connection.end();
    });
    const channel = new Channel(connection);
    await assertRejects(
      () => channel.request(1, "vmstatus", one),
      TargetFailure,
      `in the middle of the reply to "1 1 vmstatus"`,
    );
    await channel.close();
  });

  it("tells an end between requests with the next one", async () => {
    const connection = answering(() => "1 ok 7");
    const channel = new Channel(connection);
    await channel.request(0, "spawn", one);
    connection.end();
    await channel.ended;
    await assertRejects(
      () => channel.request(7, "vmstatus", one),
      TargetFailure,
      "nothing was asked of it: it exited with code 7",
    );
    await channel.close();
  });

  it("tells a line that nothing asked for", async () => {
    const connection = answering(() => "1 ok 7\n1 ok 7");
    const channel = new Channel(connection);
    await channel.request(0, "spawn", one);
    assertEquals(
      channel.failure?.message,
      `The target sent a line that nothing asked for: "1 ok 7"`,
    );
    await channel.close();
  });

  it("gives up waiting for a reply, and ends the adapter", async () => {
    const connection = new FakeConnection(() => {});
    const channel = new Channel(connection, { replyTimeoutMs: 20 });
    const requests = [
      channel.request(1, "vmstatus", one),
      channel.request(1, "dup 3", one),
    ];
    for (const request of requests) {
      const error = await assertRejects(() => request, TargetFailure);
      assertEquals(error.status, "timeout");
      assertEquals(
        error.message,
        `No answer to "1 1 vmstatus" after 0.02 seconds`,
      );
    }
    assertEquals(connection.closes, [0]);
    await channel.close();
  });

  it("does not give up on requests that are answered in time, however many", async () => {
    using time = new TestTime();
    const connection = new FakeConnection((line, connection) => {
      time.advance(600);
      connection.send(`${line.split(" ")[0]} ok 1\n`);
    });
    const channel = new Channel(connection, { replyTimeoutMs: 1000 });
    for (let i = 0; i < 10; i++) await channel.request(1, "dup 3", one);
    assertEquals(channel.failure, undefined);
    await channel.close();
  });

  it("tells an adapter that does not take its input any more", async () => {
    const connection = new FakeConnection(() => {});
    const channel = new Channel(connection);
    connection.refuseInput();
    const error = await assertRejects(
      () => channel.request(1, "vmstatus", one),
      TargetFailure,
      "does not read its requests any more",
    );
    assertEquals(error.status, "crash");
    await channel.close();
  });

  it("says goodbye and leaves time to end", async () => {
    const connection = answering(() => "1 ok");
    const channel = new Channel(connection);
    await Promise.all([channel.close(), channel.close()]);
    assertEquals(connection.lines, ["1 0 bye"]);
    assertEquals(connection.closes, [1000]);
  });

  it("does not wait for the end of an adapter that owes a reply", async () => {
    const connection = new FakeConnection(() => {});
    const channel = new Channel(connection);
    const request = channel.request(1, "vmstatus", one);
    await channel.close();
    await assertRejects(() => request, TargetFailure, "The target was closed");
    assertEquals(connection.closes, [0]);
  });
});
