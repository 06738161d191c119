// SPDX-License-Identifier: GPL-2.0-only

/**
 * The report's chart: time against size, both logarithmic, as SVG. A straight
 * line that rises one decade per decade is linear growth; a flat one is none.
 *
 * @module
 */

import { formatTime } from "./table.ts";

/** A curve. */
export interface Curve {
  /** What stands at its end. */
  readonly label: string;
  /** Size and milliseconds, by size. */
  readonly points: readonly { readonly size: number; readonly time: number }[];
  /** Drawn dashed and grey: something to compare with. */
  readonly reference?: boolean;
}

/** One of the charts side by side. */
export interface Panel {
  /** What is above it. */
  readonly title: string;
  /** What the horizontal axis counts. */
  readonly axis: string;
  /** Sizes to name on that axis. */
  readonly ticks: readonly number[];
  /** How a size is written. */
  readonly formatSize: (size: number) => string;
  /** Its curves. */
  readonly curves: readonly Curve[];
}

/** Pixels. */
const WIDTH = 620;
const HEIGHT = 520;
const MARGIN = { left: 74, right: 210, top: 48, bottom: 60 };
const LABEL_HEIGHT = 14;
const FONT = "font-family='system-ui, sans-serif'";

/** Colours that can be told apart by most people (Okabe and Ito's, without the yellow). */
const COLOURS = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#e69f00",
  "#000000",
  "#7f5539",
  "#6a4c93",
];

/** The panels as one picture. */
export function renderChart(panels: readonly Panel[]): string {
  const width = WIDTH * panels.length;
  const body = panels.map((panel, i) =>
    `<g transform="translate(${i * WIDTH} 0)">\n${renderPanel(panel)}</g>\n`
  ).join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" role="img">\n` +
    `<rect width="${width}" height="${HEIGHT}" fill="#ffffff"/>\n${body}</svg>\n`;
}

/** Where on a picture a value lies, in pixels. */
type Axis = (value: number) => number;

/** A logarithmic axis: values from `min` to `max` at pixels from `from` to `to`. */
function axis(min: number, max: number, from: number, to: number): Axis {
  const first = Math.log10(min);
  const scale = (to - from) / (Math.log10(max) - first);
  return (value) => round(from + (Math.log10(value) - first) * scale);
}

function renderPanel(panel: Panel): string {
  const points = panel.curves.flatMap(({ points }) => points);
  const times = points.map(({ time }) => time);
  const first = Math.floor(Math.log10(Math.min(...times)));
  const last = Math.ceil(Math.log10(Math.max(...times)));
  const decades = { first, last: Math.max(last, first + 1) };
  const sizes = points.map(({ size }) => size);
  const x = axis(
    Math.min(...sizes),
    Math.max(...sizes),
    MARGIN.left,
    WIDTH - MARGIN.right,
  );
  const y = axis(
    10 ** decades.first,
    10 ** decades.last,
    HEIGHT - MARGIN.bottom,
    MARGIN.top,
  );
  return heading(panel) + verticalAxis(y, decades) +
    horizontalAxis(x, panel) + curves(panel.curves, x, y);
}

function heading({ title, axis }: Panel): string {
  const middle = (MARGIN.left + WIDTH - MARGIN.right) / 2;
  return text(middle, 24, title, "text-anchor='middle' font-weight='600'") +
    text(middle, HEIGHT - 16, axis, "text-anchor='middle'") +
    `<text ${FONT} font-size="13" text-anchor="middle" transform="translate(16 ${
      HEIGHT / 2
    }) rotate(-90)">time per call</text>\n`;
}

function verticalAxis(
  y: Axis,
  { first, last }: { first: number; last: number },
): string {
  let svg = "";
  for (let decade = first; decade <= last; decade++) {
    const at = y(10 ** decade);
    svg += rule(MARGIN.left, at, WIDTH - MARGIN.right, at);
    const label = formatTime(10 ** decade).replace(/\.0+ /, " ");
    svg += text(MARGIN.left - 8, at + 4, label, "text-anchor='end'");
  }
  return svg;
}

function horizontalAxis(x: Axis, { ticks, formatSize }: Panel): string {
  return ticks.map((size) => {
    const at = x(size);
    const label = formatSize(size);
    return rule(at, MARGIN.top, at, HEIGHT - MARGIN.bottom) +
      text(at, HEIGHT - MARGIN.bottom + 20, label, "text-anchor='middle'");
  }).join("");
}

/** The curves, each with its label at its right end. */
function curves(all: readonly Curve[], x: Axis, y: Axis): string {
  const ends = spread(all.map(({ points }) => y(points.at(-1)!.time)));
  let colour = 0;
  return all.map(({ label, points, reference }, i) => {
    const stroke = reference ? "#888888" : COLOURS[colour++ % COLOURS.length]!;
    const dash = reference ? ` stroke-dasharray="5 4"` : "";
    const places = points.map(({ size, time }) => [x(size), y(time)]);
    const path = places.map((place) => place.join(" ")).join(" L ");
    const dots = places.map(([cx, cy]) =>
      `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${stroke}"/>`
    ).join("");
    const [endX, endY] = places.at(-1)!;
    const labelX = WIDTH - MARGIN.right + 14;
    return `<path d="M ${path}" fill="none" stroke="${stroke}" stroke-width="1.8"${dash}/>${dots}\n` +
      `<path d="M ${endX} ${endY} L ${
        labelX - 3
      } ${ends[i]!}" stroke="${stroke}" stroke-width="0.7"/>` +
      text(labelX, ends[i]! + 4, label, `fill='${stroke}'`);
  }).join("");
}

/** Moves labels apart that would overlap, as little as possible, in their order. */
export function spread(wanted: readonly number[]): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a]! - wanted[b]!);
  const placed = [...wanted];
  const lowest = HEIGHT - MARGIN.bottom;
  let free = MARGIN.top;
  order.forEach((label, i) => {
    const below = order.length - 1 - i;
    const at = Math.min(wanted[label]!, lowest - below * LABEL_HEIGHT);
    placed[label] = Math.max(at, free);
    free = placed[label]! + LABEL_HEIGHT;
  });
  return placed;
}

function rule(x1: number, y1: number, x2: number, y2: number): string {
  return `<path d="M ${x1} ${y1} L ${x2} ${y2}" stroke="#dddddd"/>\n`;
}

function text(x: number, y: number, content: string, style: string): string {
  return `<text ${FONT} font-size="12" x="${x}" y="${round(y)}" ${style}>${
    escape(content)
  }</text>\n`;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** A tenth of a pixel is enough. */
function round(value: number): number {
  return Math.round(value * 10) / 10;
}
