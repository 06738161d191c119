// SPDX-License-Identifier: GPL-2.0-only

/**
 * What `--help` prints.
 *
 * @module
 */

import { DEVICE_KINDS, DEVICE_OPTIONS } from "../../impl/pci/devices/kinds.ts";
import { NEWEST, REVISION_NAMES } from "../../impl/uapi/revision.ts";

/** Where what is said of a device begins. */
const INDENT = " ".repeat(25);

/** A line for each kind of device, and for each of its options. */
const DEVICES = Object.entries(DEVICE_KINDS).flatMap(([name, kind]) => [
  `  ${name.padEnd(8)}${kind.summary}`,
  ...kind.options.map((option) => {
    const { form, summary } = DEVICE_OPTIONS[option];
    return `    ,${`${option}=${form}`.padEnd(14)}${summary}`;
  }),
]).map((line) => `${INDENT}${line}\n`).join("");

/** What `--help` prints. */
export const HELP =
  `Runs a Linux program, unmodified, on the model: it sees /dev/iommu and
/dev/vfio, which the model answers for its own memory.

Usage: deno task run [OPTION]… [--] PROGRAM [ARGUMENT]…

What the program meets:
  --uapi REVISION        ${REVISION_NAMES.join(", ")}; default ${NEWEST}
  --device KIND[,OPTION=VALUE]…
                         a PCI device, which the program finds in /dev/vfio and
                         /sys; can be there more than once. KIND is a module
                         that exports a device (./my_device.ts), or
${DEVICES}${INDENT}and of each:
${INDENT}    ,at=ADDRESS    its place; default 0000:00:04.0 ff.
${INDENT}    ,group=NAME    IOMMU group: one for all of a name
${INDENT}    ,iommu=none    nothing is between it and memory
  --container WHOSE      type1 or iommufd: who serves /dev/vfio/vfio; default
                         type1
  --poll MS              how long devices pause at most before they look again
                         at what the program stored in a mapped BAR: 0 to 100,
                         default 4; after work they look without a pause
  --trap                 trap each store to a mapped BAR, so that a device sees
                         it at once and in order: some 70 µs each, on a crowded
                         machine too
  --as-root              the model believes that the caller is root, with all
                         capabilities
  --uid UID              the model believes that it is this user; by default it
                         believes the truth
  --memlock BYTES        RLIMIT_MEMLOCK as the model sees it: 64K, 8M, or
                         unlimited; default the truth

What is told of it:
  --log[=FILE]           each call that the model answers, a line each, as
                         strace would: to standard error, or into FILE
  --transcript FILE      the calls in the protocol of conformance, which can be
                         played to any implementation of iommufd
  --inspect              draw what the kernel holds when the program ends; at
                         once when this command gets SIGUSR1
  --audit                objects, pins or charges that the program left behind,
                         and what the kernel would have warned about, are a
                         failure: a list, and exit code 125

What fails:
  --fail-nth N           the Nth step of the kernel that can fail does
  --sweep                run the program again and again, a further step
                         failing each time, and report how each run ends
  --timeout MS           time limit of each run of a sweep in milliseconds;
                         default 30000: what takes longer hangs

  --help, -h             print this

The first word that is no option is the program; what follows is its own.

Exit codes: the program's own, or 128 and the number of the signal that ended
it; 125 it could not be run, or --audit found something; 126 the program is not
executable; 127 there is no such program; 2 the command line is wrong.
Of a sweep: 0 all runs ended by themselves; 1 one hung, was ended by a signal,
or made the kernel warn.
`;
