// SPDX-License-Identifier: GPL-2.0-only

/**
 * The adapter's end of the protocol: lines come in, lines go out.
 *
 * @module
 */

import { LineBuffer } from "./line_buffer.ts";
import { parseAddress, type SocketAddress } from "./socket.ts";

/** Answers requests. */
export interface Server {
  /** The reply to a request, and whether it is the last. */
  answer(line: string): { readonly reply: string; readonly last: boolean };
}

/** Serves standard input and output until one of them ends. Blocks: the answers are all there is to do. */
export function serveStdio(server: Server): void {
  const lines = new LineBuffer();
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const count = Deno.stdin.readSync(buffer);
    if (count === null) return;
    const { bytes, last } = answers(server, lines, buffer.subarray(0, count));
    for (let sent = 0; sent < bytes.length;) {
      sent += Deno.stdout.writeSync(bytes.subarray(sent));
    }
    if (last) return;
  }
}

/** Serves `unix:PATH` or `tcp:HOST:PORT`, each connection with a server of its own, for ever. */
export async function serveSocket(
  address: string,
  connect: () => Server,
): Promise<void> {
  const options = parseAddress(address);
  const listener = listen(options);
  // Who asked for port 0 wants to know.
  console.error(`Listening on ${JSON.stringify(listener.addr)}`);
  for await (const connection of listener) {
    serveConnection(connection, connect())
      .catch((error) => console.error(String(error)));
  }
}

function listen(address: SocketAddress): Deno.Listener {
  if (address.transport === "tcp") return Deno.listen(address);
  try {
    // What an earlier run left.
    if (Deno.statSync(address.path).isSocket) Deno.removeSync(address.path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return Deno.listen(address);
}

/** Serves one connection until either end closes it. */
export async function serveConnection(
  connection: Deno.Conn,
  server: Server,
): Promise<void> {
  const lines = new LineBuffer();
  const buffer = new Uint8Array(64 * 1024);
  if ("setNoDelay" in connection) (connection as Deno.TcpConn).setNoDelay();
  try {
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) return;
      const { bytes, last } = answers(server, lines, buffer.subarray(0, count));
      for (let sent = 0; sent < bytes.length;) {
        sent += await connection.write(bytes.subarray(sent));
      }
      if (last) return;
    }
  } finally {
    connection.close();
  }
}

/** The answers to the requests that `bytes` complete. */
function answers(
  server: Server,
  lines: LineBuffer,
  bytes: Uint8Array,
): { bytes: Uint8Array; last: boolean } {
  let text = "";
  for (const line of lines.push(bytes)) {
    const { reply, last } = server.answer(line);
    text += `${reply}\n`;
    if (last) return { bytes: new TextEncoder().encode(text), last };
  }
  return { bytes: new TextEncoder().encode(text), last: false };
}
