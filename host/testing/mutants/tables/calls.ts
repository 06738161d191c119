// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults in who programs are believed to be, and in what they map of devices.
 *
 * @module
 */

import { type HostMutant, inFile } from "../mutant.ts";

const MAPPINGS = "host/files/device_mappings_test.ts";
const MAPPED = "the mappings of a device";
const CAPABILITIES = "host/calls/credentials/capabilities_test.ts";
const ROOT = "the capabilities of who is believed to be root";
const CALLS = "the calls of capabilities";
const DESCRIPTORS = "host/testing/programs/descriptors_test.ts";
const DESCRIPTOR = "A descriptor of a file";
const SOURCES = "host/linux_selftests/sources_test.ts";
const LINES = "lines that do not compile";
const TAP = "host/linux_selftests/tap_test.ts";
const PRINTS = "what a selftest program prints";

/** Theirs. */
export const CALL_MUTANTS: readonly HostMutant[] = [
  ...inFile("host/files/device_mappings.ts", [
    {
      name: "calls-mapping-lost",
      find:
        "if (this.#lock.view.getInt16(FLOCK.type, true) !== F_UNLCK) continue;",
      replace: "",
      breaks: "The owner of memory that is mapped goes",
      killer: [
        MAPPINGS,
        MAPPED,
        "are there as long as anybody has them, each by itself",
      ],
    },
    {
      name: "calls-mapping-stays",
      find: "      device.close();\n    }\n    if (",
      replace: "    }\n    if (",
      breaks: "The owner of memory that was mapped stays for ever",
      killer: [MAPPINGS, MAPPED, "are gone if they were never made"],
    },
  ]),
  ...inFile("host/calls/credentials/capabilities.ts", [
    {
      name: "calls-capability-back",
      find: "if (isMore) return -EPERM.code;",
      replace: "",
      breaks: "A program takes back what it gave up for good",
      killer: [CAPABILITIES, ROOT, "come back as far as they are permitted"],
    },
    {
      name: "calls-capabilities-of-others",
      find: "return own && known ? capabilities : undefined;",
      replace: "return known ? capabilities : undefined;",
      breaks: "Everybody has the capabilities of the one who asks",
      killer: [
        CAPABILITIES,
        CALLS,
        "are the host's where nothing is pretended, of others, and of another version",
      ],
    },
  ]),
  ...inFile("host/calls/table.ts", [
    {
      name: "calls-answered-by-another",
      find: "return isAbout(other, call) ? other.handle(call) : CONTINUE;",
      replace: "return other.handle(call);",
      breaks:
        "A call is answered as one of the same name that asks for something else",
      killer: [
        DESCRIPTORS,
        DESCRIPTOR,
        "is no socket, no file and no terminal",
      ],
    },
  ]),
  ...inFile("host/files/descriptors.ts", [
    {
      name: "calls-descriptors-counted",
      find: "BigInt(folder.lowestFree()) >= limit",
      replace: "true",
      breaks: "Descriptors above the limit count",
      killer: [
        DESCRIPTORS,
        DESCRIPTOR,
        "is one below the limit, whatever is open above it",
      ],
    },
  ]),
  ...inFile("host/calls/file_length.ts", [
    {
      name: "calls-seal-is-busy",
      find: "return isMeant && !isRefused;",
      replace: "return isMeant;",
      breaks: "Pins are found where the host would not look for them",
      killer: [
        "host/calls/memory_test.ts",
        "memory of a program",
        "that is pinned is not sealed against writes",
      ],
    },
  ]),
  ...inFile("host/linux_selftests/sources.ts", [
    {
      name: "calls-lines-not-found",
      find: "if (parts.length === 2)",
      replace: "if (parts.length <= 2)",
      breaks: "A source that is not the known one is compiled",
      killer: [SOURCES, LINES, "must be there, once"],
    },
  ]),
  ...inFile("host/linux_selftests/tap.ts", [
    {
      name: "calls-test-never-ended",
      find: "if (ended < planned)",
      replace: "if (false)",
      breaks: "Tests that never ended are forgotten",
      killer: [
        TAP,
        PRINTS,
        "has failed where a test that was planned did not end",
      ],
    },
  ]),
];
