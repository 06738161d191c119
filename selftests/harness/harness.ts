// SPDX-License-Identifier: GPL-2.0-only

/**
 * The selftest harness: fixtures, variants, tests and assertions, after
 * tools/testing/selftests/kselftest_harness.h.
 *
 * A test is written once, against a {@link TargetProcess}, and runs on any
 * target. Registering a fixture only fills a list; the runner and the files
 * that hand tests to `Deno.test` decide what runs.
 *
 * @module
 */

import type { TargetInfo, TargetProcess } from "../target/target.ts";
import { type Errno, errnoName } from "../../impl/uapi/errno.ts";
import type { Need } from "../target/capabilities.ts";
import type { KnownBug } from "./known_bugs.ts";
import { type RuleCode, RULES } from "../rules/rules.ts";
import { type Table, tableTest } from "./table.ts";
import {
  type Revision,
  REVISION_NAMES,
  type RevisionName,
  REVISIONS,
} from "../../impl/uapi/revision.ts";
import { existsIn, type Lifetime } from "../../impl/uapi/revision/versions.ts";

/** One test in one variant. */
export interface Test {
  /** `fixture.variant.test`, or `fixture.test` without variants: the kernel's name for it. */
  readonly id: string;
  /** Name of the fixture. */
  readonly fixture: string;
  /** Name of the variant, or undefined where the fixture has none. */
  readonly variant: string | undefined;
  /** Name of the test within the fixture. */
  readonly name: string;
  /** Revisions of the uAPI that have this test. */
  readonly uapi: readonly RevisionName[];
  /** What the target must be able to do. */
  readonly needs: readonly Need[];
  /** The bug of Linux for which it is not applicable there, if there is one. */
  readonly knownBug: KnownBug | undefined;
  /** Why it does nothing and counts as skipped, if it skips itself. */
  readonly skipsItself: string | undefined;
  /** True for a test of the kernel's own suite, false for one of ours. */
  readonly upstream: boolean;
  /** The kernel's test program that has it: `iommufd` or `iommufd_fail_nth`; undefined for one of ours. */
  readonly program: string | undefined;
  /** What it checks, in a sentence. */
  readonly description: string;
  /** The kernel test or the functions of Linux that it answers to. */
  readonly reference: string;
  /** The rules that it proves. */
  readonly rules: readonly RuleCode[];
  /** Its cases, if it is a table of them. */
  readonly table?: {
    /** The rows in order: each is a test by itself, with the id `TEST/CASE`. */
    readonly cases: readonly Test[];
    /** The test with some of its cases only. */
    select(cases: readonly Test[]): Test;
  };
  /**
   * Sets the fixture up, runs the body, or those of all cases, and tears down.
   * Throws {@link AssertionFailure}.
   */
  run(
    process: TargetProcess,
    info: TargetInfo,
    hooks?: RunHooks,
  ): Promise<void>;
}

/** What a test tells while it runs. */
export interface RunHooks {
  /** Something that the report should say about the run. */
  note(text: string): void;
  /** The case of this id begins. */
  begin(id: string): void;
}

/** An assertion that did not hold. */
export class AssertionFailure extends Error {
  override name = "AssertionFailure";
  /** What was looked at. */
  readonly what: string;
  /** What was expected, for a person: errnos by name. */
  readonly expected: string;
  /** What came instead. */
  readonly actual: string;

  /** `what` is the thing that was looked at, for instance `IOMMU_IOAS_MAP`. */
  constructor(what: string, expected: string, actual: string) {
    super(`${what}: expected ${expected}, got ${actual}`);
    this.what = what;
    this.expected = expected;
    this.actual = actual;
  }
}

/** Asserts that `actual` is `expected`. Numbers, bigints, booleans and strings. */
export function assertEq<T extends number | bigint | boolean | string>(
  actual: T,
  expected: T,
  what: string,
): void {
  if (actual !== expected) {
    throw new AssertionFailure(what, String(expected), String(actual));
  }
}

/** Asserts that a condition holds. */
export function assertTrue(condition: boolean, what: string): void {
  if (!condition) throw new AssertionFailure(what, "true", "false");
}

