// SPDX-License-Identifier: GPL-2.0-only

/**
 * Bugs of Linux that the model does not have. A test of the right behaviour
 * names one (`knownBug`) and is not applicable where it is: on a target with
 * the capability {@link LINUX}.
 *
 * @module
 */

/** The capability of a target that is Linux itself, and so has its bugs. */
export const LINUX = "linux";

/** What Linux does, and where, by the name that a test gives. */
export const KNOWN_BUGS = {
  unlocks_dead_owner:
    "pages.c do_update_pinned: in RLIMIT_MODE 1 the last unmap of memory whose process has exited unlocks a lock it did not take, and hangs for ever",
  warns_of_wrapped_length:
    "io_pagetable.c iopt_insert_area: warns of a fixed map so long that the number of its pages wraps",
  keeps_device_with_pasid:
    "selftest.c iommufd_selftest_destroy: a device that is destroyed with a PASID attached is never freed, nor what it is attached to, and four warnings say so",
  drops_dmabuf_descriptor:
    "selftest.c iommufd_test_dmabuf_get: returns 0 instead of the descriptor that it made",
} as const satisfies Readonly<Record<string, string>>;

/** The name of a bug of Linux. */
export type KnownBug = keyof typeof KNOWN_BUGS;
