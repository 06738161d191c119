// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks of lines and words: batches, requests that make no sense, the end.
 *
 * @module
 */

import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_UNMAP,
  IommuDestroy,
  IommuIoasAlloc,
  IommuIoasUnmap,
} from "../../impl/uapi/iommufd.ts";
import { assertEq, assertOk } from "../../selftests/harness/harness.ts";
import { call, type Verb, VERBS } from "../../selftests/target/verbs.ts";
import { okValues } from "../protocol/channel.ts";
import {
  formatBytes,
  formatNumber,
  quoteLine,
  Words,
} from "../protocol/codec.ts";
import { mapMemory } from "../targets/probes.ts";
import { type Check, ends, refuses } from "./bench.ts";
import { badRequests, type Mistake, refusesAll, wordsFor } from "./mistakes.ts";

/** Requests of process 0. */
const BAD_ADAPTER_REQUESTS: readonly Mistake[] = [
  ["an unknown verb", "0 dance"],
  ["a process's verb", "0 vmstatus"],
  ["a process that was never there", "999999 vmstatus"],
  ["a process that is no number", "x vmstatus"],
  ["no verb", "0"],
];

/** Requests of a process, beside those that are {@link badCalls}. */
const BAD_REQUESTS: readonly Mistake[] = [
  ["an unknown verb", "dance"],
  ["a verb of the adapter", "spawn"],
  ["an empty batch", "batch"],
];

/** The same for adapters that take the time. */
const BAD_TIME_REQUESTS: readonly Mistake[] = [
  ["no repetition to time", "time 0 close 99"],
  ["no call to time", "time 1"],
  ["an argument too many to time", "time 1 close 99 ; close 99 1"],
];

/** A request to time a verb with which that cannot be done. */
function badTimed(verb: Verb): Mistake[] {
  if (verb.timed) return [];
  const request = ["time 1", verb.name, ...wordsFor(verb)].join(" ");
  return [["a verb that cannot be timed", request]];
}

/** The rules about lines. */
export const PROTOCOL_CHECKS: readonly Check[] = [
  {
    name: "batch",
    async run({ process, pageSize }) {
      const fd = assertOk(await process.open("/dev/iommu"), "open");
      const addr = await mapMemory(process, pageSize);
      const into = new Uint8Array(2);
      const results = await process.batch([
        call("poke", addr, new Uint8Array([7, 8])),
        call("ioctl", fd, IOMMU_DESTROY, IommuDestroy.encode({ id: 77 })),
        call("peek", addr, into),
      ]);
      const text = `${results.join(" ")}, ${into.join(" ")}`;
      assertEq(text, "0 -2 0, 7 8", "results of poke, ioctl and peek");
      const poke = call("poke", addr, new Uint8Array([9]));
      const alone = await process.batch([poke]);
      assertEq(alone.join(" "), "0", "result of a poke alone");
    },
  },
  {
    name: "batch: calls after a fault are made",
    async run(bench) {
      const { number } = bench.process;
      const destroy = formatBytes(IommuDestroy.encode({ id: 77 }));
      const call = `ioctl 99 ${formatNumber(IOMMU_DESTROY)} ${destroy}`;
      const reply = await bench.channel.request(
        number,
        `batch peek 0x10 1 ; ${call} ; poke 0x10 00`,
        (values) => values.rest(),
      );
      assertEq(
        reply,
        `fault ; -9 ${destroy} ; fault`,
        "reply to peek, ioctl and poke in a batch",
      );
    },
  },
  {
    name: "time",
    needs: "time",
    async run(bench) {
      const { process } = bench;
      const fd = assertOk(await process.open("/dev/iommu"), "open");
      const alloc = IommuIoasAlloc.encode();
      const made = await process.ioctl(fd, IOMMU_IOAS_ALLOC, alloc);
      assertEq(made, 0, "IOMMU_IOAS_ALLOC");
      const ioasId = IommuIoasAlloc.decode(alloc).outIoasId;
      // Writes 0 as the length, which is refused where it is not put back.
      const all = IommuIoasUnmap.encode({ ioasId, length: 2n ** 64n - 1n });
      const { results } = await process.time(3, [
        call("ioctl", fd, IOMMU_IOAS_UNMAP, all),
        call("close", 99),
      ]);
      assertEq(results.join(" "), "0 -9", "results of ioctl and close");
      const { length } = IommuIoasUnmap.decode(all);
      assertEq(length, 0n, "length that was unmapped the last time");
      const { number } = process;
      const mistakes = [...BAD_TIME_REQUESTS, ...VERBS.flatMap(badTimed)];
      await refusesAll(bench, mistakes, `${number} `);
    },
  },
  {
    name: "requests that make no sense",
    async run(bench) {
      const { number } = bench.process;
      await refusesAll(bench, BAD_ADAPTER_REQUESTS);
      const mistakes = [...BAD_REQUESTS, ...VERBS.flatMap(badRequests)];
      await refusesAll(bench, mistakes, `${number} `);
      await bench.process.vmStatus();
    },
  },
  {
    name: "lines without a sequence number",
    async run({ channel, process }) {
      for (const line of ["", "hello", "-", "x 0 spawn"]) {
        const words = new Words(await channel.exchange(line));
        const what = `reply to the line ${quoteLine(line)}`;
        assertEq(words.number(what), 0, `sequence number of the ${what}`);
        assertEq(words.word(what), "error", what);
      }
      await process.vmStatus();
    },
  },
  {
    name: "numbers in decimal and hexadecimal, lines that end with CR LF",
    async run(bench) {
      const { number } = bench.process;
      const hex = `0x${number.toString(16)}`;
      const upper = `0x00${number.toString(16).toUpperCase()}`;
      for (const word of [hex, upper, `${number}`]) {
        for (const end of ["", "\r"]) {
          const sequence = bench.channel.takeSequence();
          const line = `${sequence} ${word} poll -1 0x0`;
          const reply = await bench.channel.exchange(line + end);
          const values = okValues(reply, line, sequence);
          assertEq(values.number("the result"), 0, `result of "${line}"`);
        }
      }
    },
  },
  {
    name: "a request of a megabyte that makes no sense",
    run: (bench) => refuses(bench, `0 ${"x".repeat(1 << 20)}`),
  },
  {
    name: "requests that come before the reply to the one before",
    async run({ process }) {
      const fds = Array.from({ length: 100 }, (_, i) => -1 - i);
      const results = await Promise.all(fds.map((fd) => process.poll(fd, 0)));
      for (const [i, ret] of results.entries()) {
        assertEq(ret, 0, `poll of ${fds[i]}, one of 100 at once`);
      }
    },
  },
  {
    name: "bye",
    async run(bench) {
      await bench.channel.request(0, "bye", () => {});
      await ends(bench, "after the reply to bye");
    },
  },
  {
    name: "the end of the input",
    async run(bench) {
      await bench.channel.endInput();
      await ends(bench, "after its input ended");
    },
  },
];