/** Asserts that a system call succeeded (any non-negative result) and returns the result. */
export function assertOk(ret: number, what: string): number {
  if (ret < 0) throw new AssertionFailure(what, "success", errnoName(ret));
  return ret;
}

/** Asserts that a system call failed with `errno`. */
export function assertErrno(ret: number, errno: Errno, what: string): void {
  if (ret !== -errno.code) {
    const actual = ret < 0 ? errnoName(ret) : `success (${ret})`;
    throw new AssertionFailure(what, errno.name, actual);
  }
}

/** Asserts that two byte arrays are the same; names the first byte that is not. */
export function assertBytes(
  actual: Uint8Array,
  expected: Uint8Array,
  what: string,
): void {
  if (actual.length !== expected.length) {
    assertEq(actual.length, expected.length, `length of ${what}`);
  }
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i]) {
      throw new AssertionFailure(
        `${what}, byte ${i}`,
        `0x${expected[i]!.toString(16)}`,
        `0x${actual[i]!.toString(16)}`,
      );
    }
  }
}

/** What every test body gets: the process it runs in, and the facts about the target. */
export interface Context {
  /** The process that makes the test's system calls. */
  readonly process: TargetProcess;
  /** What the target says about itself. */
  readonly info: TargetInfo;
  /** The revision whose behaviour the test must assert. */
  readonly revision: Revision;
  /** Bytes of a CPU page. */
  readonly pageSize: number;
  /** Bytes of a huge page. */
  readonly hugePageSize: number;
  /** Says something about the run that the report should have, in a sentence without its full stop. */
  note(text: string): void;
}

/** In which revisions there is something. */
export interface Scope extends Lifetime {
  /** Whether a revision of that lifetime has it. */
  only?(revision: Revision): boolean;
}

/** How a fixture is built. `V` are its variant parameters, `S` what its tests share. */
export interface FixtureOptions<V, S> extends Scope {
  /** The variants by name, in the kernel's order; leave out for a fixture without variants. */
  readonly variants?: Readonly<Record<string, V>>;
  /** True for a fixture of the kernel's own suite. */
  readonly upstream: boolean;
  /** The kernel's test program that has it; default `iommufd`. */
  readonly program?: string;
  /** The folder of its source below tools/testing/selftests; default `iommu`. */
  readonly folder?: string;
  /** In which revisions there is a variant. */
  scopeOf?(variant: V): Scope;
  /** What all tests of a variant need of the target. */
  needs?(variant: V): readonly Need[];
  /** Prepares one test. */
  setup(context: Context, variant: V): Promise<S>;
  /** Cleans up after one test whose body succeeded; its assertions count. */
  teardown?(self: S): Promise<void>;
}

/** What a single test may restrict. */
export interface TestOptions<V> extends Scope {
  /** What it checks, in a sentence. */
  readonly description: string;
  /** What of Linux it answers to; default: where its rules are, or the kernel test of that name. */
  readonly reference?: string;
  /** The rules that it proves. */
  readonly rules: readonly RuleCode[];
  /** The bug of Linux for which it is not applicable there. */
  knownBug?(variant: V): KnownBug | undefined;
  /** Why the test itself says that there is nothing to do in a variant. */
  skipsItself?(variant: V): string | undefined;
  /** What it needs of the target beyond the fixture's needs. */
  needs?(variant: V): readonly Need[];
}

/** What a test with a table may restrict, and what its cases share. */
export interface TableOptions<V, S, T> extends TestOptions<V> {
  /** Makes what the cases share; without it that is what all tests of the fixture do. */
  prepare?(self: S, variant: V): Promise<T>;
  /** Checks what is left after the cases. */
  finish?(state: T, variant: V): Promise<unknown>;
}

