// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests that consist of cases: the rows of a table.
 *
 * @module
 */

import {
  type Revision,
  type RevisionName,
  REVISIONS,
} from "../../impl/uapi/revision.ts";
import type { Errno } from "../../impl/uapi/errno.ts";
import type { Test } from "./harness.ts";

/** Takes the rows of a table. */
export interface Table<T> {
  /**
   * Adds a row. `what` says in a few words, unlike those of the other rows,
   * what is special about it; the case's id is made from them.
   */
  case(what: string, body: (state: T) => Promise<unknown>): void;
}

/** What cases run in, and how it is left. */
export interface TableState<T> {
  /** What the bodies get. */
  readonly state: T;
  /** Checks and cleans up after the last of them. */
  end(): Promise<void>;
}

/** What follows the id of a test in that of a case. */
const SEPARATOR = "/";

/** The words as a part of an id. */
function slug(what: string): string {
  return what.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "");
}

/** The id of a case in two parts: that of its test, and its name, which the id of a test has not. */
export function splitId(id: string): [test: string, name?: string] {
  const [test, name] = id.split(SEPARATOR);
  return name === undefined ? [test!] : [test!, name];
}

/**
 * The test whose rows `declare` tells for each revision that it has. `begin`
 * makes what the cases run in. Throws for two rows of the same name.
 */
export function tableTest<T>(
  about: Omit<Test, "run">,
  declare: (t: Table<T>, revision: Revision) => void,
  begin: (...args: Parameters<Test["run"]>) => Promise<TableState<T>>,
): Test {
  /** The bodies by id, in each revision. */
  const bodies = new Map<
    RevisionName,
    Map<string, (state: T) => Promise<unknown>>
  >();
  const cases = new Map<string, Test>();
  for (const uapi of about.uapi.toReversed()) {
    const rows = new Map<string, (state: T) => Promise<unknown>>();
    bodies.set(uapi, rows);
    declare({
      case(what, body) {
        const name = slug(what);
        const id = about.id + SEPARATOR + name;
        if (name === "" || rows.has(id)) {
          throw new Error(`${id}: a case needs a name of its own`);
        }
        rows.set(id, body);
        const known = cases.get(id)?.uapi ?? [];
        cases.set(id, caseOf(id, what, [uapi, ...known]));
      },
    }, REVISIONS[uapi]);
  }

  function caseOf(id: string, what: string, uapi: RevisionName[]): Test {
    return {
      ...about,
      id,
      uapi,
      description: `${about.description}: ${what}`,
      run: (...args) => run([id], ...args),
    };
  }

  /** Runs the cases of these ids. */
  async function run(
    ids: readonly string[],
    ...args: Parameters<Test["run"]>
  ): Promise<void> {
    const [, { uapi }, hooks] = args;
    const { state, end } = await begin(...args);
    for (const id of ids) {
      hooks?.begin?.(id);
      await bodies.get(uapi as RevisionName)!.get(id)!(state);
    }
    await end();
  }

  function select(chosen: readonly Test[]): Test {
    const ids = chosen.map(({ id }) => id);
    return {
      ...about,
      table: { cases: chosen, select },
      run: (...args) => run(ids, ...args),
    };
  }
  return select([...cases.values()]);
}

/** The ids of what has a verdict of its own: tests without cases, and cases. */
export function verdictIds(tests: readonly Test[]): string[] {
  return tests.flatMap(({ id, table }) =>
    table?.cases.map(({ id }) => id) ?? id
  );
}

/**
 * What is left of a test if only that runs which `keep` is true of: the test
 * with fewer cases, or nothing.
 */
export function narrow(
  test: Test,
  keep: (testOrCase: Test) => boolean,
): Test | undefined {
  if (test.table === undefined) return keep(test) ? test : undefined;
  const { cases, select } = test.table;
  const kept = cases.filter(keep);
  if (kept.length === 0) return undefined;
  return kept.length === cases.length ? test : select(kept);
}

/** A thing that is wrong with a call: what it is, how the call fails for it, and what puts it right. */
export type Step<T, V> = readonly [
  what: string,
  errno: Errno,
  right: (state: T) => V,
];

/**
 * Adds a case for each thing that is wrong with a call, in the order in which
 * the kernel looks for them: what comes before it is right by then, it and all
 * that comes behind is not. Returns what all of them together are put right by.
 */
export function addSteps<T, V extends object>(
  t: Table<T>,
  wrong: V,
  steps: readonly Step<T, V>[],
  call: (state: T, values: V, errno: Errno) => Promise<unknown>,
): (state: T) => V {
  function valuesBefore(state: T, index: number): V {
    const rights = steps.slice(0, index).map(([, , right]) => right(state));
    return Object.assign({}, wrong, ...rights);
  }
  for (const [index, [what, errno]] of steps.entries()) {
    t.case(what, (state) => call(state, valuesBefore(state, index), errno));
  }
  return (state) => valuesBefore(state, steps.length);
}
