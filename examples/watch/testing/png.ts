// SPDX-License-Identifier: GPL-2.0-only

/**
 * PNG, packed better: browsers pack it fast.
 *
 * @module
 */

import { crc32, deflateSync, inflateSync } from "node:zlib";

/** Bytes of a pixel, by the type of colours: RGB and RGBA, 8 bits each. */
const PIXEL: Readonly<Record<number, number>> = { 2: 3, 6: 4 };

/** The same picture in fewer bytes: what is drawn with few colours packs best as it is. */
export function smaller(png: Uint8Array): Uint8Array {
  const view = new DataView(png.buffer, png.byteOffset);
  const packed: Uint8Array[] = [];
  for (let at = 8; at < png.length;) {
    const end = at + 12 + view.getUint32(at);
    const kind = new TextDecoder().decode(png.subarray(at + 4, at + 8));
    if (kind === "IDAT") packed.push(png.subarray(at + 8, end - 4));
    at = end;
  }
  const header = png.subarray(16, 29);
  const pixel = PIXEL[header[9]!];
  if (pixel === undefined) throw new Error("This is no picture of a screen");
  const pixels = inflateSync(joined(packed));
  undoFilters(pixels, 1 + view.getUint32(16) * pixel, pixel);
  return joined([
    png.subarray(0, 8),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(pixels, { level: 9, memLevel: 9 })),
    chunk("IEND", new Uint8Array()),
  ]);
}

/** Puts the bytes of pixels in the place of what each differs by from its neighbours. */
function undoFilters(pixels: Uint8Array, row: number, pixel: number): void {
  for (let start = 0; start < pixels.length; start += row) {
    const filter = pixels[start];
    pixels[start] = 0;
    for (let at = start + 1; at < start + row; at++) {
      const isFirst = at - start <= pixel;
      const left = isFirst ? 0 : pixels[at - pixel]!;
      const up = pixels[at - row] ?? 0;
      const corner = isFirst ? 0 : pixels[at - row - pixel] ?? 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)];
      pixels[at]! += guess[filter!]!;
    }
  }
}

/** Which of three is nearest to `left + up - corner`. */
function paeth(left: number, up: number, corner: number): number {
  const [a, b] = [Math.abs(up - corner), Math.abs(left - corner)];
  const c = Math.abs(left + up - 2 * corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** A part of a PNG: length, kind, data, checksum. */
function chunk(kind: string, data: Uint8Array): Uint8Array {
  const named = joined([new TextEncoder().encode(kind), data]);
  return joined([numberBytes(data.length), named, numberBytes(crc32(named))]);
}

function numberBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
