// SPDX-License-Identifier: GPL-2.0-only

/**
 * mmap of files of the model. A program cannot be given a mapping; but the
 * thread that asks can be had to make one of a file that it is lent.
 *
 * @module
 */

import type { DeviceMapping, File } from "../../impl/kernel/files/file.ts";
import { EACCES, EAGAIN, EINVAL } from "../../impl/uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import { keepUnmapped, rangeOf } from "../memory/leaving.ts";
import type { HostObject } from "../memory/shared/host_object.ts";
import {
  type Answer,
  answered,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "./call.ts";
import { type MakeCall, TracedThread } from "./traced_thread.ts";
import type { Trap } from "./traps/traps.ts";
import { Userfaultfd } from "./traps/userfaultfd.ts";

/** The bits that choose between shared and private. */
const MAP_TYPE = 0xf;
/**
 * What calls that we have a thread make are known by: a flag that means nothing
 * on a machine with an MMU (Linux: MAP_UNINITIALIZED).
 */
const OURS = 0x4000000;

function mmap(call: Call): Answer {
  const { process, host } = call;
  const flags = call.int(3);
  const mm = process.openedMm;
  if ((flags & MAP_FIXED) !== 0 && mm !== undefined) {
    keepUnmapped(host.machine, mm, rangeOf(call.arg(0), call.arg(1)));
  }
  if ((flags & MAP_ANONYMOUS) !== 0) return CONTINUE;
  const emulated = process.files.emulated(call.int(4));
  if (emulated === undefined) return CONTINUE;
  const { file, name } = emulated;
  return answered(call, name, () => mapFile(call, file));
}

/** Linux: ksys_mmap_pgoff, do_mmap. */
function mapFile(call: Call, file: File): number {
  const [offset, prot, flags] = [call.arg(5), call.int(2), call.int(3)];
  const length = Math.ceil(call.arg(1) / PAGE_SIZE) * PAGE_SIZE;
  if (length === 0 || offset % PAGE_SIZE !== 0) return -EINVAL.code;
  const shared = (flags & MAP_TYPE) !== MAP_PRIVATE;
  const writes = shared && (prot & PROT_WRITE) !== 0;
  if (!file.isReadable || writes && !file.isWritable) {
    return -EACCES.code;
  }
  let isLost = false;
  const found = call.process.fileMapping(call.int(4), {
    offset,
    length,
    prot,
    shared: shared && file.isWritable,
  }, () => isLost = true);
  if (typeof found === "number") return isLost ? refuse(call, found) : found;

  const { sys, mapped } = call.host;
  const thread = TracedThread.of(sys, call.tid);
  if (thread === undefined) return -EAGAIN.code;
  let trap: Trap | undefined;
  const gone = () => trap?.release();
  const own = mapped.open(found.object as HostObject, found.device, gone);
  const fd = call.addDescriptor(own, true);
  sys.close(own);
  // The host's kernel finds nothing that can be mapped behind its descriptor.
  const result = thread.resultOfOthers(() => call.goOn(), (make) => {
    if (fd < 0) return fd;
    const type = flags & ~MAP_TYPE | MAP_SHARED | OURS;
    const at = found.pageIndex * PAGE_SIZE;
    const { nr } = sys;
    const address = make(nr.mmap, [call.arg(0), length, prot, type, fd, at]);
    make(nr.close, [fd]);
    const { device } = found;
    const traps = device?.seesStores || call.host.trapsStores;
    if (address > 0 && traps && device?.touched !== undefined) {
      trap = trapStores(call, make, { start: address, length, at }, device);
    }
    return address;
  });
  return result ?? 0;
}

/**
 * A file refuses to be mapped, and what was mapped in its place is gone: the
 * host's kernel does the same with what is behind the program's descriptor, a
 * socket.
 */
function refuse(call: Call, errno: number): number {
  const flags = call.int(3);
  const { sys } = call.host;
  if ((flags & MAP_FIXED) === 0) return errno;
  const [address, length] = [call.arg(0), call.arg(1)];
  const [prot, how, fd] = [call.int(2), flags | OURS, call.int(4)];
  TracedThread.of(sys, call.tid)?.resultOfOthers(() => call.goOn(), (make) => {
    make(sys.nr.mmap, [address, length, prot, how, fd, 0]);
    return errno;
  });
  return errno;
}

/** Has the device told of each store to a mapping, where this Linux can do that. */
function trapStores(
  { host: { sys, traps }, process }: Call,
  make: MakeCall,
  { start, length, at }: { start: number; length: number; at: number },
  device: DeviceMapping,
): Trap | undefined {
  const { nr } = sys;
  const theirs = make(nr.userfaultfd, [Userfaultfd.FLAGS]);
  if (theirs < 0) return undefined;
  const fd = sys.pidfdGetfd(process.pidfd, theirs);
  make(nr.close, [theirs]);
  if (fd < 0) return undefined;
  const range = { pid: process.pid, start, length };
  return traps.set(fd, range, (offset) => device.touched!(at + offset));
}

/** The family. */
export const MMAP_CALLS: readonly NotifiedCall[] = [{
  name: "mmap",
  when: [
    { argument: 3, mask: MAP_FIXED | OURS, test: "equals", value: MAP_FIXED },
    { argument: 3, mask: MAP_ANONYMOUS | OURS, test: "equals", value: 0 },
  ],
  handle: mmap,
}];
