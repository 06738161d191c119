// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults in how devices see what programs store in BARs that they have mapped.
 *
 * @module
 */

import { type HostMutant, inFile } from "../mutant.ts";

const DEVICE = "host/testing/devices/device_test.ts";
const USES = "a device that a real program uses";
const STORES = "host/testing/devices/stores_test.ts";
const STORE = "a store to a device that has to see each";
const AT_ONCE =
  "sees it before the next instruction, also if it changes nothing";
const TARGET = "has BARs that are mapped for DMA from where they are mapped";
const PACE = "host/supervise/pace_test.ts";
const PAUSE = "the pause before devices look again";

/** Theirs. */
export const MAPPED_BAR_MUTANTS: readonly HostMutant[] = [
  ...inFile("host/supervise/epoll.ts", [{
    name: "eventfd-counts-from-before",
    find: "this.#passOver(this.#add(fd, EPOLLIN | EPOLLET, happened));",
    replace: "this.#add(fd, EPOLLIN | EPOLLET, happened);",
    breaks: "What an eventfd counted before is a signal once more",
    killer: [
      "host/files/eventfds_test.ts",
      "an eventfd of a program",
      "tells each signal that comes, and not what it counted before",
    ],
  }]),
  ...inFile("host/supervise/supervisor.ts", [
    {
      name: "mapped-call-first",
      find: "    this.#host.mapped.poll();\n",
      replace: "",
      breaks: "A call overtakes what the program stored before it",
      killer: [DEVICE, USES, "sees first what was stored before a call"],
    },
  ]),
  ...inFile("host/supervise/pace.ts", [
    {
      name: "mapped-no-spinning",
      find: "quiet < SPIN_MS ? 0 :",
      replace: "",
      breaks: "Each doorbell waits for a pause",
      killer: [
        PACE,
        PAUSE,
        "is none while there is work, and shortly after it",
      ],
    },
    {
      name: "mapped-pause-unbounded",
      find: "Math.min(this.#longest, quiet * SHARE)",
      replace: "quiet * SHARE",
      breaks: "A device that was not used for long does not hear its driver",
      killer: [
        PACE,
        PAUSE,
        "is an eighth of the time for which there was none, up to a limit",
      ],
    },
  ]),
  ...inFile("host/files/eventfds.ts", [
    {
      name: "mapped-any-file-counts",
      find: "=== NAME;",
      replace: '!== "";',
      breaks: "A device writes numbers into whatever file it is given",
      killer: [DEVICE, USES, "takes eventfds alone"],
    },
  ]),
  ...inFile("host/files/device_mappings.ts", [
    {
      name: "mapped-bar-is-no-target",
      find: "    object.device = device;\n",
      replace: "",
      breaks: "One device cannot reach the BAR of another",
      killer: [DEVICE, USES, TARGET],
    },
  ]),
  ...inFile("host/memory/host_mm.ts", [
    {
      name: "mapped-protection-ignored",
      find: "(mapping.prot & access) === 0) return undefined;",
      replace: "false) return undefined;",
      breaks: "DMA writes what its program may only read",
      killer: [DEVICE, USES, TARGET],
    },
  ]),
  ...inFile("host/calls/mmap.ts", [
    {
      name: "mapped-trap-ignored",
      find: "device?.seesStores || call.host.trapsStores",
      replace: "device?.seesStores",
      breaks: "--trap changes nothing",
      killer: [
        STORES,
        STORE,
        "is not alone in that where all are to be trapped",
      ],
    },
  ]),
  ...inFile("host/calls/traps/traps.ts", [
    {
      name: "mapped-store-not-told",
      find: "done: () => touched(address - start),",
      replace: "done: () => {},",
      breaks: "A driver reads what was there before its store",
      killer: [STORES, STORE, AT_ONCE],
    },
    {
      name: "mapped-debugged",
      find: "return faults.giveUp(address);",
      replace: "return faults.close(address);",
      breaks: "A program that is debugged stores for ever",
      killer: [
        STORES,
        STORE,
        "finds it by looking where somebody debugs the program",
      ],
    },
    {
      name: "mapped-open-for-good",
      find: "behind: () => faults.close(address),",
      replace: "behind: () => {},",
      breaks: "The second store is not trapped",
      killer: [STORES, STORE, AT_ONCE],
    },
  ]),
  ...inFile("host/calls/traps/userfaultfd.ts", [
    {
      name: "mapped-page-in-place-of-store",
      find: "address: getLong(view, MESSAGE.address),",
      replace:
        "address: getLong(view, MESSAGE.address) - getLong(view, MESSAGE.address) % PAGE_SIZE,",
      breaks: "A store that changes nothing is told to the first register",
      killer: [STORES, STORE, AT_ONCE],
    },
  ]),
  ...inFile("host/calls/traced_thread.ts", [
    {
      name: "mapped-trap-passed-on",
      find: "        done();\n        signal = 0;",
      replace: "        done();",
      breaks: "A program dies of the trap that was ours",
      killer: [STORES, STORE, AT_ONCE],
    },
  ]),
];
