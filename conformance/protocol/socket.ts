// SPDX-License-Identifier: GPL-2.0-only

/**
 * An adapter that somebody else started, spoken to over a socket.
 *
 * @module
 */

import { within } from "../lib/within.ts";
import type { Connection } from "./connection.ts";

/** Where an adapter listens. */
export type SocketAddress =
  | Deno.UnixConnectOptions
  | Deno.ConnectOptions & { readonly transport: "tcp" };

/** Reads `unix:PATH` or `tcp:HOST:PORT`. Throws an error that says what is wrong. */
export function parseAddress(text: string): SocketAddress {
  const colon = text.indexOf(":");
  const [scheme, rest] = [text.slice(0, colon), text.slice(colon + 1)];
  if (scheme === "unix" && rest !== "") {
    return { transport: "unix", path: rest };
  }
  const tcp = scheme === "tcp" && /^(.+):(\d{1,5})$/.exec(rest);
  if (!tcp || Number(tcp[2]) > 65535) {
    throw new Error(
      `Cannot parse "${text}": it must be unix:PATH or tcp:HOST:PORT`,
    );
  }
  // An IPv6 address stands in brackets.
  const hostname = tcp[1]!.replace(/^\[(.*)\]$/, "$1");
  return { transport: "tcp", hostname, port: Number(tcp[2]) };
}

/** Connects to an adapter. */
export async function connectSocket(
  address: SocketAddress,
): Promise<Connection> {
  if (address.transport === "unix") {
    return new SocketConnection(await Deno.connect(address));
  }
  const connection = await Deno.connect(address);
  // A request is one small packet, and somebody waits for it.
  connection.setNoDelay();
  return new SocketConnection(connection);
}

class SocketConnection implements Connection {
  readonly #connection: Deno.TcpConn | Deno.UnixConn;
  readonly #buffer = new Uint8Array(64 * 1024);
  #writes: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(connection: Deno.TcpConn | Deno.UnixConn) {
    this.#connection = connection;
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#writes = this.#writes.then(() => this.#writeAll(bytes));
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.#connection.write(bytes.subarray(sent));
    }
  }

  async read(): Promise<Uint8Array | null> {
    const count = await this.#connection.read(this.#buffer);
    return count === null ? null : this.#buffer.subarray(0, count);
  }

  async endInput(): Promise<void> {
    await this.#writes;
    await this.#connection.closeWrite();
  }

  howItEnded(): Promise<string> {
    return Promise.resolve("closed the connection");
  }

  async close(graceMs: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (graceMs > 0) await within(graceMs, this.#writes.catch(() => {}));
    this.#connection.close();
  }
}
