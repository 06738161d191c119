// SPDX-License-Identifier: GPL-2.0-only

/**
 * The rings of descriptors of an 82576: frames to be sent, and buffers for
 * those that are received.
 *
 * Linux: drivers/net/ethernet/intel/igb/e1000_82575.h.
 *
 * @module
 */

import { numberOf, store } from "../../bytes.ts";
import { type Dma, DmaFault } from "../../../iommu/hardware/dma.ts";

/** Bytes of a descriptor. */
const DESCRIPTOR = 16;
/** The longest ring, bytes. */
const RING_MAX = 2 ** 16;
/** Descriptors that are fetched at once. */
const FETCHED = 64;
/** The longest frame. */
const FRAME_MAX = 16 * 1024;
/** Bytes of a buffer, unless the queue says another number. */
const BUFFER = 2048;
/** What a descriptor to be sent says: the frame ends, it is reported, and which kind it is. */
const SEND = {
  end: 1 << 24,
  report: 1 << 27,
  isAdvanced: 1 << 29,
  kind: 0xf << 20,
  context: 2 << 20,
};
/** Status in a descriptor that is written back: done, and the end of a frame. */
const DONE = 1;
const END = 2;

/** Where a ring is, and between which descriptors it is the device's. */
export interface Ring {
  /** IOVA. */
  readonly base: number;
  /** Bytes. */
  readonly length: number;
  /** The first descriptor that is the device's. */
  readonly head: number;
  /** The one behind the last. */
  readonly tail: number;
}

/** Descriptors of a ring of so many bytes. */
function countOf({ length }: Ring): number {
  return Math.floor(Math.min(length, RING_MAX) / DESCRIPTOR);
}

/** Frames, and their bytes. */
export interface Traffic {
  frames: number;
  bytes: number;
}

/** What came of sending. */
export interface Sent {
  /** The next descriptor that would be sent. */
  readonly head: number;
  /** Whether one was to be reported. */
  readonly reported: boolean;
  /** What was sent. */
  readonly sent: Traffic;
}

/**
 * Sends what is in a ring: each frame that can be fetched is given to `take`.
 * One whose memory cannot be reached is dropped: nothing is written back for
 * it, nor for one that `take` cannot reach memory for.
 */
export function send(
  dma: Dma,
  ring: Ring,
  take: (frame: Uint8Array) => void,
): Sent {
  const count = countOf(ring);
  const sender = new Sender(dma, take);
  const { sent } = sender;
  let { head } = ring;
  let reported = false;
  if (ring.tail >= count || head >= count) return { head, reported, sent };
  while (head !== ring.tail) {
    const end = head < ring.tail ? ring.tail : count;
    const length = Math.min(end - head, FETCHED);
    if (sender.send(ring.base + head * DESCRIPTOR, length)) reported = true;
    head = (head + length) % count;
  }
  return { head, reported, sent };
}

/** Puts frames together, of which each can be in several buffers. */
class Sender {
  readonly #dma: Dma;
  readonly #take: (frame: Uint8Array) => void;
  readonly #frame = new Uint8Array(FRAME_MAX);
  #length = 0;
  #isLost = false;
  /** What was sent. */
  readonly sent: Traffic = { frames: 0, bytes: 0 };

  constructor(dma: Dma, take: (frame: Uint8Array) => void) {
    this.#dma = dma;
    this.#take = take;
  }

