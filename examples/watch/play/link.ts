// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is looked at, in the part of an address that a server does not see.
 *
 * @module
 */

import { NEWEST, type RevisionName } from "../../../impl/uapi/revision.ts";
import { kernelsFor, SCENARIOS } from "../scenarios/mod.ts";

/** What is looked at. */
export interface Place {
  /** The scenario; undefined for a program of somebody's own. */
  readonly scenario: string | undefined;
  /** The program. */
  readonly text: string;
  /** What the kernel behaves as. */
  readonly revision: RevisionName;
  /** How many steps were made. */
  readonly position: number;
}

const BASE64 = { alphabet: "base64url", omitPadding: true } as const;

/** The address of a place, from `#` on. */
export function linkTo(
  { scenario, text, revision, position }: Place,
): string {
  const what: Record<string, string> = scenario === undefined
    ? { program: new TextEncoder().encode(text).toBase64(BASE64) }
    : { scenario };
  const where = { ...what, revision, step: String(position) };
  return `#${new URLSearchParams(where)}`;
}

/** The place of an address; what it does not say, or wrongly, is as at the beginning. */
export function placeAt(hash: string): Place {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const step = said.get("step") ?? "";
  const own = programIn(said.get("program"));
  const { id, text } =
    SCENARIOS.find(({ id }) => id === said.get("scenario")) ?? SCENARIOS[0]!;
  const kernels = kernelsFor(own === undefined ? id : undefined);
  return {
    ...own === undefined
      ? { scenario: id, text: text.trim() }
      : { scenario: undefined, text: own },
    revision: kernels.find((name) => name === said.get("revision")) ?? NEWEST,
    position: /^\d{1,9}$/.test(step) ? Number(step) : 0,
  };
}

function programIn(encoded: string | null): string | undefined {
  if (encoded === null) return undefined;
  try {
    const bytes = Uint8Array.fromBase64(encoded, { alphabet: "base64url" });
    return new TextDecoder().decode(bytes);
  } catch {
    return undefined;
  }
}
