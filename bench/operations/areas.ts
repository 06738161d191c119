// SPDX-License-Identifier: GPL-2.0-only

/**
 * Many areas: what they cost to make and to drop, and what they do to the cost
 * of one more.
 *
 * @module
 */

import { IommuIoasAlloc, IommuIoasUnmap } from "../../impl/uapi/iommufd.ts";
import { PAGE_SIZE } from "../../impl/uapi/mman.ts";
import { U64_MAX } from "../../selftests/ioctls/ioctls.ts";
import { areasFloor } from "../measuring/floor.ts";
import {
  alike,
  formatBytes,
  measured,
  type Phase,
  type Scenario,
} from "../measuring/scenario.ts";
import type { Setup } from "../measuring/setup.ts";
import { call } from "../../selftests/target/verbs.ts";
import { type CallStep, ioctl, OPEN_IOMMU, step } from "../measuring/steps.ts";
import { attachPhases } from "./map.ts";
import { map, mapAndUnmap, type Mapping, unmap } from "./mapping.ts";
import { domainsName, IOVA, KIB } from "./sizes.ts";

/** Numbers of areas that one more joins. */
const STANDING = [1000, 10_000, 100_000, 1_000_000];
/** Numbers of areas that come and go together. */
const COUNTS = [100, ...STANDING];
/** Above this many areas there is no measuring often. */
const SLOW = 50_000;
/** With this many areas a target is timed, where one call goes over all of them. */
const ON_TARGETS = 100_000;
/** Calls that are timed among areas that stay. */
const CALLS = 256;
/** Areas that stay have a hole of a page between them. */
const STRIDE = 2 * PAGE_SIZE;
/** 1,000,000 areas of this many bytes, and no more, fit into what a mock domain can map. */
const HALF_PAGE = 2 * KIB;

/** Areas of a page with and without domain. A mock domain has no room for the most. */
const FILLS = [
  ...COUNTS.map((count) => ({ count, domains: 0 })),
  ...COUNTS.slice(0, 4).map((count) => ({ count, domains: 1 })),
];

/** The group. */
export function areaScenarios(): Scenario[] {
  return [
    ...FILLS.map(({ count, domains }) => thenWhole(count, domains)),
    ...FILLS.map(({ count, domains }) => oneByOne(count, domains)),
    ...FILLS.map(({ count, domains }) => chosen(count, domains)),
    ...STANDING.map(amongFixed),
    ...STANDING.map(amongChosen),
    ...COUNTS.slice(0, 4).map((count) => attachToAll(count, PAGE_SIZE)),
    ...COUNTS.map((count) => attachToAll(count, HALF_PAGE)),
    ...COUNTS.map(closeAll),
  ];
}

/** Maps of areas `stride` bytes of IOVA apart, each of memory of its own, which follows that of the one before. */
function mapAreas(
  fd: number,
  first: Mapping,
  times: number,
  stride: number = first.length,
): CallStep {
  return map(fd, first, {
    times,
    sweep: { userVa: first.length, iova: stride },
  });
}

function scenario(
  count: number,
  series: Readonly<Record<string, string>>,
  prepare: (machine: Setup) => readonly Phase[] | Promise<readonly Phase[]>,
  calls = 1,
): Scenario {
  const size = { value: count, unit: "areas" } as const;
  return {
    group: "areas",
    operations: alike(series, { size, calls, pages: 0 }),
    ...count > SLOW ? { slow: true } : {},
    prepare,
  };
}

/** Areas at given places are unmapped one after the other; what is timed is one call. */
function oneByOne(count: number, domains: number): Scenario {
  return scenario(
    count,
    { unmap: `IOAS_UNMAP one by one, ${domainsName(domains)}` },
    async (machine) => {
      const first = await firstPage(machine, count, domains);
      const sweep = { userVa: PAGE_SIZE, iova: PAGE_SIZE };
      const all = mapAndUnmap(machine.io.fd, first, count, sweep);
      return [{ steps: [all.map] }, measured("unmap", all.unmap)];
    },
    count,
  );
}

/** The first of areas of a page each; they get memory if there is a domain that pins it. */
async function firstPage(
  machine: Setup,
  count: number,
  domains: number,
): Promise<Mapping> {
  const length = PAGE_SIZE;
  const userVa = domains > 0 ? await machine.memory(count * length) : length;
  const { ioasId } = await machine.ioas(domains);
  return { ioasId, userVa, length, iova: IOVA };
}

/** Areas are mapped at given places; then one call unmaps them all. */
function thenWhole(count: number, domains: number): Scenario {
  const what = domainsName(domains);
  const both = scenario(
    count,
    {
      map: `fixed IOAS_MAP until there are all, ${what}`,
      unmap: `IOAS_UNMAP of everything, ${what}`,
    },
    async (machine) => {
      const first = await firstPage(machine, count, domains);
      const { fd } = machine.io;
      return [
        measured("map", mapAreas(fd, first, count)),
        measured("unmap", unmapAll(fd, first.ioasId)),
      ];
    },
  );
  const { operations } = both;
  return {
    ...both,
    operations: { ...operations, map: { ...operations.map!, calls: count } },
    onTargets: count === ON_TARGETS,
    floor: () => ({ unmap: areasFloor(count, domains).drop }),
  };
}

