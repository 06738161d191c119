// SPDX-License-Identifier: GPL-2.0-only

/**
 * Sockets, as `Deno.connect()` has them.
 *
 * @module
 */

import { once } from "node:events";
import { connect as connectNode, type Socket } from "node:net";

/** Where to connect to. */
type Address =
  | { readonly transport: "unix"; readonly path: string }
  | {
    readonly transport: "tcp";
    readonly hostname: string;
    readonly port: number;
  };

/** Connects. Rejects if nobody listens there. */
export async function connect(address: Address): Promise<Connection> {
  const socket = connectNode(
    address.transport === "unix"
      ? { path: address.path }
      : { host: address.hostname, port: address.port },
  );
  await once(socket, "connect");
  return new Connection(socket);
}

/** A socket that is connected. */
class Connection {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  setNoDelay(): void {
    this.#socket.setNoDelay();
  }

  /** Reads what there is, at least a byte; null at the end. */
  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      const { readableLength } = this.#socket;
      const count = Math.min(into.length, readableLength);
      if (count > 0) {
        into.set(this.#socket.read(count));
        return count;
      }
      if (this.#socket.readableEnded || this.#socket.destroyed) return null;
      // The end is an event only after somebody tried to read.
      this.#socket.read();
      if (this.#socket.readableLength === 0) await this.#more();
    }
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.write(
        bytes,
        (error) => error ? reject(error) : resolve(bytes.length),
      );
    });
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve) => this.#socket.end(resolve));
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Resolves when there is something to read, or nothing any more. */
  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        for (const [name, listener] of listeners) {
          this.#socket.off(name, listener);
        }
        act();
      };
      const done = () => settle(resolve);
      const listeners: [string, (error: Error) => void][] = [
        ["readable", done],
        ["end", done],
        ["close", done],
        ["error", (error) => settle(() => reject(error))],
      ];
      for (const [name, listener] of listeners) this.#socket.on(name, listener);
    });
  }
}
