// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { reportDeviceFault } from "../../iommu/page_fault.ts";
import { Errno, errnoName } from "../../uapi/errno.ts";
import { PAGE_SIZE, POLLIN } from "../../uapi/mman.ts";
import {
  decodeFaults,
  encodeAnswers,
  FAULT_SIZE,
  FaultBench,
  type MockIds,
} from "../testing/fault_bench.ts";

/** Where a device can be attached: two HWPTs with the fault queue, and one without. */
const PLACES = 3;
const PLAIN = 2;

type Step =
  /** A device reports a request. */
  | { do: "report"; dev: number; grpid: number; last: boolean }
  /** A read of `room` records into memory that ends after `mapped` of them. */
  | { do: "read"; room: number; mapped: number }
  /** A write of answers. */
  | { do: "answer"; cookies: number[]; code: number }
  | { do: "replace"; dev: number; place: number };

interface NaiveGroup {
  dev: number;
  grpid: number;
  addrs: bigint[];
}

/** What a fault queue does, with lists only. */
class NaiveQueue {
  place = [0, 1];
  partial: { dev: number; grpid: number; addr: bigint }[] = [];
  unread: NaiveGroup[] = [];
  unanswered: (NaiveGroup | undefined)[] = [undefined];
  answers: string[] = [];
  /** 0 from an answer to cookie 0 on that came while others waited. */
  firstCookie = 1;

  report(dev: number, grpid: number, last: boolean, addr: bigint): string {
    if (this.place[dev] === PLAIN) {
      this.answers.push(`${dev}:${grpid}:1`);
      return "EINVAL";
    }
    this.partial.push({ dev, grpid, addr });
    if (!last) return "ok";
    const mine = this.partial.filter((p) => p.dev === dev && p.grpid === grpid);
    this.partial = this.partial.filter((p) => !mine.includes(p));
    this.unread.push({ dev, grpid, addrs: mine.map(({ addr }) => addr) });
    return "ok";
  }

  /** `cookie:group:address` of each record, or an errno. */
  read(room: number, mapped: number): string[] | string {
    const out: string[] = [];
    while (this.unread.length > 0) {
      const { grpid, addrs } = this.unread[0]!;
      const end = out.length + addrs.length;
      if (end > room) return out.length > 0 ? out : "EINVAL";
      if (end > mapped) return out.length > 0 ? out : "EFAULT";
      let cookie = this.firstCookie;
      while (this.unanswered[cookie] !== undefined) cookie++;
      this.unanswered[cookie] = this.unread.shift()!;
      for (const addr of addrs) out.push(`${cookie}:${grpid}:${addr}`);
    }
    return out;
  }

  answer(cookies: number[], code: number): number | string {
    let done = 0;
    for (const cookie of cookies) {
      const group = this.unanswered[cookie];
      const others = this.unanswered.some((each) => each !== undefined);
      if (code <= 1 && cookie === 0 && others) this.firstCookie = 0;
      if (code > 1 || group === undefined) return done > 0 ? done : "EINVAL";
      this.unanswered[cookie] = undefined;
      this.answers.push(`${group.dev}:${group.grpid}:${code}`);
      done += 8;
    }
    return done;
  }

  replace(dev: number, place: number): void {
    if (this.place[dev] === place) return;
    this.place[dev] = place;
    const ended = [...this.unread, ...this.unanswered]
      .filter((group) => group?.dev === dev);
    for (const group of ended) {
      this.answers.push(`${dev}:${group!.grpid}:1`);
    }
    this.unread = this.unread.filter((group) => group.dev !== dev);
    this.unanswered = this.unanswered.map((group) =>
      group?.dev === dev ? undefined : group
    );
    if (place !== PLAIN) return;
    this.partial = this.partial.filter((p) => p.dev !== dev);
  }
}

const device = fc.integer({ min: 0, max: 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("report" as const),
      dev: device,
      grpid: fc.integer({ min: 1, max: 2 }),
      last: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      room: fc.integer({ min: 0, max: 6 }),
      mapped: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("answer" as const),
      cookies: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      code: fc.constantFrom(0, 1, 0, 1, 2),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("replace" as const),
      dev: device,
      place: fc.integer({ min: 0, max: PLACES - 1 }),
    }),
  },
);

