// SPDX-License-Identifier: GPL-2.0-only

/**
 * Keeps the transcripts of failed tests.
 *
 * @module
 */

import type { Host } from "../lib/host.ts";
import type { TestResult } from "../reports/results.ts";
import { replayedFile } from "./replay_target.ts";

/** Lines of a transcript that reports show: at its beginning, and at its end. */
const HEAD_LINES = 60;
const TAIL_LINES = 240;
/** Characters of a line that reports show. */
const LINE_LENGTH = 400;
/** Characters of a part of a path: file systems allow no more than 255 bytes. */
const NAME_LENGTH = 100;

/** Who keeps the files. */
type Keeper = Pick<Host, "save" | "err">;

/** A folder with a file for each test that failed: `TARGET/REVISION/ID.txt`. */
export class TranscriptFolder {
  readonly #folder: string | undefined;
  readonly #host: Keeper;
  readonly #saved = new Set<string>();
  #failed = false;

  /** `folder` is undefined where nothing is to be saved. */
  constructor(folder: string | undefined, host: Keeper) {
    this.#folder = folder;
    this.#host = host;
  }

  /**
   * Saves the transcript of a result that has one, unless it was played back:
   * then its calls are in a file already. The result that is returned names
   * the file, and has no more of the text than a report can show.
   */
  save(spec: string, result: TestResult): TestResult {
    const { transcript, uapi, id } = result;
    if (transcript === undefined) return result;
    const text = excerpt(transcript.text);
    const played = replayedFile(spec);
    if (played !== undefined) {
      return { ...result, transcript: { text, path: played } };
    }
    const path = [this.#folder, fileName(spec), uapi, `${fileName(id)}.txt`]
      .join("/");
    return this.#write(path, transcript.text)
      ? { ...result, transcript: { text, path } }
      : { ...result, transcript: { text } };
  }

  /** Writes a file, unless it has the calls of an earlier run of the test. True if it is there. */
  #write(path: string, text: string): boolean {
    if (this.#folder === undefined || this.#failed) return false;
    if (this.#saved.has(path)) return false;
    try {
      this.#host.save(path, text);
      this.#saved.add(path);
      return true;
    } catch (error) {
      this.#failed = true;
      const why = error instanceof Error ? error.message : String(error);
      this.#host.err(`The calls of failed tests are not saved: ${why}\n`);
      return false;
    }
  }
}

/** A text as part of a path. What does not fit is hashed, so that commands with a long beginning in common stay apart. */
function fileName(text: string): string {
  const name = text.replace(/[^\w.=,-]+/g, "-").replace(/^[.-]+|-+$/g, "");
  if (name.length <= NAME_LENGTH) return name;
  const hash = hashOf(text);
  return `${name.slice(0, NAME_LENGTH - hash.length - 1)}-${hash}`;
}

/** The 32-bit FNV-1a hash of a text's UTF-8 bytes, as 8 hex digits. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/** The beginning and the end of a transcript, with lines of a length to be shown. */
export function excerpt(text: string): string {
  const lines = text.trimEnd().split("\n").map((line) =>
    line.length <= LINE_LENGTH
      ? line
      : `${line.slice(0, LINE_LENGTH)}… (${line.length} characters)`
  );
  const left = lines.length - HEAD_LINES - TAIL_LINES;
  if (left <= 1) return lines.join("\n") + "\n";
  return [
    ...lines.slice(0, HEAD_LINES),
    `# … ${left} lines left out …`,
    ...lines.slice(-TAIL_LINES),
  ].join("\n") + "\n";
}
