// SPDX-License-Identifier: GPL-2.0-only

/**
 * Looks for processes that should not be there any more. Only with all
 * permissions may Deno itself look into /proc: programs may.
 *
 * @module
 */

/** How often {@link until} looks, and milliseconds between: it is only waited for all of them where the test fails. */
const LOOKS = 3000;
const LOOK_MS = 20;

/** Waits until something holds; false if it never does. */
export async function until(holds: () => boolean): Promise<boolean> {
  for (let looks = 0; looks < LOOKS; looks++) {
    if (holds()) return true;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return false;
}

/** True while a process of that number runs; one that has ended and was not waited for does not. */
export function lives(pid: number): boolean {
  const args = ["-qs", ") [^Z]", `/proc/${pid}/stat`];
  return new Deno.Command("grep", { args }).outputSync().success;
}

/** The command lines in which a tag stands. */
export function processesWith(tag: string): string[] {
  // Not written as it is, so that the search does not find itself.
  const pattern = `[${tag[0]}]${tag.slice(1)}`;
  const search = `grep -ahs "$0" /proc/[0-9]*/cmdline`;
  const { stdout } = new Deno.Command("sh", { args: ["-c", search, pattern] })
    .outputSync();
  return new TextDecoder().decode(stdout).split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replaceAll("\0", " "));
}
