// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { cannotRun } from "../testing/real_programs.ts";
import { Sys } from "../sys/sys.ts";
import { openStream, readableOf, writableOf } from "./stdio.ts";

const sys = cannotRun ? undefined! : Sys.shared;

/** Both ends of a pipe: a program's standard output. */
function pipe(): { read: number; write: number } {
  const { theirs, own } = openStream(sys, 1, "piped");
  return { read: own!, write: theirs };
}

describe("a standard stream", { skip: cannotRun }, () => {
  it("carries bytes until both its ends are closed", async () => {
    const { read, write } = pipe();
    const text = new Response(readableOf(sys, read)).text();
    const writer = writableOf(sys, write).getWriter();
    // More than a pipe holds, and than one part.
    const long = "0123456789".repeat(20_000);
    await writer.write(new TextEncoder().encode(long));
    await writer.close();
    // It ends because the one end is closed. (By now its number may be that of another test's file.)
    assertEquals(await text, long);
  });

  it("says that nobody reads it any more", async () => {
    const { read, write } = pipe();
    sys.close(read);
    const writer = writableOf(sys, write).getWriter();
    const closed = assertRejects(() => writer.closed);
    await assertRejects(
      () => writer.write(Uint8Array.of(1)),
      Deno.errors.BrokenPipe,
    );
    await closed;
  });

  it("can be given up, also while it is waited for", async () => {
    const { read, write } = pipe();
    const reader = readableOf(sys, read).getReader();
    const first = reader.read();
    const end = reader.cancel();
    assertEquals((await first).done, true);
    await end;
    // The read that was begun ends with the other end.
    sys.close(write);
  });

  it("is the program's by its number, or nowhere", () => {
    assertEquals(openStream(sys, 2, "inherit"), {
      theirs: 2,
      own: undefined,
      closes: false,
    });
    const { theirs, own, closes } = openStream(sys, 0, "null");
    assertEquals([own, closes], [undefined, true]);
    assertEquals(sys.read(theirs, sys.alloc(8)), 0);
    sys.close(theirs);
    const input = openStream(sys, 0, "piped");
    const bytes = sys.alloc(8);
    assertEquals(sys.write(input.own!, bytes, 3), 3);
    assertEquals(sys.read(input.theirs, bytes), 3);
    sys.close(input.own!);
    sys.close(input.theirs);
  });
});