/** The kernel chooses where areas go; Linux looks at all that are there already. */
function chosen(count: number, domains: number): Scenario {
  return scenario(
    count,
    {
      map: `kernel-chosen IOAS_MAP until there are all, ${
        domainsName(domains)
      }`,
    },
    async (machine) => {
      const { fd } = machine.io;
      const first = await firstPage(machine, count, domains);
      const { ioasId, userVa, length } = first;
      const all = map(fd, { ioasId, userVa, length }, {
        times: count,
        sweep: { userVa: length },
      });
      return [measured("map", all), { steps: [unmapAll(fd, ioasId)] }];
    },
    count,
  );
}

function unmapAll(fd: number, ioasId: number): CallStep {
  return ioctl(fd, IommuIoasUnmap, { ioasId, iova: 0n, length: U64_MAX });
}

/** Areas at given places, without domain and with one: the first phase makes them. */
export function fillScenarios(): Scenario[] {
  return FILLS.map(({ count, domains }) => thenWhole(count, domains));
}

/** Areas that stay, with holes of a page between them; returns their IOAS. */
async function standing(machine: Setup, count: number): Promise<number> {
  const first = await firstPage(machine, count, 0);
  const areas = mapAreas(machine.io.fd, first, count, STRIDE);
  await machine.run([areas]);
  return first.ioasId;
}

/** One more area between those that are there. */
function amongFixed(count: number): Scenario {
  return scenario(
    count,
    {
      map: "one more fixed IOAS_MAP among",
      unmap: "IOAS_UNMAP of it among",
    },
    async (machine) => {
      const length = PAGE_SIZE;
      const more = {
        ioasId: await standing(machine, count),
        userVa: length,
        length,
        iova: IOVA + BigInt(length),
      };
      const sweep = { iova: Math.floor(count / CALLS) * STRIDE };
      const both = mapAndUnmap(machine.io.fd, more, CALLS, sweep);
      return [measured("map", both.map), measured("unmap", both.unmap)];
    },
    CALLS,
  );
}

/** One more area for which all holes are too small: Linux looks at each of them. */
function amongChosen(count: number): Scenario {
  return scenario(
    count,
    { map: "one more kernel-chosen IOAS_MAP, behind" },
    async (machine) => {
      const { io } = machine;
      const ioasId = await standing(machine, count);
      // Below the first area there would be room.
      await io.mock.addReserved(ioasId, 0n, IOVA);
      const more = { ioasId, userVa: STRIDE, length: STRIDE };
      const all = {
        ioasId,
        iova: IOVA + BigInt(count * STRIDE),
        length: CALLS * STRIDE,
      };
      return [
        measured("map", map(io.fd, more, { times: CALLS })),
        { steps: [unmap(io.fd, all)] },
      ];
    },
    CALLS,
  );
}

/** A domain joins, and goes. */
function attachToAll(count: number, length: number): Scenario {
  const both = scenario(
    count,
    {
      attach: `MOCK_DOMAIN over ${formatBytes(length)} each`,
      detach: `DESTROY of a device over ${formatBytes(length)} each`,
    },
    async (machine) => {
      const userVa = await machine.memory(count * length);
      const { ioasId } = await machine.ioas(0);
      const first = { ioasId, userVa, length, iova: IOVA };
      await machine.run([mapAreas(machine.io.fd, first, count)]);
      return attachPhases(machine, ioasId);
    },
  );
  return {
    ...both,
    onTargets: count === ON_TARGETS && length === PAGE_SIZE,
    floor() {
      const { fill, empty } = areasFloor(count, 1);
      return { attach: fill, detach: empty };
    },
  };
}

/** Closing the descriptor destroys the IOAS with all areas. */
function closeAll(count: number): Scenario {
  const closing = scenario(
    count,
    { close: "close of the fd with 4 KiB each" },
    (machine) => {
      const fd = machine.io.fd + 1;
      // The first object of an iommufd has the id 1.
      const first = {
        ioasId: 1,
        userVa: PAGE_SIZE,
        length: PAGE_SIZE,
        iova: IOVA,
      };
      const fill = mapAreas(fd, first, count);
      const alloc = ioctl(fd, IommuIoasAlloc, {});
      return [
        { steps: [step(OPEN_IOMMU, fd), alloc, fill] },
        measured("close", step(call("close", fd), 0)),
      ];
    },
  );
  return {
    ...closing,
    onTargets: count === ON_TARGETS,
    floor: () => ({ close: areasFloor(count, 0).drop }),
  };
}
