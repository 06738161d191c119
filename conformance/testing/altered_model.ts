// SPDX-License-Identifier: GPL-2.0-only

/**
 * The model behind the protocol, within this process, with some replies
 * altered: adapters that are nearly right.
 *
 * @module
 */

import { ModelServer } from "../agents/model_agent.ts";
import { FakeConnection } from "./fake_connection.ts";

/** A request without its sequence number, in its parts. */
export interface Request {
  /** The process. */
  readonly process: string;
  /** The verb. */
  readonly verb: string;
  /** Its arguments. */
  readonly args: readonly string[];
}

/** What is replied behind the sequence number; `honest` is what is right, and has its effect only if it is called. */
export type Alter = (request: Request, honest: () => string) => string;

/** A connection to the model; `bye` and the end of the input end it. */
export function alteredModel(alter: Alter): FakeConnection {
  const server = new ModelServer();
  return new FakeConnection((text, connection) => {
    const line = text.replace(/\r$/, "");
    const [sequence, process, verb, ...args] = line.split(" ");
    function honest(): string {
      const { reply, last } = server.answer(line);
      if (last) queueMicrotask(() => connection.end());
      return reply;
    }
    const known = /^\d+$/.test(sequence!) && verb !== undefined;
    if (!known) return connection.send(`${honest()}\n`);
    const request = { process: process!, verb, args };
    const reply = alter(
      request,
      () => honest().slice(sequence!.length + 1),
    );
    connection.send(`${sequence} ${reply}\n`);
  });
}

/** Replies to one verb in another way. */
export function at(
  verb: string,
  reply: (request: Request, honest: () => string) => string,
): Alter {
  return (request, honest) =>
    request.verb === verb ? reply(request, honest) : honest();
}
