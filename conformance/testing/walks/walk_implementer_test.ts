// SPDX-License-Identifier: GPL-2.0-only

/**
 * The walk of who writes an iommufd: from an adapter to begin with, by the
 * commands of README, to a run in which all failures are known.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { output } from "../../linux_vm/programs.ts";
import { CLONE, type Done, OwnFolder, run } from "./walk.ts";

const README = await Deno.readTextFile(`${CLONE}README.md`);
const [SECTION] = /^## Write an iommufd of your own\n.*?(?=^## )/ms.exec(
  README,
)!;
const COMMANDS = /^```sh\n(.*?)^```$/ms.exec(SECTION)![1]!.trim().split("\n");
/** What README shows of the ladder, as it was once: tests come. */
const LADDER = /^```text\n(.*?)^```$/ms.exec(SECTION)![1]!;

const ENOUGH = "import sys; sys.exit(sys.version_info < (3, 10))";
const HAS_PYTHON = (await output("python3", ["-c", ENOUGH])).success;

/** The text with one digit for each number, and one space between words. */
function withoutNumbers(text: string): string {
  return text.replaceAll(/\d+/g, "9").replaceAll(/ +/g, " ");
}

Deno.test("an implementer's walk", { ignore: !HAS_PYTHON }, async (t) => {
  await using folder = await OwnFolder.make();
  const deno = `'${Deno.execPath()}'`;

  /** Runs a command as README has it, perhaps with the toy broken. */
  function command(line: string, toy = ""): Promise<Done> {
    const real = line.replaceAll("…/", CLONE)
      .replace(/^deno /, `${deno} `)
      .replace('adapter.py"', `adapter.py${toy}"`);
    return run(folder.path, "sh", "-c", real);
  }
  const [copy, check, first, ladder, update, known, ...more] = COMMANDS;
  assertEquals(more, []);

  await t.step("the adapter to begin with is written well", async () => {
    assertEquals(await command(copy!), { code: 0, out: "" });
    const { code, out } = await command(check!);
    assertEquals(code, 0, out);
    assertMatch(out, /^32 ok, 0 wrong, \d+ skipped$/m);
  });

  await t.step(
    "the first run says what fails, by causes, where, and after which calls",
    async () => {
      const { code, out } = await command(first!);
      assertEquals(code, 1, out);
      assertMatch(out, /^7\.3: 7 of \d+ kernel tests passed; \d+ failed/m);
      assertMatch(out, /\d+ skipped: needs the test ioctl's operation \w+/);
      assertMatch(out, /^ {3}and \d+ like it: iommufd_ioas/m);
      assertMatch(out, /where +selftests\/iommufd_ioas\/\w+\.ts:\d+/);
      assertMatch(out, /before +\d+ {2}mmap\(/);
      assertStringIncludes(out, "gave { out_ioas_id 1 }");

      // The number of the last call is that of its request in the transcript.
      const [, number] = /^ {3}call (\d+) +ioctl.* = ENOTTY$/m.exec(out)!;
      const [, calls] = /^ {3}calls +(\S+)$/m.exec(out)!;
      const transcript = await Deno.readTextFile(`${folder.path}/${calls}`);
      assertMatch(transcript, new RegExp(`^> ${number} 1 ioctl 3 `, "m"));
      assertMatch(transcript, new RegExp(`^< ${number} ok -25 `, "m"));
    },
  );

  await t.step("the ladder says where one is, and what to write", async () => {
    const { code, out } = await command(ladder!);
    assertEquals(code, 0, out);
    assertStringIncludes(withoutNumbers(out), withoutNumbers(LADDER));
    assertMatch(out, /^ {2}ioctls +IOMMU_IOAS_ALLOW_IOVAS, IOMMU_OPTION$/m);
    assertMatch(out, /^ {2}next +Bound the IOVA/m);
    assertMatch(out, /^Run one: .*cli\.ts --target /m);
  });

  await t.step("what fails is written down as known, once", async () => {
    const { code, out } = await command(update!);
    assertEquals(code, 0, out);
    const { link, expectations } = JSON.parse(
      await Deno.readTextFile(`${folder.path}/known.json`),
    );
    assertEquals(link, "https://example.org/issues/1");
    const [{ when, reason }] = expectations;
    assertEquals(when, { target: "stdio:*adapter.py*" });
    assertMatch(reason, /expected .*, got ENOTTY/);

    const again = await command(known!);
    assertEquals(again.code, 0, again.out);
    assertMatch(again.out, /; \d+ failed as expected, \d+ skipped/);
  });

  await t.step("and what comes to it is seen", async () => {
    const { code, out } = await command(known!, " --broken overlap");
    assertEquals(code, 1, out);
    assertStringIncludes(out, "iommufd_ioas.no_domain.area [7.3] fail");
    assertMatch(out, /and 1 like it: .*unmap_fully_contained_areas$/m);
    assertMatch(out, /2 failed, \d+ failed as expected/);
  });
});
