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
import type { Phase, Scenario } from "../measuring/scenario.ts";
import type { Setup } from "../measuring/setup.ts";
import { ioctl, type Step } from "../measuring/steps.ts";

/** Calls in a phase: enough for the clock. */
const CALLS = 1000;
/** A number of iommufd's that it gives to no ioctl. */
const UNKNOWN_IOCTL = 0x3bff;

const OPTION = { optionId: IOMMU_OPTION_RLIMIT_MODE, op: IOMMU_OPTION_OP_GET };

/** The group. */
export function systemCallScenarios(): Scenario[] {
  return [
    single("close of a bad descriptor (EBADF)", () => ({
      call: "close",
      fd: -1,
      times: CALLS,
      ret: -EBADF.code,
    })),
    single("ioctl that does not exist (ENOTTY)", ({ io }) => ({
      call: "ioctlArg",
      fd: io.fd,
      cmd: UNKNOWN_IOCTL,
      arg: 0,
      times: CALLS,
      ret: -ENOTTY.code,
    })),
    single(
      "ioctl that fails at once (EOPNOTSUPP)",
      ({ io }) =>
        ioctl(io.fd, IOMMU_IOAS_MAP, IommuIoasMap, { flags: ~0 }, {
          times: CALLS,
          ret: -EOPNOTSUPP.code,
        }),
    ),
    single(
      "ioctl that fails at once, the struct in memory already",
      async ({ io }) => {
        await io.process.poke(io.scratch, IommuIoasMap.encode({ flags: ~0 }));
        return {
          call: "ioctlArg",
          fd: io.fd,
          cmd: IOMMU_IOAS_MAP,
          arg: io.scratch,
          times: CALLS,
          ret: -EOPNOTSUPP.code,
        };
      },
    ),
    single(
      "OPTION get",
      ({ io }) =>
        ioctl(io.fd, IOMMU_OPTION, IommuOption, OPTION, { times: CALLS }),
    ),
    single("OPTION get, the struct in memory already", async ({ io }) => {
      await io.process.poke(io.scratch, IommuOption.encode(OPTION));
      return {
        call: "ioctlArg",
        fd: io.fd,
        cmd: IOMMU_OPTION,
        arg: io.scratch,
        times: CALLS,
        ret: 0,
      };
    }),
  ];
}

/** A scenario that repeats one call. */
function single(
  series: string,
  step: (machine: Setup) => Step | Promise<Step>,
): Scenario {
  return {
    group: "system calls",
    operations: { call: { series, calls: CALLS, pages: 0 } },
    async prepare(machine): Promise<Phase[]> {
      return [{ measures: "call", steps: [await step(machine)] }];
    },
  };
}
