// SPDX-License-Identifier: GPL-2.0-only

/**
 * The demo: what iommufd does with memory, step by step, with a drawing of the
 * kernel after each step. `deno task demo`, or `deno task demo v3`.
 *
 * @module
 */

import * as colors from "@std/fmt/colors";
import {
  inspect,
  IommufdClient,
  IommufdError,
  isRevisionName,
  Kernel,
  MAP_ANONYMOUS,
  MAP_SHARED,
  NEWEST,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  REVISION_NAMES,
  type RevisionName,
} from "@iommufd/kit";

/** Characters in a line of text, about. */
const LINE_LENGTH = 84;

/** One step of the demo. */
interface Step {
  /** What happens. */
  readonly title: string;
  /** The call, as a reader would write it. */
  readonly code: string;
  /** What to look for in the drawing. */
  readonly note: string;
}

/** Does one thing after the other; the drawing follows each `yield`. */
function* scenario(kernel: Kernel): Generator<Step> {
  const process = kernel.spawn();
  const length = 16 * PAGE_SIZE;
  const flags = MAP_SHARED | MAP_ANONYMOUS;
  const userVa = process.mmap(0, length, PROT_READ | PROT_WRITE, flags);
  const iova = 0x100_0000;

  using iommufd = IommufdClient.open(process);
  const { ioasId } = iommufd.ioasAlloc();
  yield {
    title: "An IO address space",
    code: "iommufd.ioasAlloc()",
    note:
      "The IOAS has no device yet: all IOVA from 0 to 2^64-1 can be mapped.",
  };

  iommufd.ioasMap({ ioasId, userVa, length, iova });
  yield {
    title: "Map 64 KiB of memory at IOVA 16 MiB",
    code: "iommufd.ioasMap({ ioasId, userVa, length: 65536, iova: 0x1000000 })",
    note: "Nobody uses the memory: nothing is pinned, there are no frames.",
  };

  const { hwptId, stdevId } = iommufd.mock.mockDomain({ ptId: ioasId });
  iommufd.mock.checkMap({ hwptId, iova, length, userVa });
  yield {
    title: "Attach a mock device, and check what it sees",
    code: "iommufd.mock.mockDomain({ ptId: ioasId }), then mock.checkMap(…)",
    note:
      "All 16 pages are pinned, once. Their frame numbers are kept in the " +
      "HWPT's page table.\nWhat the mock IOMMU cannot map became reserved.",
  };

  const other = iommufd.ioasAlloc();
  iommufd.ioasCopy({
    srcIoasId: ioasId,
    srcIova: iova + 4 * PAGE_SIZE,
    dstIoasId: other.ioasId,
    dstIova: 0x200_0000,
    length: 8 * PAGE_SIZE,
  });
  iommufd.mock.mockDomain({ ptId: other.ioasId });
  yield {
    title: "Copy half of it to a second IOAS with a device of its own",
    code: "iommufd.ioasCopy({ …, dstIova: 0x2000000, length: 32768 })",
    note: "Both areas map the same pages, P1: they are still pinned once.",
  };

  const { accessFd } = iommufd.mock.createAccess({ ioasId });
  const pinned = { iova, length: 4 * PAGE_SIZE };
  iommufd.mock.accessPages({ accessFd, ...pinned });
  yield {
    title: "An emulated device pins four pages",
    code: "iommufd.mock.accessPages({ accessFd, iova, length: 16384 })",
    note: "The frame numbers of pages 0-3 are now kept in pinned_pfns too. " +
      "Nothing is pinned twice.",
  };

  yield {
    title: "Two things that iommufd refuses",
    code: "iommufd.ioasUnmap({ ioasId, iova, length: 4096 })\n" +
      "iommufd.destroy(ioasId)",
    note:
      refusal(() => iommufd.ioasUnmap({ ioasId, iova, length: PAGE_SIZE })) +
      "\n" + refusal(() => iommufd.destroy(ioasId)),
  };

  iommufd.ioasUnmap({ ioasId, iova, length });
  yield {
    title: "Unmap the whole area",
    code: "iommufd.ioasUnmap({ ioasId, iova, length: 65536 })",
    note: "The access was asked to let go of its four pages, and did.\n" +
      "Pages 4-11 stay pinned for the second IOAS, whose HWPT is their storage now.",
  };

  process.close(accessFd);
  iommufd.destroy(stdevId);
  iommufd.close();
  yield {
    title: "Close the descriptor",
    code: "iommufd.close()",
    note:
      "Everything goes in the order of who uses what; every pin is given back.",
  };

  process.exit();
  yield {
    title: "The process exits",
    code: "kernel.audit()",
    note: `What is left over: ${kernel.audit().join(" ") || "nothing."}`,
  };
}

/** The sentence that a refused call throws. */
function refusal(call: () => void): string {
  try {
    call();
  } catch (error) {
    if (error instanceof IommufdError) return wrap(error.message);
    throw error;
  }
  throw new Error("The call should have been refused");
}

/** Breaks a long sentence into lines. */
function wrap(sentence: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of sentence.split(" ")) {
    if (line.length + word.length > LINE_LENGTH) {
      lines.push(line);
      line = " ";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line].join("\n");
}

/** Colours of a drawing, by what stands in a line. */
function paint(line: string): string {
  return line
    .replaceAll(/\bHWPT \d+/g, (name) => colors.cyan(name))
    .replaceAll(/\bIOAS \d+/g, (name) => colors.blue(name))
    .replace("|##|", (box) => colors.green(box))
    .replace("|xx|", (box) => colors.red(box))
    .replace(/\bpinned_pfns|user memory/, (place) => colors.yellow(place))
    .replace(
      /^( *)(context \d+)/,
      (_, indent, name) => indent + colors.bold(name),
    );
}

/** The drawing; `>` marks the lines that were not in the one before. */
function mark(drawing: string, before: string): string[] {
  if (drawing === before) return [colors.dim("  (The drawing is the same.)")];
  const known = new Set(before.split("\n").map(words));
  return drawing.split("\n").map((line) => {
    if (line === "") return "";
    return `${known.has(words(line)) ? " " : colors.bold(">")} ${paint(line)}`;
  });
}

/** A line without its spacing, which other lines decide. */
function words(line: string): string {
  return line.trim().replaceAll(/\s+/g, " ");
}

/** Plays the demo on a kernel of a revision and hands its lines to `print`. */
export function demo(
  revision: RevisionName,
  print: (line: string) => void,
): void {
  const kernel = new Kernel({ revision });
  let number = 0;
  let before = inspect(kernel);
  for (const { title, code, note } of scenario(kernel)) {
    const drawing = inspect(kernel);
    print(colors.bold(`${++number}. ${title}`));
    print("");
    for (const line of code.split("\n")) print(colors.dim(`     ${line}`));
    print("");
    for (const line of note.split("\n")) print(`   ${line}`);
    print("");
    for (const line of mark(drawing, before)) print(line);
    print("");
    before = drawing;
  }
}

if (import.meta.main) {
  const [revision = NEWEST, ...rest] = Deno.args;
  if (!isRevisionName(revision) || rest.length > 0) {
    const names = REVISION_NAMES.join(" or ");
    console.error(`The demo takes one argument, the revision: ${names}`);
    Deno.exit(2);
  }
  if (!Deno.stdout.isTerminal()) colors.setColorEnabled(false);
  demo(revision, console.log);
}
