// SPDX-License-Identifier: GPL-2.0-only

/**
 * Bugs of Linux that the model does not have. A test of the right behaviour
 * names one (`knownBug`) and is not applicable where it is: on a target with
 * the capability {@link LINUX}, in the versions that have it. The program that
 * shows each is in conformance/known_bugs.
 *
 * @module
 */

import {
  existsIn,
  type Lifetime,
  type Version,
} from "../../impl/uapi/revision/versions.ts";
import type { TargetInfo } from "../target/target.ts";

/** The capability of a target that is Linux itself, and so has its bugs. */
export const LINUX = "linux";

/** A bug of Linux; it is there in its lifetime. */
export interface BugOfLinux extends Lifetime {
  readonly since: Version;
  /** Where it is, and what Linux does. */
  readonly linux: string;
  /** What the model does. */
  readonly right: string;
}

/** The bugs, by the names that tests give. */
export const KNOWN_BUGS = {
  unlocks_dead_owner: {
    since: "6.2",
    linux:
      "pages.c do_update_pinned: in RLIMIT_MODE 1 the last unmap of memory whose process has exited unlocks a lock it did not take, and hangs for ever",
    right: "the unmap succeeds",
  },
  warns_of_wrapped_length: {
    since: "6.2",
    linux:
      "io_pagetable.c iopt_insert_area: warns of a fixed map so long that the number of its pages wraps",
    right: "the map is EOVERFLOW without a warning",
  },
  replace_drops_reserved: {
    since: "6.6",
    linux:
      "device.c iommufd_device_do_replace: a replace that fails between two HWPTs of the same IOAS gives up what the group's devices reserve, although they stay attached",
    right: "the ranges stay reserved",
  },
  drops_dmabuf_descriptor: {
    since: "7.3",
    linux:
      "selftest.c iommufd_test_dmabuf_get: returns 0 instead of the descriptor that it made, which nobody gets to know",
    right:
      "the operation returns the descriptor; the kernel of linux-vm: is mended",
  },
} as const satisfies Readonly<Record<string, BugOfLinux>>;

/** The name of a bug of Linux. */
export type KnownBug = keyof typeof KNOWN_BUGS;

/** Whether a target has a bug. */
export function hasBug(
  { uapi, capabilities }: Pick<TargetInfo, "uapi" | "capabilities">,
  bug: KnownBug,
): boolean {
  return capabilities.includes(LINUX) &&
    existsIn(uapi as Version, KNOWN_BUGS[bug]);
}
