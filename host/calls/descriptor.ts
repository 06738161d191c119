// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls in which a descriptor of the model's would show that it is a socket.
 *
 * @module
 */

import { File } from "../../impl/kernel/files/file.ts";
import { EPERM } from "../../impl/uapi/errno.ts";
import { O_ACCMODE } from "../../impl/uapi/mman.ts";
import type { Architecture } from "../sys/machine_code.ts";
import { EPOLL_CTL_ADD } from "../sys/structs.ts";
import {
  type Answer,
  answered,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "./call.ts";

const F_GETFL = 3;
/** What every file has that a program of 64 bits opens by a path. */
const O_LARGEFILE: Readonly<Record<Architecture, number>> = {
  x86_64: 0o100000,
  aarch64: 0o400000,
};

/** The flags that a file was opened with; those that were set later are the socket's. */
function getFlags(call: Call): Answer {
  const { process, host: { sys } } = call;
  const emulated = process.files.emulated(call.int(0));
  if (emulated === undefined) return CONTINUE;
  const fd = sys.pidfdGetfd(process.pidfd, call.int(0));
  if (fd < 0) return CONTINUE;
  const flags = sys.call(sys.nr.fcntl, fd, F_GETFL);
  sys.close(fd);
  const { file, path } = emulated;
  const opened = path === undefined ? 0 : O_LARGEFILE[sys.architecture];
  return flags & ~O_ACCMODE | file.access | opened;
}

/** Refuses a file that has no conditions to wait for (Linux: file_can_poll). */
function addToEpoll(call: Call): Answer {
  const file = call.process.files.emulated(call.int(2))?.file;
  const canPoll = file?.poll !== File.prototype.poll;
  return canPoll ? CONTINUE : -EPERM.code;
}

/** Moves the position of a file that has one; a socket has none. */
function seek(call: Call): Answer {
  const emulated = call.process.files.emulated(call.int(0));
  if (emulated === undefined) return CONTINUE;
  const offset = Number(BigInt.asIntN(64, call.arg64(1)));
  return answered(
    call,
    emulated.name,
    () => call.process.lseek(call.int(0), offset, call.int(2)),
  );
}

/** The family. */
export const DESCRIPTOR_CALLS: readonly NotifiedCall[] = [
  {
    name: "fcntl",
    when: [{ argument: 1, test: "equals", value: F_GETFL }],
    handle: getFlags,
  },
  {
    name: "epoll_ctl",
    when: [{ argument: 1, test: "equals", value: EPOLL_CTL_ADD }],
    handle: addToEpoll,
  },
  { name: "lseek", onDescriptor: true, handle: seek },
];
