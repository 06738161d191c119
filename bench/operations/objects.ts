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
  return pair("IOAS_ALLOC", ({ io }) => ({
    step: ioctl(io.fd, IommuIoasAlloc, {}, { times: CALLS }),
    firstId: 1,
    stride: 1,
  }));
}

function hwpt(): Scenario {
  return pair("HWPT_ALLOC", async (machine) => {
    const { io } = machine;
    const { ioasId, idevId } = await machine.ioas(1);
    const values = { devId: idevId, ptId: ioasId };
    const step = ioctl(io.fd, IommuHwptAlloc, values, { times: CALLS });
    // After the IOAS, the device's two objects and its HWPT.
    return { step, firstId: ioasId + 4, stride: 1 };
  });
}

/** A mock device makes an object for itself and one for what it is bound to; the HWPT is shared. */
function device(): Scenario {
  return pair("MOCK_DOMAIN", async (machine) => {
    const { io } = machine;
    const { ioasId } = await machine.ioas(1);
    const values = { id: ioasId };
    const step = testIoctl(io, TestMockDomain, values, { times: CALLS });
    return { step, firstId: ioasId + 4, stride: 2 };
  });
}

/** Ids are the lowest free ones, so they are the same in each round. */
interface Objects {
  readonly step: Step;
  readonly firstId: number;
  readonly stride: number;
}

/** A scenario that makes objects and destroys them, oldest first. */
function pair(
  name: string,
  make: (machine: Setup) => Objects | Promise<Objects>,
): Scenario {
  return {
    group: "objects",
    operations: alike({
      alloc: name,
      destroy: `DESTROY after ${name}`,
    }, { calls: CALLS, pages: 0 }),
    async prepare(machine) {
      const { step, firstId, stride } = await make(machine);
      const destroy = ioctl(machine.io.fd, IommuDestroy, { id: firstId }, {
        times: CALLS,
        sweep: { id: stride },
      });
      return [measured("alloc", step), measured("destroy", destroy)];
    },
  };
}
