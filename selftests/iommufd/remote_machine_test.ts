// SPDX-License-Identifier: GPL-2.0-only

/**
 * The kernel's tests, and those of files of memory, on a machine whose memory is
 * not in this program's reach: what they need of memory is in
 * impl/kernel/interfaces, and nothing more.
 *
 * @module
 */

import { RemoteMachine } from "../../impl/kernel/testing/remote/machine.ts";
import { NEWEST } from "../../impl/uapi/revision.ts";
import { denoTestsOn } from "../testing/deno_tests.ts";

await denoTestsOn(
  [
    "iommufd",
    "iommufd_ioas",
    "iommufd_mock_domain",
    "vfio_compat_mock_domain",
    "basic_fail_nth",
    "change_process",
    "kit_files",
    "kit_names",
    "kit_seals",
    "kit_holes",
    "kit_passing",
    "kit_exec",
  ],
  NEWEST,
  `${NEWEST}, remote memory`,
  { machine: () => new RemoteMachine() },
);
