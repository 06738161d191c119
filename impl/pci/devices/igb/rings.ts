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
import { type Dma, DmaFault } from "../../dma.ts";

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

/** Puts frames into the buffers of a ring. */
export class Receiver {
  readonly #dma: Dma;
  readonly #ring: Ring;
  readonly #count: number;
  readonly #buffer: number;
  readonly #descriptor = new Uint8Array(DESCRIPTOR);
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
    let { head } = this;
    for (let i = 1; i <= needed; i++) {
      const from = (i - 1) * this.#buffer;
      const part = frame.subarray(from, from + this.#buffer);
      this.#fill(head, part, i === needed);
      head = (head + 1) % this.#count;
    }
    this.head = head;
    add(this.received, frame);
  }

  /** Descriptors that are the device's. */
  get #free(): number {
    const { head } = this;
    const { tail } = this.#ring;
    const count = this.#count;
    return head >= count || tail >= count ? 0 : (tail - head + count) % count;
  }

  #fill(head: number, part: Uint8Array, isLast: boolean): void {
    const at = this.#ring.base + head * DESCRIPTOR;
    const descriptor = this.#descriptor;
    this.#dma.read(at, descriptor);
    this.#dma.write(numberOf(descriptor, 0, 8), part);
    descriptor.fill(0);
    store(descriptor, 8, 4, isLast ? DONE | END : DONE);
    store(descriptor, 12, 2, part.length);
    this.#dma.write(at, descriptor);
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