  /** Sends descriptors that lie behind each other; returns whether one was reported. */
  send(at: number, count: number): boolean {
    const descriptors = new Uint8Array(count * DESCRIPTOR);
    if (!reaches(() => this.#dma.read(at, descriptors))) return false;
    let reported = false;
    for (let i = 0; i < descriptors.length; i += DESCRIPTOR) {
      const descriptor = descriptors.subarray(i, i + DESCRIPTOR);
      const command = numberOf(descriptor, 8, 4);
      const isContext = (command & SEND.isAdvanced) !== 0 &&
        (command & SEND.kind) === SEND.context;
      const isSent = isContext || this.#add(descriptor, command);
      if (!isSent || (command & SEND.report) === 0) continue;
      store(descriptor, 12, 4, numberOf(descriptor, 12, 4) | DONE);
      const status = descriptor.subarray(12);
      if (reaches(() => this.#dma.write(at + i + 12, status))) reported = true;
    }
    return reported;
  }

  /** Adds a buffer; with the last one the frame is sent. Returns whether that is well so far. */
  #add(descriptor: Uint8Array, command: number): boolean {
    const length = command & 0xffff;
    const to = this.#frame.subarray(this.#length, this.#length + length);
    const from = numberOf(descriptor, 0, 8);
    const isHere = to.length === length &&
      reaches(() => this.#dma.read(from, to));
    if (isHere) this.#length += length;
    else this.#isLost = true;
    if ((command & SEND.end) === 0) return !this.#isLost;
    const frame = this.#frame.subarray(0, this.#length);
    const isSent = !this.#isLost && reaches(() => this.#take(frame));
    if (isSent) add(this.sent, frame);
    this.#length = 0;
    this.#isLost = false;
    return isSent;
  }
}

/** Puts frames into the buffers of a ring; descriptors are fetched and written back in runs. */
export class Receiver {
  readonly #dma: Dma;
  readonly #ring: Ring;
  readonly #count: number;
  readonly #buffer: number;
  /** The ring's descriptors, of which some were fetched. */
  #descriptors = new Uint8Array(0);
  /** How many were fetched, from the head on that there was at first. */
  #fetched = 0;
  /** The next descriptor. */
  head: number;
  /** What was received. */
  readonly received: Traffic = { frames: 0, bytes: 0 };
  /** Frames that there was no buffer for. */
  missed = 0;

  /** Of `buffer` bytes each; 0 stands for what is usual. */
  constructor(dma: Dma, ring: Ring, buffer: number) {
    this.#dma = dma;
    this.#ring = ring;
    this.#count = countOf(ring);
    this.#buffer = buffer === 0 ? BUFFER : buffer;
    this.head = ring.head;
  }

  /** Takes a frame in, in several buffers if it is long. Throws {@link DmaFault}. */
  take(frame: Uint8Array): void {
    const needed = Math.max(1, Math.ceil(frame.length / this.#buffer));
    if (this.#free < needed) {
      this.missed++;
      return;
    }
    const filled: { to: Uint8Array; length: number }[] = [];
    for (let i = 0; i < needed; i++) {
      const from = i * this.#buffer;
      const part = frame.subarray(from, from + this.#buffer);
      const to = this.#descriptor((this.head + i) % this.#count);
      this.#dma.write(numberOf(to, 0, 8), part);
      filled.push({ to, length: part.length });
    }
    for (const [i, { to, length }] of filled.entries()) {
      to.fill(0);
      store(to, 8, 4, i === needed - 1 ? DONE | END : DONE);
      store(to, 12, 2, length);
    }
    this.head = (this.head + needed) % this.#count;
    add(this.received, frame);
  }

  /** Writes back what was filled. */
  flush(): void {
    const { head } = this;
    const first = this.#ring.head;
    if (head < first) {
      this.#writeBack(first, this.#count);
      this.#writeBack(0, head);
    } else this.#writeBack(first, head);
  }

  #writeBack(from: number, end: number): void {
    if (from === end) return;
    const at = this.#ring.base + from * DESCRIPTOR;
    const filled = this.#descriptors
      .subarray(from * DESCRIPTOR, end * DESCRIPTOR);
    reaches(() => this.#dma.write(at, filled));
  }

  /** A descriptor from the head on, which is fetched with some behind it. */
  #descriptor(index: number): Uint8Array {
    const count = this.#count;
    if (this.#fetched === 0) {
      this.#descriptors = new Uint8Array(count * DESCRIPTOR);
    }
    const { base, head } = this.#ring;
    while ((index - head + count) % count >= this.#fetched) {
      const from = (head + this.#fetched) % count;
      const most = count - Math.max(from, this.#fetched);
      const length = Math.min(FETCHED, most);
      const at = from * DESCRIPTOR;
      const to = this.#descriptors.subarray(at, at + length * DESCRIPTOR);
      this.#dma.read(base + at, to);
      this.#fetched += length;
    }
    return this.#descriptors
      .subarray(index * DESCRIPTOR, (index + 1) * DESCRIPTOR);
  }

  /** Descriptors that are the device's. */
  get #free(): number {
    const { head } = this;
    const { tail } = this.#ring;
    const count = this.#count;
    return head >= count || tail >= count ? 0 : (tail - head + count) % count;
  }
}

function add(to: Traffic, frame: Uint8Array): void {
  to.frames++;
  to.bytes += frame.length;
}

/** Whether memory was reached. */
function reaches(move: () => void): boolean {
  try {
    move();
    return true;
  } catch (error) {
    if (!(error instanceof DmaFault)) throw error;
    return false;
  }
}
