// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults in the calls that look at files and directories, and in what their
 * descriptors are.
 *
 * @module
 */

import { type HostMutant, inFile } from "../mutant.ts";

const LOOKING_TEST = "host/testing/programs/looking_test.ts";
const DESCRIPTORS_TEST = "host/testing/programs/descriptors_test.ts";
const LOOK_TEST = "host/calls/looking/look_test.ts";
const LOOKS = "A program that looks for the devices";
const ITSELF = "A program that looks at itself";
const DESCRIPTOR = "A descriptor of a file";
const WAITS = "A program that waits";

/** Theirs. */
export const LOOKING_MUTANTS: readonly HostMutant[] = [
  ...inFile("host/calls/looking/look.ts", [
    {
      name: "looking-descriptor",
      find: 'path === "" && (place.flags & AT_EMPTY_PATH) !== 0',
      replace: "false",
      breaks: "fstat says that a device is a socket",
      killer: [
        LOOKING_TEST,
        LOOKS,
        "sees character devices, by path and by descriptor",
      ],
    },
    {
      name: "looking-link-followed",
      find: "(place.flags & AT_SYMLINK_NOFOLLOW) === 0",
      replace: "true",
      breaks: "lstat and readlink follow links",
      killer: [
        LOOK_TEST,
        "readlink",
        "tells what a link says, as far as there is room",
      ],
    },
    {
      name: "looking-fault-unseen",
      find: "copyOut(call, address, bytes) ? result : -EFAULT.code",
      replace: "copyOut(call, address, bytes) ? result : result",
      breaks: "a call that could not write its answer succeeds",
      killer: [
        LOOK_TEST,
        "stat",
        "fails where the struct cannot be written",
      ],
    },
    {
      name: "looking-everybody-writes",
      find: "(wanted & ~allowed(of, uid, found)) !== 0",
      replace: "false",
      breaks: "access allows what permissions forbid",
      killer: [LOOK_TEST, "access", "goes by the permissions of other files"],
    },
    {
      name: "looking-device-refused",
      find: 'if (node?.kind === "device") return R_OK | W_OK;',
      replace: "",
      breaks: "access refuses a device that can be opened",
      killer: [
        LOOK_TEST,
        "access",
        "is given to devices, which the model opens for everybody",
      ],
    },
    {
      name: "looking-link-too-long",
      find: ".subarray(0, room)",
      replace: "",
      breaks: "readlink writes behind the program's buffer",
      killer: [
        LOOK_TEST,
        "readlink",
        "tells what a link says, as far as there is room",
      ],
    },
  ]),
  ...inFile("host/calls/looking/list.ts", [
    {
      name: "looking-shown-never",
      find: "const added = isFirst ? entries : [];",
      replace: "const added = isFirst ? [] : entries;",
      breaks: "readdir does not tell what is only shown",
      killer: [LOOKING_TEST, LOOKS, "finds them in directories"],
    },
    {
      name: "looking-path-replaced",
      find: "thread.resultAfter(goOn, () => poke(call, address, before!));",
      replace: "thread.resultAfter(goOn);",
      breaks: "a program finds another path in its memory after chdir",
      killer: [
        LOOKING_TEST,
        LOOKS,
        "can be in a directory that only it sees",
      ],
    },
    {
      name: "looking-real-folder",
      find: "if (base?.isOnlyShown !== true) return CONTINUE;",
      replace: "return CONTINUE;",
      breaks: "getcwd tells the name of a folder of the supervisor",
      killer: [
        LOOKING_TEST,
        LOOKS,
        "can be in a directory that only it sees",
      ],
    },
  ]),
  ...inFile("host/calls/open.ts", [
    {
      name: "looking-open-nofollow",
      find: "(flags & OPEN_FLAGS[sys.architecture].O_NOFOLLOW) === 0",
      replace: "true",
      breaks: "O_NOFOLLOW is not obeyed",
      killer: [
        LOOKING_TEST,
        LOOKS,
        "opens them relative to a directory, through links and dots",
      ],
    },
  ]),
  ...inFile("host/calls/process.ts", [
    {
      name: "looking-faults-of-all",
      find: "this.faults = this.faultsOf(tid);",
      replace: "",
      breaks: "fail-nth of one thread makes calls of another fail",
      killer: [
        LOOKING_TEST,
        ITSELF,
        "makes steps of one thread fail, not of others",
      ],
    },
  ]),
  ...inFile("host/calls/descriptor.ts", [
    {
      name: "descriptor-always-both",
      find: "flags & ~O_ACCMODE | file.access",
      replace: "flags",
      breaks: "a file that was opened for reading says that it can be written",
      killer: [
        DESCRIPTORS_TEST,
        DESCRIPTOR,
        "has the flags that it was opened with, and those that were set",
      ],
    },
    {
      name: "descriptor-epoll",
      find: "canPoll ? CONTINUE : -EPERM.code",
      replace: "canPoll ? CONTINUE : CONTINUE",
      breaks: "epoll takes a file that has nothing to wait for",
      killer: [
        DESCRIPTORS_TEST,
        WAITS,
        "finds a file without conditions ready, but not by epoll",
      ],
    },
  ]),
  ...inFile("host/files/emulated.ts", [
    {
      name: "descriptor-lost-close",
      find: "this.#hangUps.watch(own, () => this.#release(held));",
      replace: "",
      breaks: "a file is never released",
      killer: [
        DESCRIPTORS_TEST,
        DESCRIPTOR,
        "is closed with the last one, in each way there is, before the call returns",
      ],
    },
    {
      name: "descriptor-not-ready",
      find: "const ready = isReady(file) && this.#put(own);",
      replace: "const ready = false;",
      breaks: "a program waits for a file that is ready",
      killer: [
        DESCRIPTORS_TEST,
        WAITS,
        "finds a file without conditions ready, but not by epoll",
      ],
    },
    {
      name: "descriptor-stays-ready",
      find: "this.#put(held.fd) : !this.#take(held)",
      replace: "this.#put(held.fd) : true",
      breaks: "a program finds nothing where poll says that there is something",
      killer: [
        DESCRIPTORS_TEST,
        WAITS,
        "is told when what it waits for has changed",
      ],
    },
  ]),
];
