// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a system call costs before it does anything.
 *
 * @module
 */

import { EBADF, ENOTTY, EOPNOTSUPP } from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_MAP,
  IOMMU_OPTION,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_RLIMIT_MODE,
  IommuIoasMap,
  IommuOption,
} from "../../impl/uapi/iommufd.ts";
import { measured, type Scenario } from "../measuring/scenario.ts";
import type { Setup } from "../measuring/setup.ts";
import { call } from "../../selftests/target/verbs.ts";
import { ioctl, type Step, step } from "../measuring/steps.ts";

/** Calls in a phase: enough for the clock. */
const CALLS = 1000;
/** A number of iommufd's that it gives to no ioctl. */
const UNKNOWN_IOCTL = 0x3bff;

const OPTION = { optionId: IOMMU_OPTION_RLIMIT_MODE, op: IOMMU_OPTION_OP_GET };

/** The group. */
export function systemCallScenarios(): Scenario[] {
  return [
    single(
      "close of a bad descriptor (EBADF)",
      () => step(call("close", -1), -EBADF.code, CALLS),
    ),
    single("ioctl that does not exist (ENOTTY)", ({ io }) => {
      const made = call("ioctlarg", io.fd, UNKNOWN_IOCTL, 0);
      return step(made, -ENOTTY.code, CALLS);
    }),
    single(
      "ioctl that fails at once (EOPNOTSUPP)",
      ({ io }) =>
        ioctl(io.fd, IommuIoasMap, { flags: ~0 }, {
          times: CALLS,
          ret: -EOPNOTSUPP.code,
        }),
    ),
    single(
      "ioctl that fails at once, the struct in memory already",
      async ({ io }) => {
        await io.process.poke(io.scratch, IommuIoasMap.encode({ flags: ~0 }));
        const made = call("ioctlarg", io.fd, IOMMU_IOAS_MAP, io.scratch);
        return step(made, -EOPNOTSUPP.code, CALLS);
      },
    ),
    single(
      "OPTION get",
      ({ io }) => ioctl(io.fd, IommuOption, OPTION, { times: CALLS }),
    ),
    single("OPTION get, the struct in memory already", async ({ io }) => {
      await io.process.poke(io.scratch, IommuOption.encode(OPTION));
      const made = call("ioctlarg", io.fd, IOMMU_OPTION, io.scratch);
      return step(made, 0, CALLS);
    }),
  ];
}

/** A scenario that repeats one call. */
function single(
  series: string,
  prepare: (machine: Setup) => Step | Promise<Step>,
): Scenario {
  return {
    group: "system calls",
    operations: { call: { series, calls: CALLS, pages: 0 } },
    async prepare(machine) {
      return [measured("call", await prepare(machine))];
    },
  };
}
