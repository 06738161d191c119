// SPDX-License-Identifier: GPL-2.0-only

/** The page in Chromium: on a desk, on a phone, by keys and by touch. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import type { Browser, Page } from "playwright-core";
import { buildPage } from "./build.ts";
import { SCENARIOS } from "./scenarios/mod.ts";
import { servePage } from "./serve.ts";
import {
  DESK,
  lacksChromium,
  openPage,
  PHONE,
  startBrowser,
} from "./testing/browser.ts";
import { faintTexts } from "./testing/contrast.ts";

const lacks = await lacksChromium();
const options = { skip: lacks !== "" };

describe(`the page to watch iommufd at work${lacks}`, options, () => {
  let browser: Browser;
  let server: Deno.HttpServer;
  let address: string;

  before(async () => {
    const page = await buildPage();
    server = servePage(page, 0, (at) => address = at);
    browser = await startBrowser();
  });
  after(async () => {
    await browser.close();
    await server.shutdown();
  });

  const at = (hash: string) => `${address}${hash}`;
  const stateOf = (page: Page) => page.locator("#state").innerHTML();
  const position = (page: Page) => page.locator("#position").textContent();

  it("is one file that asks for nothing else", async () => {
    const response = await fetch(address);
    const page = await response.text();
    assertEquals(response.status, 200);
    assertEquals(/\b(?:src|href)="(?!data:)/.exec(page), null);
    const other = await fetch(at("other"));
    assertEquals([other.status, await other.text()], [
      404,
      "There is only one page, /.\n",
    ]);
    const { page: shown } = await openPage(browser, address, DESK);
    const asked: string[] = [];
    shown.on("request", (request) => asked.push(request.url()));
    await shown.reload();
    await shown.locator("#state > *").first().waitFor();
    assertEquals(asked, [address]);
    await shown.context().close();
  });

  it("steps forward and back, and is the same there and back", async () => {
    const { page, errors } = await openPage(browser, address, DESK);
    const forward = page.getByRole("button", { name: "One step forward" });
    const back = page.getByRole("button", { name: "One step back" });
    const seen = [await stateOf(page)];
    for (let i = 1; i <= 15; i++) {
      await forward.click();
      seen.push(await stateOf(page));
    }
    assertEquals(await position(page), "15 of 15");
    assertEquals(new Set(seen).size > 10, true);
    await page.keyboard.press("ArrowRight"); // there is no further step
    for (let i = 14; i >= 0; i--) {
      await back.click();
      assertEquals(await stateOf(page), seen[i], `step ${i}`);
    }
    assertEquals(await position(page), "0 of 15");
    assertEquals(errors, []);
    await page.context().close();
  });

  it("shows each call with its struct, and why it failed", async () => {
    const { page } = await openPage(browser, at("#scenario=tour&step=5"), DESK);
    const call = page.locator("#call");
    const made = await call.innerText();
    assertStringIncludes(made, "IOMMU_TEST_CMD MOCK_DOMAIN");
    assertStringIncludes(made, "struct iommu_test_cmd on fd 3");
    assertStringIncludes(made, "out_hwpt_id\n0 → 4");
    await page.keyboard.press("End");
    await page.locator('[data-step="11"]').click();
    assertStringIncludes(
      await call.innerText(),
      "ENOENT: the range cuts an area",
    );
    await page.context().close();
  });

  it("shows the axis, page tables, memory, objects and who is charged", async () => {
    const { page } = await openPage(
      browser,
      at("#scenario=tour&step=10"),
      DESK,
    );
    const text = (await page.locator("#state").innerText())
      .replaceAll(/\s+/g, " ");
    for (
      const part of [
        "IOAS 1: IOVA is aligned to 4 KiB",
        "page table of HWPT 4: 8 IO pages",
        "0-3 in pinned_pfns",
        "4-15 in HWPT 4",
        "pinned 1×, frames 2-5",
        "16 pages of process 1 at 0x10000000, writable, 16 pinned",
        "iommufd_mock0, group 0, attached to HWPT 4",
        "process 1 (user 0): 0 pages locked, 16 pinned",
      ]
    ) assertStringIncludes(text, part);
    const details = page.locator("details.text");
    await details.locator("summary").click();
    assertStringIncludes(
      await details.innerText(),
      "0x0000000001000000  |##|      64 KiB  rw    P1 0-15  HWPT 4          1",
    );
    await page.context().close();
  });

  it("marks what a call changed, and only that", async () => {
    const { page } = await openPage(browser, at("#scenario=tour&step=9"), DESK);
    const marked = () =>
      page.locator("#state tr.new, #state tr.changed").allInnerTexts();
    assertEquals(
      (await marked()).map((row) => row.split("\t").slice(0, 2).join(" ")),
      ["1 IOAS", "9 access"],
    );
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight"); // a call that fails
    assertEquals(await marked(), []);
    assertEquals(await page.locator("#state .cell.changed").count(), 0);
    await page.context().close();
  });

  it("can be used by keys alone", async () => {
    const { page, errors } = await openPage(browser, address, DESK);
    for (
      const [key, where] of [
        ["ArrowRight", 1],
        ["End", 15],
        ["ArrowLeft", 14],
        ["Home", 0],
      ] as const
    ) {
      await page.keyboard.press(key);
      assertEquals(await position(page), `${where} of 15`);
    }
    const order: string[] = [];
    for (let i = 0; i < 10; i++) {
      await page.keyboard.press("Tab");
      order.push(await page.evaluate("document.activeElement.id"));
    }
    assertEquals(order, [
      "scenario",
      "revision",
      "edit",
      "copy",
      "first",
      "back",
      "forward",
      "last",
      "play",
      "speed",
    ]);
    await page.locator("#last").focus();
    await page.keyboard.press("Enter");
    assertEquals(await position(page), "15 of 15");
    await page.locator('[data-step="10"]').focus();
    await page.keyboard.press("Enter");
    assertEquals(await position(page), "10 of 15");
    const focused = "document.activeElement.dataset.step";
    assertEquals(await page.evaluate(focused), "10");
    // Within a picture arrows go from piece to piece.
    await page.locator("#state .cell").first().focus();
    await page.keyboard.press("ArrowRight");
    assertEquals(await position(page), "10 of 15");
    assertStringIncludes(
      await page.locator(".ioas .detail").first().innerText(),
      "IOVA 0x1000000-0x100ffff, 64 KiB: area of pages P1 0-15, devices may read and write, storage is HWPT 4, 1 pin by accesses",
    );
    assertEquals(errors, []);
    await page.context().close();
  });

  it("plays the steps one after the other, until it is paused or at the end", async () => {
    const { page, errors } = await openPage(browser, address, DESK);
    await page.clock.install();
    const second = () => page.clock.runFor(1000);
    await page.getByRole("button", { name: "Play the steps" }).click();
    assertEquals(await position(page), "1 of 15");
    for (let i = 0; i < 4; i++) await second();
    assertEquals(await position(page), "3 of 15");
    await page.getByLabel("Speed").selectOption("fast");
    await page.getByRole("button", { name: "Pause" }).click();
    await second();
    assertEquals(await position(page), "3 of 15");
    // By its key; a step by hand pauses too.
    await page.locator("#play").press("p");
    await second();
    assertEquals(await position(page), "5 of 15");
    await page.keyboard.press("ArrowLeft");
    await second();
    assertEquals(await position(page), "4 of 15");
    await page.keyboard.press("p");
    for (let i = 0; i < 10; i++) await second();
    assertEquals(await position(page), "15 of 15");
    const plays = page.getByRole("button", { name: "Play the steps" });
    assertEquals(await plays.innerText(), "Play", "it ended by itself");
    await plays.click();
    assertEquals(await position(page), "1 of 15", "from the beginning");
    await page.getByRole("button", { name: "Write calls" }).click();
    await second();
    assertEquals(
      await position(page),
      "1 of 15",
      "not while calls are written",
    );
    assertEquals(errors, []);
    await page.context().close();
  });

  it("moves nothing for who wants no motion, and what changed for others", async () => {
    const { page } = await openPage(browser, at("#scenario=tour&step=8"), DESK);
    await page.clock.install();
    const moves = async () => {
      const changed = page.locator("#state .changed").first();
      return await changed.evaluate((element) => {
        const { getComputedStyle } = globalThis as unknown as {
          getComputedStyle(of: unknown): { readonly animationName: string };
        };
        return getComputedStyle(element).animationName;
      });
    };
    await page.keyboard.press("p");
    assertEquals(await moves(), "appear");
    await page.emulateMedia({ reducedMotion: "reduce" });
    assertEquals(await moves(), "none");
    await page.keyboard.press("p");
    await page.emulateMedia({ reducedMotion: "no-preference" });
    assertEquals(await moves(), "none", "it does not play");
    await page.context().close();
  });

  it("offers a scenario in the kernels that have its calls", async () => {
    const { page, errors } = await openPage(browser, address, DESK);
    const offered = () => page.locator("#revision option").allInnerTexts();
    const v3 = "The series v3, of 2022";
    assertEquals(await offered(), ["Linux 7.3", "Linux 6.12", v3]);
    await page.getByLabel("Kernel").selectOption("v3");
    await page.keyboard.press("End");
    await page.getByLabel("Scenario").selectOption("memlock");
    assertStringIncludes(page.url(), "revision=v3");
    await page.getByLabel("Scenario").selectOption("viommu");
    assertEquals(await offered(), ["Linux 7.3"]);
    assertStringIncludes(page.url(), "revision=7.3");
    await page.goto(at("#scenario=dirty&revision=v3&step=2"));
    await page.waitForURL("**scenario=dirty&revision=7.3&step=2");
    assertEquals(errors, []);
    await page.context().close();
  });

  it("names everything that can be pressed or filled in", async () => {
    const { page } = await openPage(
      browser,
      at("#scenario=tour&step=10"),
      DESK,
    );
    await page.getByRole("button", { name: "Write calls" }).click();
    const nameless = await page.evaluate(() => {
      const { document } = globalThis as unknown as {
        document: { querySelectorAll(selector: string): Iterable<Named> };
      };
      interface Named {
        readonly textContent: string;
        readonly outerHTML: string;
        readonly labels?: { readonly length: number };
        hasAttribute(name: string): boolean;
      }
      const all = document.querySelectorAll(
        "button, select, input, textarea, [role=button], [role=img], [role=group]",
      );
      return [...all].filter((each) =>
        !each.hasAttribute("aria-label") && !(each.labels?.length) &&
        each.textContent.trim() === ""
      ).map(({ outerHTML }) => outerHTML);
    });
    assertEquals(nameless, []);
    await page.context().close();
  });

  for (const isDark of [false, true]) {
    it(`can be read ${isDark ? "in the dark" : "by day"}: text has a contrast of 4.5`, async () => {
      for (
        const hash of [
          "#scenario=tour&step=10",
          "#scenario=dirty&step=11",
          "#scenario=vfio&step=8",
        ]
      ) {
        const { page } = await openPage(browser, at(hash), { ...DESK, isDark });
        assertEquals(await faintTexts(page), [], hash);
        // The control: what is faint is found, in words and in pictures.
        const content = "h1 { color: #777 } svg text { fill: #777 }";
        await page.addStyleTag({ content });
        const faint = (await faintTexts(page)).join("\n");
        assertStringIncludes(faint, "iommufd, step by step");
        assertStringIncludes(faint, "IOAS 1");
        await page.context().close();
      }
    });
  }

  it("fits on a phone, in every scenario, and is stepped by touch", async () => {
    const { page, errors } = await openPage(browser, address, PHONE);
    await page.getByRole("button", { name: "One step forward" }).tap();
    await page.getByRole("button", { name: "To the last step" }).tap();
    await page.getByRole("button", { name: "One step back" }).tap();
    assertEquals(await position(page), "14 of 15");
    const small: string[] = [];
    for (const button of await page.locator(".controls button").all()) {
      const { width, height } = (await button.boundingBox())!;
      if (width < 44 || height < 44) small.push(`${width} × ${height}`);
    }
    assertEquals(small, []);
    for (const { id } of SCENARIOS.slice(0, -1)) {
      await page.goto(at(`#scenario=${id}&step=10`));
      const wide = "document.documentElement.scrollWidth";
      assertEquals(await page.evaluate(wide), PHONE.width, id);
    }
    assertEquals(errors, []);
    await page.context().close();
  });

  it("runs calls that somebody wrote, and its link leads there", async () => {
    const { page } = await openPage(browser, address, DESK);
    await page.getByRole("button", { name: "Write calls" }).click();
    const program =
      `# Mine.\n$0 = open("/dev/iommu", O_RDWR)\nioctl($0, IOMMU_IOAS_ALLOC, {})\nioctl($0, IOMMU_DESTROY, {id: 1})`;
    const editor = page.locator("#text");
    await editor.fill(program.replace("IOAS_ALLOC", "IOAS_ALOC"));
    await page.getByRole("button", { name: "Run it" }).click();
    assertStringIncludes(
      await page.locator("#error").innerText(),
      `Line 3, column 11: there is no ioctl "IOMMU_IOAS_ALOC". Did you mean "IOMMU_IOAS_ALLOC"?`,
    );
    assertEquals(await position(page), "0 of 15");
    await editor.fill(program);
    await page.getByRole("button", { name: "Run it" }).click();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    assertEquals(await position(page), "2 of 3");
    const { page: other } = await openPage(browser, page.url(), DESK);
    assertEquals(await position(other), "2 of 3");
    assertEquals(await stateOf(other), await stateOf(page));
    assertStringIncludes(await stateOf(other), "IOAS 1");
    await page.context().close();
    await other.context().close();
  });

  it("tells a link that cannot be read, and what is wrong with it", async () => {
    const bad = new TextEncoder().encode("nonsense()").toBase64();
    const hash = `#program=${bad.replaceAll("=", "")}`;
    const { page } = await openPage(browser, at(hash), DESK);
    assertStringIncludes(
      await page.locator("#error").innerText(),
      `Line 1, column 1: there is no call "nonsense".`,
    );
    assertEquals(await page.locator("#text").inputValue(), "nonsense()");
    await page.context().close();
  });

  it("plays another kernel, where that has what is called", async () => {
    const { page } = await openPage(browser, at("#scenario=huge&step=5"), DESK);
    const before = await page.locator(".pagetable .tick").innerHTML();
    await page.getByLabel("Kernel").selectOption("6.12");
    const now = await page.locator(".pagetable .tick").innerHTML();
    assertEquals([before === now, now], [
      false,
      "page table of HWPT 4: 1,040 IO pages",
    ]);
    assertStringIncludes(page.url(), "revision=6.12");
    await page.context().close();
  });

  it("draws 10,000 areas with as many elements as can be seen, and looks into them", async () => {
    const { page, errors } = await openPage(
      browser,
      at("#scenario=many&step=10004"),
      DESK,
    );
    const elements = await page.evaluate<number>(
      "document.querySelectorAll('*').length",
    );
    assert(elements < 1500, `${elements} elements`);
    const axis = page.locator(".ioas svg");
    const pieces = () => axis.locator(".cell").count();
    assert(await pieces() < 30);
    let looked = 0;
    while (await axis.locator(".cell.many").count() > 0) {
      await axis.locator(".cell.many").nth(1).click();
      looked++;
    }
    assert(looked > 1 && looked < 6, `looked ${looked} times`);
    assertEquals(await axis.locator(".cell.area").count() > 0, true);
    await page.getByRole("button", { name: "Show all IOVA" }).click();
    assert(await axis.locator(".cell.many").count() > 0);
    await page.keyboard.press("ArrowLeft");
    assertEquals(await position(page), "10003 of 10005");
    assertEquals(errors, []);
    await page.context().close();
  });
});
