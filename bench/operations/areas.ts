// SPDX-License-Identifier: GPL-2.0-only

/**
 * Many areas: what they cost to make and to drop, and what they do to the cost
 * of one more.
 *
 * @module
 */

import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IommuIoasAlloc,
  IommuIoasMap,
  IommuIoasUnmap,
} from "../../impl/uapi/iommufd.ts";
import { PAGE_SIZE } from "../../impl/uapi/mman.ts";
import { MAP_RW, U64_MAX } from "../../selftests/ioctls/ioctls.ts";
import type { Machine } from "../measuring/machine.ts";
import {
  formatBytes,
  type Operation,
  type Phase,
  type Scenario,
} from "../measuring/scenario.ts";
import { call } from "../../selftests/target/verbs.ts";
import {
  type CallStep,
  ioctl,
  OPEN_IOMMU,
  type Step,
  step,
} from "../measuring/steps.ts";
import { attachPhases } from "./map.ts";
import { domainsName, IOVA, KIB } from "./sizes.ts";

/** Numbers of areas that one more joins. */
const STANDING = [1000, 10_000, 100_000, 1_000_000];
/** Numbers of areas that come and go together. */
const COUNTS = [100, ...STANDING];
/** Above this many areas there is no measuring often. */
const SLOW = 50_000;
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
    ...FILLS.map(({ count, domains }) => oneByOne(count, domains)),
    ...FILLS.map(({ count, domains }) => chosenThenWhole(count, domains)),
    ...STANDING.map(amongFixed),
    ...STANDING.map(amongChosen),
    ...COUNTS.slice(0, 4).map((count) => attachToAll(count, PAGE_SIZE)),
    ...COUNTS.map((count) => attachToAll(count, HALF_PAGE)),
    ...COUNTS.map(closeAll),
  ];
}

/** Areas to make. */
interface Areas {
  readonly ioasId: number;
  readonly count: number;
  /** Bytes of each. */
  readonly length: number;
  /** Bytes from one to the next. */
  readonly stride: number;
  /** Address of the memory of the first one; the others follow each other. */
  readonly address: number;
}

/** Maps of areas at given places, each of memory of its own. */
function mapAreas(
  fd: number,
  { ioasId, count, length, stride, address }: Areas,
): CallStep {
  return ioctl(fd, IommuIoasMap, {
    flags: MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA,
    ioasId,
    userVa: BigInt(address),
    length: BigInt(length),
    iova: IOVA,
  }, { times: count, sweep: { userVa: length, iova: stride } });
}

/** Unmap of all areas of an IOAS in one call. */
function unmapAll(fd: number, ioasId: number): CallStep {
  const values = { ioasId, iova: 0n, length: U64_MAX };
  return ioctl(fd, IommuIoasUnmap, values);
}

function scenario(
  count: number,
  operations: Readonly<Record<string, string>>,
  prepare: (machine: Machine) => Promise<readonly Phase[]>,
  calls = 1,
): Scenario {
  const size = { value: count, unit: "areas" } as const;
  return {
    group: "areas",
    operations: Object.fromEntries(
      Object.entries(operations).map(([key, series]) => [
        key,
        { series, size, calls, pages: 0 },
      ]),
    ),
    ...count > SLOW ? { slow: true } : {},
    prepare,
  };
}

/** Maps areas at given places, and unmaps one after the other; what is timed is one call. */
function oneByOne(count: number, domains: number): Scenario {
  const what = domainsName(domains);
  return scenario(
    count,
    {
      map: `fixed IOAS_MAP until there are all, ${what}`,
      unmap: `IOAS_UNMAP one by one, ${what}`,
    },
    async (machine) => {
      const { fd } = machine.io;
      const areas = await pageAreas(machine, count, domains);
      const unmap = ioctl(fd, IommuIoasUnmap, {
        ioasId: areas.ioasId,
        iova: IOVA,
        length: BigInt(areas.length),
      }, { times: count, sweep: { iova: areas.stride } });
      return [
        { measures: "map", steps: [mapAreas(fd, areas)] },
        { measures: "unmap", steps: [unmap] },
      ];
    },
    count,
  );
}

/** Areas of a page each; they get memory if there is a domain that pins it. */
async function pageAreas(
  machine: Machine,
  count: number,
  domains: number,
): Promise<Areas> {
  const length = PAGE_SIZE;
  const address = domains > 0 ? await machine.memory(count * length) : length;
  const { ioasId } = await machine.ioas(domains);
  return { ioasId, count, length, stride: length, address };
}

