// SPDX-License-Identifier: GPL-2.0-only

/**
 * Bytes as text, both ways: `x"00ff 01*16"`.
 *
 * @module
 */

/** As many equal bytes in a row are written as one, with their number. */
const FEWEST_REPEATED = 8;

/** What stands between the quotes: some bytes, or one with how often it is there. */
const PART = /^(([\da-f]{2})+|[\da-f]{2}\*\d{1,8})$/;

/** Bytes in hex; many equal ones in a row as one with their number. */
export function bytesText(bytes: Uint8Array): string {
  const parts: string[] = [];
  let plain = "";
  for (let i = 0, end = 0; i < bytes.length; i = end) {
    while (end < bytes.length && bytes[end] === bytes[i]) end++;
    const hex = bytes.subarray(i, i + 1).toHex();
    if (end - i < FEWEST_REPEATED) {
      plain += hex.repeat(end - i);
      continue;
    }
    if (plain !== "") parts.push(plain);
    plain = "";
    parts.push(`${hex}*${end - i}`);
  }
  if (plain !== "") parts.push(plain);
  return `x"${parts.join(" ")}"`;
}

/** The bytes that a text says; undefined for another text. `most` is how many one byte may stand for. */
export function bytesOf(text: string, most: number): Uint8Array | undefined {
  const hex = /^x"([^"]*)"$/.exec(text)?.[1];
  const parts = hex?.split(/\s+/).filter((part) => part !== "") ?? [];
  if (hex === undefined || !parts.every((part) => PART.test(part))) {
    return undefined;
  }
  const all = parts.map((part) => {
    const [bytes, times] = part.split("*") as [string, string?];
    if (times === undefined) return Uint8Array.fromHex(bytes);
    if (Number(times) > most) return undefined;
    return new Uint8Array(Number(times)).fill(parseInt(bytes, 16));
  });
  if (!all.every((part) => part !== undefined)) return undefined;
  const joined = new Uint8Array(
    all.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of all) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
