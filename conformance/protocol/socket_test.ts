// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ModelServer } from "../agents/model_agent.ts";
import { TargetFailure } from "../../selftests/target/target_failure.ts";
import { connectTarget } from "./client.ts";
import { serveConnection } from "./serve.ts";
import { connectSocket, parseAddress, type SocketAddress } from "./socket.ts";
import { TargetProcess } from "../../selftests/target/target.ts";

/** Serves the model to one connection at a time while `use` runs. */
async function serving(
  address: SocketAddress,
  use: (address: SocketAddress) => Promise<void>,
): Promise<void> {
  const listener = address.transport === "tcp"
    ? Deno.listen(address)
    : Deno.listen(address);
  const served = (async () => {
    for await (const connection of listener) {
      await serveConnection(connection, new ModelServer());
    }
  })();
  const { addr } = listener;
  await use(
    address.transport === "tcp" && "port" in addr
      ? { ...address, port: addr.port }
      : address,
  );
  listener.close();
  await served;
}

/** Makes some calls. */
async function exercise(address: SocketAddress): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const target = await connectTarget(await connectSocket(address));
    const process = await TargetProcess.spawn(target);
    assertEquals(await process.open("/dev/iommu"), 3);
    const large = new Uint8Array(300_000).fill(round + 1);
    const addr = await process.mmap(0, large.length, 3, 0x22);
    await process.poke(addr, large);
    assertEquals(await process.peek(addr, large.length), large);
    assertEquals(await target.reset(), []);
    await target.close();
  }
}

describe("connectSocket()", () => {
  it("speaks over a Unix socket, one connection after the other", async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/adapter.sock`;
    await serving({ transport: "unix", path }, exercise);
    await Deno.remove(folder, { recursive: true });
  });

  it("speaks over TCP", async () => {
    const address = {
      transport: "tcp",
      hostname: "127.0.0.1",
      port: 0,
    } as const;
    await serving(address, exercise);
  });

  it("tells a connection that the other end closes", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const address = { transport: "tcp", hostname: "127.0.0.1", port } as const;
    const connecting = connectSocket(address);
    const other = await listener.accept();
    other.close();
    await assertRejects(
      async () => await connectTarget(await connecting),
      TargetFailure,
      "it closed the connection",
    );
    listener.close();
  });
});

describe("parseAddress()", () => {
  for (
    const [text, address] of [
      ["unix:/run/a:b.sock", { transport: "unix", path: "/run/a:b.sock" }],
      ["tcp:host:7", { transport: "tcp", hostname: "host", port: 7 }],
      ["tcp:[::1]:7", { transport: "tcp", hostname: "::1", port: 7 }],
    ] as const
  ) {
    it(`reads ${text}`, () => {
      assertEquals(parseAddress(text), address);
    });
  }

  for (
    const text of [
      "unix:",
      "tcp:",
      "tcp:7",
      "tcp:host:",
      "tcp:host:x",
      "tcp:host:65536",
      "http:host:7",
      "/run/a.sock",
    ]
  ) {
    it(`refuses ${text}`, () => {
      assertThrows(() => parseAddress(text), Error, "it must be unix:PATH or");
    });
  }
});