/** The kernel chooses where areas go; then one call unmaps them all. */
function chosenThenWhole(count: number, domains: number): Scenario {
  const what = domainsName(domains);
  const map = `kernel-chosen IOAS_MAP until there are all, ${what}`;
  const unmap = `IOAS_UNMAP of everything, ${what}`;
  const both = scenario(count, { map, unmap }, async (machine) => {
    const { fd } = machine.io;
    const areas = await pageAreas(machine, count, domains);
    const fixed = mapAreas(fd, areas);
    const chosen = ioctl(fd, IommuIoasMap, {
      flags: MAP_RW,
      ioasId: areas.ioasId,
      userVa: BigInt(areas.address),
      length: BigInt(areas.length),
    }, { times: fixed.times, sweep: { userVa: areas.length } });
    return [
      { measures: "map", steps: [chosen] },
      { measures: "unmap", steps: [unmapAll(fd, areas.ioasId)] },
    ];
  });
  const operations = {
    ...both.operations,
    map: { ...both.operations.map!, calls: count },
  };
  return { ...both, operations };
}

/** An operation that makes areas and leaves them there, to be weighed. */
export interface Fill {
  /** The operation: a call of it makes one area. */
  readonly operation: Operation;
  /** Prepares the machine; returns the step that makes all areas. */
  prepare(machine: Machine): Promise<Step>;
}

/** Areas at given places, without domain and with one. */
export function fillScenarios(): Fill[] {
  return FILLS.map(({ count, domains }) => ({
    operation: oneByOne(count, domains).operations.map!,
    prepare: async (machine) => {
      const areas = await pageAreas(machine, count, domains);
      return mapAreas(machine.io.fd, areas);
    },
  }));
}

/** Areas that stay, with holes of a page between them. */
async function standing(machine: Machine, count: number): Promise<Areas> {
  const { ioasId } = await machine.ioas(0);
  const areas = {
    ioasId,
    count,
    length: PAGE_SIZE,
    stride: STRIDE,
    address: PAGE_SIZE,
  };
  machine.compile([mapAreas(machine.io.fd, areas)]).run();
  return areas;
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
      const { fd } = machine.io;
      const { ioasId } = await standing(machine, count);
      const every = Math.floor(count / CALLS) * STRIDE;
      const iova = IOVA + BigInt(PAGE_SIZE);
      const length = BigInt(PAGE_SIZE);
      const sweep = { iova: every };
      const map = ioctl(fd, IommuIoasMap, {
        flags: MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA,
        ioasId,
        userVa: length,
        length,
        iova,
      }, { times: CALLS, sweep });
      const unmap = ioctl(fd, IommuIoasUnmap, {
        ioasId,
        iova,
        length,
      }, { times: CALLS, sweep });
      return [
        { measures: "map", steps: [map] },
        { measures: "unmap", steps: [unmap] },
      ];
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
      const { fd } = io;
      const { ioasId, stride } = await standing(machine, count);
      // Below the first area there would be room.
      await io.mock.addReserved(ioasId, 0n, IOVA);
      const map = ioctl(fd, IommuIoasMap, {
        flags: MAP_RW,
        ioasId,
        userVa: BigInt(STRIDE),
        length: BigInt(STRIDE),
      }, { times: CALLS });
      const unmap = ioctl(fd, IommuIoasUnmap, {
        ioasId,
        iova: IOVA + BigInt(count * stride),
        length: BigInt(CALLS * STRIDE),
      });
      return [{ measures: "map", steps: [map] }, { steps: [unmap] }];
    },
    CALLS,
  );
}

/** A domain joins, and goes. */
function attachToAll(count: number, length: number): Scenario {
  return scenario(
    count,
    {
      attach: `MOCK_DOMAIN over ${formatBytes(length)} each`,
      detach: `DESTROY of a device over ${formatBytes(length)} each`,
    },
    async (machine) => {
      const address = await machine.memory(count * length);
      const { ioasId } = await machine.ioas(0);
      const areas = { ioasId, count, length, stride: length, address };
      machine.compile([mapAreas(machine.io.fd, areas)]).run();
      return attachPhases(machine, ioasId);
    },
  );
}

/** Closing the descriptor destroys the IOAS with all areas. */
function closeAll(count: number): Scenario {
  return scenario(
    count,
    { close: "close of the fd with 4 KiB each" },
    (machine) => {
      const fd = machine.io.fd + 1;
      // The first object of an iommufd has the id 1.
      const areas = {
        ioasId: 1,
        count,
        length: PAGE_SIZE,
        stride: PAGE_SIZE,
        address: PAGE_SIZE,
      };
      return Promise.resolve([
        {
          steps: [
            step(OPEN_IOMMU, fd),
            ioctl(fd, IommuIoasAlloc, {}),
            mapAreas(fd, areas),
          ],
        },
        {
          measures: "close",
          steps: [step(call("close", fd), 0)],
        },
      ]);
    },
  );
}
