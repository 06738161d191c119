// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mapping and unmapping memory, and a domain that joins what is mapped.
 *
 * @module
 */

import { IommuDestroy } from "../../impl/uapi/iommufd.ts";
import { TestMockDomain } from "../../impl/uapi/selftest.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../impl/uapi/mman.ts";
import { mapFloor } from "../measuring/floor.ts";
import {
  alike,
  type Floor,
  measured,
  type Phase,
  type Scenario,
} from "../measuring/scenario.ts";
import type { Setup } from "../measuring/setup.ts";
import { ioctl, type Step, testIoctl } from "../measuring/steps.ts";
import { mapAndUnmap } from "./mapping.ts";
import { callsOf, domainsName, IOVA, LENGTHS, pagesOf } from "./sizes.ts";

/** What lies behind the addresses. */
export type MemoryKind = "4 KiB pages" | "scattered 4 KiB pages" | "huge pages";

const KINDS: readonly MemoryKind[] = [
  "4 KiB pages",
  "scattered 4 KiB pages",
  "huge pages",
];

/** Decides where scattered frames lie. */
export const SCATTERED = { scattered: 1 } as const;

/** Which memory, and how much of it. */
export interface MapOptions {
  /** Its pages. */
  readonly memory: MemoryKind;
  /** Domains of the IOAS. */
  readonly domains: number;
  /** Bytes of one call. */
  readonly length: number;
  /** Calls that follow each other; default enough for the clock. */
  readonly calls?: number;
}

/** The group. */
export function mapScenarios(): Scenario[] {
  return [
    ...KINDS.flatMap((memory) =>
      [0, 1, 2].flatMap((domains) =>
        LENGTHS.map((length) => mapScenario({ memory, domains, length }))
      )
    ),
    ...[0, 1, 2].map(pairScenario),
    ...LENGTHS.map(attachScenario),
  ];
}

/** Maps all of the memory, then unmaps it. */
function mapScenario(options: MapOptions): Scenario {
  const { memory, domains, length } = options;
  const calls = callsOf(length);
  const what = `${memory}, ${domainsName(domains)}`;
  const size = { value: length, unit: "bytes" } as const;
  const pages = domains === 0 ? 0 : pagesOf(length);
  return {
    group: "map",
    operations: alike({
      map: `IOAS_MAP, ${what}`,
      unmap: `IOAS_UNMAP, ${what}`,
    }, { size, calls, pages }),
    ...memory === "scattered 4 KiB pages" ? { frameOrder: SCATTERED } : {},
    async prepare(machine) {
      const { map, unmap } = await mapSteps(machine, options);
      return [measured("map", map), measured("unmap", unmap)];
    },
    ...pages === 0 ? {} : { floor: () => mapFloors(options) },
  };
}

function mapFloors({ memory, domains, length }: MapOptions): Floor {
  return mapFloor({
    npages: callsOf(length) * pagesOf(length),
    domains,
    scattered: memory === "scattered 4 KiB pages",
    huge: memory === "huge pages",
  });
}

/** Memory, an IOAS, and the ioctls that map one into the other piece by piece. */
async function mapSteps(
  machine: Setup,
  { memory, domains, length, calls = callsOf(length) }: MapOptions,
): Promise<{ map: Step; unmap: Step }> {
  const bytes = Math.ceil(calls * length / HPAGE_SIZE) * HPAGE_SIZE;
  const userVa = await machine.memory(bytes, memory === "huge pages");
  const { ioasId } = await machine.ioas(domains);
  const first = { ioasId, userVa, length, iova: IOVA };
  const sweep = { userVa: length, iova: length };
  return mapAndUnmap(machine.io.fd, first, calls, sweep);
}

/** Maps one page and unmaps it, again and again: the pair that a driver without a cache makes. */
function pairScenario(domains: number): Scenario {
  const calls = 256;
  return {
    group: "map",
    operations: alike({
      pair: `IOAS_MAP and IOAS_UNMAP in turn, ${domainsName(domains)}`,
    }, { size: { value: PAGE_SIZE, unit: "bytes" }, calls, pages: 0 }),
    async prepare(machine) {
      const { map, unmap } = await mapSteps(machine, {
        memory: "4 KiB pages",
        domains,
        length: PAGE_SIZE,
        calls: 1,
      });
      const steps = Array.from({ length: calls }, () => [map, unmap]).flat();
      return [measured("pair", ...steps)];
    },
  };
}

/** A device with a domain is attached where one area is mapped, and goes again. */
function attachScenario(length: number): Scenario {
  const size = { value: length, unit: "bytes" } as const;
  const pages = pagesOf(length);
  return {
    group: "map",
    operations: alike({
      attach: "MOCK_DOMAIN over one area",
      detach: "DESTROY of a device over one area",
    }, { size, calls: 1, pages }),
    async prepare(machine) {
      const { io } = machine;
      const { ioasId } = await machine.ioas(0);
      const address = await machine.memory(length);
      await io.mapFixed(ioasId, address, length, IOVA);
      return attachPhases(machine, ioasId);
    },
    floor() {
      const { map, unmap } = mapFloor({ npages: pages });
      return { attach: map, detach: unmap };
    },
  };
}

/** A mock device joins an IOAS that is the only object, and is destroyed. */
export function attachPhases({ io }: Setup, ioasId: number): Phase[] {
  const attach = testIoctl(io, TestMockDomain, { id: ioasId });
  // The lowest free id.
  const detach = ioctl(io.fd, IommuDestroy, { id: ioasId + 1 });
  return [measured("attach", attach), measured("detach", detach)];
}