/** A machine and the naive queue, side by side. */
class Pair {
  readonly naive = new NaiveQueue();
  readonly bench = new FaultBench();
  readonly #queue = this.bench.queue();
  readonly #devices: readonly MockIds[] = [
    this.bench.device(),
    this.bench.device(),
  ];
  readonly #hwpts: readonly number[];
  /** The end of mapped memory, one page long. */
  readonly #end = this.bench.memory(1) + PAGE_SIZE;
  #addr = 0n;
  /** What happened, to know that the steps reach everything. */
  readonly seen: Set<string>;

  constructor(seen: Set<string>) {
    this.seen = seen;
    const [first] = this.#devices;
    this.#hwpts = [
      this.bench.hwpt(first!, this.#queue),
      this.bench.hwpt(first!, this.#queue),
      this.bench.hwpt(first!),
    ];
    this.bench.process.munmap(this.#end, PAGE_SIZE);
    for (const [dev, place] of this.naive.place.entries()) {
      assertEquals(this.#replace(dev, place), 0);
    }
  }

  run(step: Step): void {
    const { bench, naive } = this;
    switch (step.do) {
      case "report": {
        const { dev, grpid, last } = step;
        const addr = ++this.#addr;
        const expected = naive.report(dev, grpid, last, addr);
        assertEquals(this.#report(dev, grpid, last, addr), expected);
        break;
      }
      case "read": {
        const { room, mapped } = step;
        const expected = naive.read(room, mapped);
        assertEquals(this.#read(room, mapped), expected);
        if (typeof expected === "string") this.seen.add(`read: ${expected}`);
        break;
      }
      case "answer": {
        const { cookies, code } = step;
        const expected = naive.answer(cookies, code);
        assertEquals(this.#answer(cookies, code), expected);
        const all = expected === 8 * cookies.length;
        this.seen.add(`answer: ${all ? "all" : expected}`);
        break;
      }
      case "replace":
        naive.replace(step.dev, step.place);
        assertEquals(this.#replace(step.dev, step.place), 0);
    }
    assertEquals(bench.answers, naive.answers);
    assertEquals(
      bench.process.poll(this.#queue.fd, POLLIN) !== 0,
      naive.unread.length > 0,
    );
  }

  #replace(dev: number, place: number): number | string {
    return this.bench.replace(this.#devices[dev]!, this.#hwpts[place]!);
  }

  #report(dev: number, grpid: number, last: boolean, addr: bigint): string {
    const flags = last ? 2 : 0;
    const request = { flags, pasid: 0, grpid, perm: 0, addr };
    try {
      reportDeviceFault(this.#devices[dev]!.dev, request);
      return "ok";
    } catch (error) {
      if (error instanceof Errno) return error.name;
      throw error;
    }
  }

  #read(room: number, mapped: number): string[] | string {
    const { process } = this.bench;
    const at = this.#end - mapped * FAULT_SIZE;
    const got = process.readTo(this.#queue.fd, at, room * FAULT_SIZE);
    if (got < 0) return errnoName(got);
    return decodeFaults(process.peek(at, got)).map(({ cookie, grpid, addr }) =>
      `${cookie}:${grpid}:${addr}`
    );
  }

  #answer(cookies: readonly number[], code: number): number | string {
    const bytes = encodeAnswers(cookies.map((cookie) => ({ cookie, code })));
    const got = this.bench.process.write(this.#queue.fd, bytes);
    return got < 0 ? errnoName(got) : got;
  }
}

Deno.test("a fault queue does what a naive one does, whatever happens to it", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
      const pair = new Pair(seen);
      for (const each of steps) pair.run(each);
      pair.bench.end();
    }),
    { seed: 1, numRuns: 200 },
  );
  assertEquals([...seen].sort(), [
    "answer: 16",
    "answer: 8",
    "answer: EINVAL",
    "answer: all",
    "read: EFAULT",
    "read: EINVAL",
  ]);
});