/** A fixture under construction: each method adds a test in every variant. */
export interface Fixture<V, S> {
  /** Adds a test. */
  test(
    name: string,
    options: TestOptions<V>,
    body: (self: S, variant: V) => Promise<void>,
  ): void;
  /**
   * Adds a test that is a table of cases: `rows` tells them for a variant and
   * a revision, without any system call. They run one after the other in one
   * process, and must pass in any selection: none leaves anything that another
   * one notices.
   */
  table<T = S>(
    name: string,
    options: TableOptions<V, S, T>,
    rows: (t: Table<T>, variant: V, revision: Revision) => void,
  ): void;
}

/** The revisions that are in all the scopes. */
function revisionsIn(...scopes: readonly Scope[]): RevisionName[] {
  return REVISION_NAMES.filter((name) =>
    scopes.every((scope) =>
      existsIn(name, scope) && scope.only?.(REVISIONS[name]) !== false
    )
  );
}

/** Adds a fixture's tests to `registry` in the kernel's order: by variant, then by test. */
export function fixture<V, S>(
  registry: Test[],
  name: string,
  options: FixtureOptions<V, S>,
): Fixture<V, S> {
  const variants: [string | undefined, V][] = options.variants
    ? Object.entries(options.variants)
    : [[undefined, undefined as V]];
  /** Tests of each variant, kept apart so that the registry ends up ordered by variant. */
  const start = registry.length;
  const { program = "iommufd", folder = "iommu" } = options;
  const source = `tools/testing/selftests/${folder}/${program}.c`;
  let testsPerVariant = 0;

  /** Adds the test that `make` makes for each variant. */
  function add(
    testName: string,
    testOptions: TestOptions<V>,
    make: (about: Omit<Test, "run">, variant: V) => Test,
  ): void {
    const { rules } = testOptions;
    variants.forEach(([variantName, variant], index) => {
      const test = make({
        id: [name, variantName, testName].filter((part) => part).join("."),
        fixture: name,
        variant: variantName,
        name: testName,
        uapi: revisionsIn(
          options,
          options.scopeOf?.(variant) ?? {},
          testOptions,
        ),
        needs: [
          ...options.needs?.(variant) ?? [],
          ...testOptions.needs?.(variant) ?? [],
        ],
        knownBug: testOptions.knownBug?.(variant),
        skipsItself: testOptions.skipsItself?.(variant),
        upstream: options.upstream,
        program: options.upstream ? program : undefined,
        description: testOptions.description,
        reference: testOptions.reference ??
          (options.upstream
            ? `${source}: ${name}.${testName}`
            : rules.map((code) => RULES[code].where).join("; ")),
        rules,
      }, variant);
      // Tests of earlier variants stand before, and so do this variant's earlier tests.
      const place = start + index * (testsPerVariant + 1) + testsPerVariant;
      registry.splice(place, 0, test);
    });
    testsPerVariant++;
  }

  return {
    test(testName, testOptions, body) {
      add(testName, testOptions, (about, variant) => ({
        ...about,
        async run(...args) {
          const self = await options.setup(contextOf(...args), variant);
          await body(self, variant);
          await options.teardown?.(self);
        },
      }));
    },
    table<T>(
      testName: string,
      tableOptions: TableOptions<V, S, T>,
      rows: (t: Table<T>, variant: V, revision: Revision) => void,
    ) {
      const { prepare, finish } = tableOptions;
      add(testName, tableOptions, (about, variant) =>
        tableTest<T>(
          about,
          (t, revision) => rows(t, variant, revision),
          async (...args) => {
            const self = await options.setup(contextOf(...args), variant);
            // Without `prepare` nothing says that T is another type than S.
            const state = prepare
              ? await prepare(self, variant)
              : self as unknown as T;
            return {
              state,
              async end() {
                await finish?.(state, variant);
                await options.teardown?.(self);
              },
            };
          },
        ));
    },
  };
}

/** What a test body gets to know of its run. */
function contextOf(
  process: TargetProcess,
  info: TargetInfo,
  hooks?: RunHooks,
): Context {
  return {
    process,
    info,
    revision: REVISIONS[info.uapi as RevisionName],
    pageSize: info.pageSize,
    hugePageSize: info.hugePageSize,
    note: (text) => hooks?.note(text),
  };
}

export type { Table, TargetInfo, TargetProcess };
