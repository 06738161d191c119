// SPDX-License-Identifier: GPL-2.0-only

/** The schemas beside what is really written and read. */

import { Ajv2020 } from "ajv";
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { REVISION_NAMES } from "../impl/uapi/revision.ts";
import { allTests } from "../selftests/all.ts";
import { runCommand } from "./command/command.ts";
import {
  EXPECTED_STATUSES,
  parseExpectations,
} from "./expectations/expectations.ts";
import { denoHost } from "./lib/host.ts";
import { STATUSES } from "./reports/results.ts";
import { parseTarget } from "./targets.ts";

/** A schema by its name. */
function schema(name: string): Record<string, unknown> {
  const file = new URL(`schemas/${name}.schema.json`, import.meta.url);
  return JSON.parse(Deno.readTextFileSync(file));
}

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
for (const name of ["report", "expectations", "bundle"]) {
  ajv.addSchema(schema(name));
}

/** What is wrong with a value; nothing if it is as its schema says. */
function wrong(name: string, value: unknown): string[] {
  const validate = ajv.getSchema(`${name}.schema.json`)!;
  if (validate(value)) return [];
  return validate.errors!.map(({ instancePath, message }) =>
    `${instancePath} ${message}`
  );
}

function golden(name: string): string {
  const file = `./reports/testing/golden/${name}.golden`;
  return Deno.readTextFileSync(new URL(file, import.meta.url));
}

/** The objects in a value, with how to come to them. */
function objectsIn(value: unknown): Record<string, unknown>[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.values(value).flatMap(objectsIn);
  if (Array.isArray(value)) return inner;
  return [value as Record<string, unknown>, ...inner];
}

/** A target that fails tests, and its report in a format. */
async function realReport(format: string): Promise<string> {
  let out = "";
  const host = {
    ...denoHost(),
    out: (text: string) => void (out += text),
    err: () => {},
    errIsTerminal: false,
  };
  const broken = `
    import { implTarget } from "${new URL(
    "../selftests/target/impl_target.ts",
    import.meta.url,
  )}";
    export async function target() {
      const honest = await implTarget("6.12");
      return {
        info: { ...honest.info, capabilities: ["fork", "setrlimit"] },
        spawn: (needs) => honest.spawn(needs),
        make: async (process, calls) =>
          (await honest.make(process, calls))
            .map((ret, i) => calls[i].verb.name === "ioctl" && ret < 0 ? -5 : ret),
        reset: () => honest.reset(),
        close: () => honest.close(),
      };
    }`;
  const module = `module:data:text/javascript,${encodeURIComponent(broken)}`;
  await runCommand(
    [
      ...["--target", module, "--target", "impl:6.12"],
      ...["--filter", "iommufd", "--filter", "kit_map.no_domain"],
      ...["--report", format, "--repeat", "2", "--seed", "7"],
      ...["--transcripts", Deno.makeTempDirSync()],
    ],
    { host, command: "run", allTests, parseTarget },
  );
  return out;
}

for (const name of ["report", "bundle"] as const) {
  const format = name === "report" ? "json" : name;

  describe(`${name}.schema.json`, () => {
    it("allows the reports of made-up runs, in which is everything there can be", () => {
      for (const run of ["passed", "mixed"]) {
        const value = JSON.parse(golden(`${format}_${run}`));
        assertEquals(wrong(name, value), []);
      }
    });

    it("allows the report of a target that fails", async () => {
      const text = await realReport(format);
      assert(text.includes('"lastCall"'));
      assertEquals(wrong(name, JSON.parse(text)), []);
    });

    it("notices each property that is too many, and most that are missing", () => {
      const text = golden(`${format}_mixed`);
      const count = objectsIn(JSON.parse(text)).length;
      let missed = 0;
      let open = 0;
      for (let i = 0; i < count; i += 5) {
        const more = JSON.parse(text);
        objectsIn(more)[i]!["something"] = [];
        if (wrong(name, more).length === 0) open++;
        const less = JSON.parse(text);
        const object = objectsIn(less)[i]!;
        const [first] = Object.keys(object);
        if (first === undefined) continue;
        delete object[first];
        if (wrong(name, less).length === 0) missed++;
      }
      assertEquals(open, 0);
      assert(missed < count / 20, `${missed} of ${count}`);
    });
  });
}

describe("report.schema.json", () => {
  it("has the statuses and revisions that there are", () => {
    const defs = schema("report").$defs as Record<string, { enum: string[] }>;
    assertEquals(defs.status!.enum, [...STATUSES]);
    assertEquals(defs.revision!.enum, [...REVISION_NAMES]);
  });
});

/** An entry that is right. */
const ENTRY = {
  id: "iommufd.simple_close",
  expect: "fail",
  reason: "Not yet",
  link: "https://example.org/1",
};

const { link: _, ...WITHOUT_LINK } = ENTRY;

/** Files, each allowed by both or refused by both. */
const FILES: readonly unknown[] = [
  [],
  [ENTRY],
  ...EXPECTED_STATUSES.map((expect) => [{ ...ENTRY, expect }]),
  [{ ...ENTRY, expect: ["pass", "fail"] }],
  [{ ...ENTRY, expect: ["pass"] }],
  [{ ...ENTRY, expect: [] }],
  [{ ...ENTRY, expect: "skip" }],
  [{ ...ENTRY, expect: ["fail", "huh"] }],
  [{ ...ENTRY, when: {} }],
  [{ ...ENTRY, when: { target: "stdio:*", uapi: "6.12" } }],
  [{ ...ENTRY, when: { uapi: "6.13" } }],
  [{ ...ENTRY, when: { target: " " } }],
  [{ ...ENTRY, when: { kernel: "6.12" } }],
  [{ ...ENTRY, reason: "" }],
  [{ ...ENTRY, link: " " }],
  [{ ...ENTRY, note: "" }],
  [{ id: "a", expect: "fail", reason: "b" }],
  [{ ...ENTRY, id: 7 }],
  [{ ...ENTRY, id: ["a", "b.*"] }],
  [{ ...ENTRY, id: [] }],
  [{ ...ENTRY, id: ["a", " "] }],
  {},
  { link: "https://example.org/1", expectations: [] },
  { link: "https://example.org/1", expectations: [WITHOUT_LINK, ENTRY] },
  { link: " ", expectations: [ENTRY] },
  { expectations: [ENTRY] },
  { expectations: [WITHOUT_LINK] },
  { link: "https://example.org/1", expectations: {} },
  { link: "https://example.org/1", entries: [] },
];

describe("expectations.schema.json", () => {
  it("allows what the runner takes, and refuses what it refuses", () => {
    for (const file of FILES) {
      const text = JSON.stringify(file);
      let read = true;
      try {
        parseExpectations(text, "known.json");
      } catch {
        read = false;
      }
      const errors = wrong("expectations", file);
      assertEquals(errors.length === 0, read, `${text}: ${errors}`);
    }
  });
});
