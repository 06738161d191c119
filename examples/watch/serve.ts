// SPDX-License-Identifier: GPL-2.0-only

/**
 * Serves the page that shows iommufd at work to browsers of this machine:
 * `deno task watch`, or `deno task watch 8080` for another port.
 *
 * @module
 */

import { buildPage } from "./build.ts";

const PORT = 8317;

/** Serves a page on a port of localhost; 0 for any that is free. */
export function servePage(
  page: string,
  port: number,
  onListen: (address: string) => void,
): Deno.HttpServer {
  const headers = { "content-type": "text/html; charset=utf-8" };
  return Deno.serve({
    hostname: "localhost",
    port,
    onListen: ({ port }) => onListen(`http://localhost:${port}/`),
  }, (request) => {
    const { pathname } = new URL(request.url);
    return pathname === "/"
      ? new Response(page, { headers })
      : new Response("There is only one page, /.\n", { status: 404 });
  });
}

/** The port that was asked for; undefined for what is none. */
function portIn(args: readonly string[]): number | undefined {
  const [port = String(PORT), ...rest] = args;
  const isPort = /^\d{1,5}$/.test(port) && Number(port) < 2 ** 16;
  return isPort && rest.length === 0 ? Number(port) : undefined;
}

if (import.meta.main) {
  const port = portIn(Deno.args);
  if (port === undefined) {
    console.error("watch takes one argument, a port: from 0 (any) to 65535");
    Deno.exit(2);
  }
  const page = await buildPage();
  try {
    servePage(page, port, (address) => console.log(`Watch it at ${address}`));
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    console.error(
      `Port ${port} is taken: name another one, as in "deno task watch 0"`,
    );
    Deno.exit(1);
  }
}
