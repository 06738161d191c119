// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the command needs of the system it runs on.
 *
 * @module
 */

/** Where the command's output goes. */
export interface Host {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** True if standard output is a terminal that wants colours. */
  readonly color: boolean;
  /** True if standard error is a terminal. */
  readonly errIsTerminal: boolean;
  /** Creates a file, or empties it; the function it returns appends to it. */
  create(path: string): (text: string) => void;
  /** Writes a whole file, and creates the folders that it is in. */
  save(path: string, text: string): void;
  /** The text of a file; undefined if there is no such file. */
  readText(path: string): string | undefined;
}

/** The process that Deno runs. NO_COLOR is respected. */
export function denoHost(): Host {
  return {
    out: (text) => write(Deno.stdout, text),
    err: (text) => write(Deno.stderr, text),
    color: Deno.stdout.isTerminal() && !Deno.noColor,
    errIsTerminal: Deno.stderr.isTerminal(),
    create(path) {
      Deno.writeTextFileSync(path, "");
      return (text) => Deno.writeTextFileSync(path, text, { append: true });
    },
    save(path, text) {
      const folder = path.slice(0, path.lastIndexOf("/") + 1);
      if (folder !== "") Deno.mkdirSync(folder, { recursive: true });
      Deno.writeTextFileSync(path, text);
    },
    readText(path) {
      try {
        return Deno.readTextFileSync(path);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    },
  };
}

/** Writes all of a text. A reader that went away, such as `head`, is no error. */
function write(
  stream: { writeSync(bytes: Uint8Array): number },
  text: string,
): void {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) {
      bytes = bytes.subarray(stream.writeSync(bytes));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
