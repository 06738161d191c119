// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults in the devices that a command line asks for, and in what is told of
 * calls on them.
 *
 * @module
 */

import { type HostMutant, inFile } from "../mutant.ts";

const DEVICES = "host/command/devices_test.ts";
const OPTION = "--device";
const LOG = "host/watch/log_test.ts";
const THE_LOG = "the log";
const NAMES =
  "names what the files of VFIO devices and groups are asked, with what follows";
const TAP = "host/linux_selftests/tap_test.ts";
const SETTINGS = "host/linux_selftests/settings_test.ts";

/** Theirs. */
export const DEVICE_MUTANTS: readonly HostMutant[] = [
  ...inFile("host/command/devices.ts", [
    {
      name: "devices-no-group",
      find: "if (group !== undefined) groups.set(group, pci);",
      replace: "",
      breaks: "Devices of one group get groups of their own",
      killer: [DEVICES, OPTION, "puts devices with one name into one group"],
    },
    {
      name: "devices-no-place",
      find: "...at !== undefined && { address: at },",
      replace: "",
      breaks: "A device is not where it is to be",
      killer: [DEVICES, OPTION, "puts it where it is to be"],
    },
    {
      name: "devices-any-export",
      find: "if (exported instanceof PciDevice) return exported;",
      replace: "return exported as PciDevice;",
      breaks: "A module may export what is no device",
      killer: [
        DEVICES,
        OPTION,
        "cannot do ./nothing.ts: its default export must be a PciDevice, a class",
      ],
    },
    {
      name: "devices-unknown-option",
      find: "if (!known.includes(name)) {",
      replace: "if (false) {",
      breaks: "Options that a device does not have are taken",
      killer: [
        DEVICES,
        OPTION,
        'refuses ./one.ts,size=1M: Unknown option "size" of device ./one.ts',
      ],
    },
  ]),
  ...inFile("host/watch/left_behind.ts", [
    {
      name: "devices-mappings-forgotten",
      find:
        "if (file instanceof Type1Container) this.#found.push(...mapped(file, path));",
      replace: "",
      breaks: "Nobody is told what a type1 container had mapped",
      killer: [
        "host/watch/left_behind_test.ts",
        "what a program leaves behind",
        "is what a type1 container has mapped, and not a device that is plugged in",
      ],
    },
  ]),
  ...inFile("host/watch/ioctl_rows.ts", [
    {
      name: "devices-number-of-a-container",
      find: "return isDevice ? OF_DEVICES : OF_OTHERS;",
      replace: "return OF_OTHERS;",
      breaks: "What a device is asked has the name of what a container is",
      killer: [LOG, THE_LOG, NAMES],
    },
    {
      name: "devices-eventfds-replayed",
      find: `return followingOf(row, struct) === "descriptors" &&`,
      replace: "return false &&",
      breaks: "A transcript has eventfds that nobody opened",
      killer: [
        "host/watch/transcript_test.ts",
        "the transcript of a program",
        "leaves out what is told by descriptors that are no struct's",
      ],
    },
  ]),
  ...inFile("host/linux_selftests/tap.ts", [
    {
      name: "devices-known-failure-passes",
      find: "if (!known.includes(name)) return line;",
      replace: "if (!known.includes(name) || !not) return line;",
      breaks: "Nobody notices that a test passes which fails on real Linux",
      killer: [
        TAP,
        "what a selftest program prints",
        "has failed where a test passes that fails on real Linux",
      ],
    },
  ]),
  ...inFile("host/linux_selftests/settings.ts", [
    {
      name: "devices-any-skip",
      find: "skips: HUGEST,",
      replace: "skips: ANY,",
      breaks: "Programs of VFIO may skip what they like",
      killer: [
        SETTINGS,
        "the machines for a program",
        "are one with each container for VFIO's, which skip a huge page alone",
      ],
    },
  ]),
];
