// SPDX-License-Identifier: GPL-2.0-only

/**
 * Accesses: IOVA used by software instead of a device.
 *
 * @module
 */

import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
  MOCK_FLAGS_ACCESS_WRITE,
  TestAccessPages,
  TestAccessRw,
  TestCreateAccess,
  TestDestroyAccessPages,
} from "../../impl/uapi/selftest.ts";
import { accessFloor, rwFloor } from "../measuring/floor.ts";
import { alike, measured, type Scenario } from "../measuring/scenario.ts";
import { call } from "../../selftests/target/verbs.ts";
import { step, testIoctl } from "../measuring/steps.ts";
import { callsOf, domainsName, IOVA, KIB, MIB, pagesOf } from "./sizes.ts";

/** Lengths to pin; the test operation takes no more than 16 MiB. */
const PIN_LENGTHS = [4 * KIB, 256 * KIB, 2 * MIB, 16 * MIB];
/** Lengths to copy. */
const RW_LENGTHS = [8, 4 * KIB, 64 * KIB, MIB];
/** Copies in a phase. */
const RW_CALLS = 64;
/** Bytes that are mapped. */
const MAPPED = 16 * MIB;

const RW_WAYS: Readonly<Record<string, number>> = {
  "read": 0,
  "write": MOCK_ACCESS_RW_WRITE,
  "read, slow path": MOCK_ACCESS_RW_SLOW_PATH,
  "write, slow path": MOCK_ACCESS_RW_WRITE | MOCK_ACCESS_RW_SLOW_PATH,
};

/** The group. */
export function accessScenarios(): Scenario[] {
  return [
    ...[0, 1].flatMap((domains) =>
      PIN_LENGTHS.map((length) => pinScenario(domains, length))
    ),
    ...Object.entries(RW_WAYS).flatMap(([name, flags]) =>
      RW_LENGTHS.map((length) => rwScenario(name, flags, length))
    ),
  ];
}

/** Pins range after range, then unpins them in the same order. */
function pinScenario(domains: number, length: number): Scenario {
  const calls = callsOf(length);
  const pages = pagesOf(length);
  const size = { value: length, unit: "bytes" } as const;
  const what = domainsName(domains);
  return {
    group: "access",
    operations: alike({
      pin: `access pin, ${what}`,
      unpin: `access unpin, ${what}`,
    }, { size, calls, pages }),
    async prepare(machine) {
      const { io } = machine;
      const address = await machine.memory(MAPPED);
      const { ioasId } = await machine.ioas(domains);
      await io.mapFixed(ioasId, address, MAPPED, IOVA);
      // A new access each round, so that the numbers of what it pins start from 0.
      const access = io.fd + 1;
      const create = testIoctl(io, TestCreateAccess, {
        id: ioasId,
        flags: MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
      });
      const pin = testIoctl(io, TestAccessPages, {
        id: access,
        flags: MOCK_FLAGS_ACCESS_WRITE,
        iova: IOVA,
        length: BigInt(length),
      }, { times: calls, sweep: { iova: length } });
      const unpin = testIoctl(io, TestDestroyAccessPages, { id: access }, {
        times: calls,
        sweep: { accessPagesId: 1 },
      });
      return [
        { steps: [create] },
        measured("pin", pin),
        measured("unpin", unpin),
        { steps: [step(call("close", access), 0)] },
      ];
    },
    floor: () => accessFloor({ npages: calls * pages, domains }),
  };
}

/** Copies the same bytes again and again. */
function rwScenario(name: string, flags: number, length: number): Scenario {
  const pages = Math.floor(pagesOf(length) * Math.min(1, length / (4 * KIB)));
  return {
    group: "access",
    operations: alike({ rw: `access rw, ${name}` }, {
      size: { value: length, unit: "bytes" },
      calls: RW_CALLS,
      pages,
    }),
    async prepare(machine) {
      const { io } = machine;
      const address = await machine.memory(MAPPED);
      const buffer = await machine.memory(length);
      const { ioasId } = await machine.ioas(1);
      await io.mapFixed(ioasId, address, MAPPED, IOVA);
      const access = await io.mock.createAccess(ioasId, false);
      const rw = testIoctl(io, TestAccessRw, {
        id: access,
        iova: IOVA,
        length: BigInt(length),
        uptr: BigInt(buffer),
        flags,
      }, { times: RW_CALLS });
      return [measured("rw", rw)];
    },
    ...pages === 0 ? {} : { floor: () => ({ rw: rwFloor(length, RW_CALLS) }) },
  };
}
