// SPDX-License-Identifier: GPL-2.0-only

/**
 * Allocating and destroying objects.
 *
 * @module
 */

import {
  IommuDestroy,
  IommuHwptAlloc,
  IommuIoasAlloc,
} from "../../impl/uapi/iommufd.ts";
import { TestMockDomain } from "../../impl/uapi/selftest.ts";
import { alike, measured, type Scenario } from "../measuring/scenario.ts";
import type { Setup } from "../measuring/setup.ts";
import { call } from "../../selftests/target/verbs.ts";
import {
  ioctl,
  OPEN_IOMMU,
  type Step,
  step,
  testIoctl,
} from "../measuring/steps.ts";

/** Objects of a phase. */
const CALLS = 100;

/** The group. */
export function objectScenarios(): Scenario[] {
  return [open(), ioas(), hwpt(), device()];
}

function open(): Scenario {
  return {
    group: "objects",
    operations: { open: { series: "open and close", calls: 1, pages: 0 } },
    prepare({ io }) {
      const fd = io.fd + 1;
      const close = step(call("close", fd), 0);
      return [measured("open", step(OPEN_IOMMU, fd), close)];
    },
  };
}

function ioas(): Scenario {
  return objectsInTurn("objects", "IOAS_ALLOC", ({ io }, times) => ({
    step: ioctl(io.fd, IommuIoasAlloc, {}, { times }),
    firstId: 1,
    stride: 1,
  }));
}

function hwpt(): Scenario {
  return objectsInTurn("objects", "HWPT_ALLOC", async (machine, times) => {
    const { io } = machine;
    const { ioasId, idevId } = await machine.ioas(1);
    const values = { devId: idevId, ptId: ioasId };
    const step = ioctl(io.fd, IommuHwptAlloc, values, { times });
    // After the IOAS, the device's two objects and its HWPT.
    return { step, firstId: ioasId + 4, stride: 1 };
  });
}

/** A mock device makes an object for itself and one for what it is bound to; the HWPT is shared. */
function device(): Scenario {
  return objectsInTurn("objects", "MOCK_DOMAIN", async (machine, times) => {
    const { io } = machine;
    const { ioasId } = await machine.ioas(1);
    const values = { id: ioasId };
    const step = testIoctl(io, TestMockDomain, values, { times });
    return { step, firstId: ioasId + 4, stride: 2 };
  });
}

/** Ids are the lowest free ones, so they are the same in each round. */
export interface Objects {
  /** Makes all of them. */
  readonly step: Step;
  /** The id of the first. */
  readonly firstId: number;
  /** From one id to the next. */
  readonly stride: number;
}

/** A scenario that makes objects, as many as it is told, and destroys them, oldest first. */
export function objectsInTurn(
  group: string,
  name: string,
  make: (machine: Setup, times: number) => Objects | Promise<Objects>,
): Scenario {
  return {
    group,
    operations: alike({
      alloc: name,
      destroy: `DESTROY after ${name}`,
    }, { calls: CALLS, pages: 0 }),
    async prepare(machine) {
      const { step, firstId, stride } = await make(machine, CALLS);
      const destroy = ioctl(machine.io.fd, IommuDestroy, { id: firstId }, {
        times: CALLS,
        sweep: { id: stride },
      });
      return [measured("alloc", step), measured("destroy", destroy)];
    },
  };
}
