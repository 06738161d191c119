// SPDX-License-Identifier: GPL-2.0-only

/**
 * What of `/proc/PID` is not the host's: the memory that the model has charged
 * and pinned, the files of fault injection, and what descriptors are open to.
 *
 * @module
 */

import type { File } from "../../../impl/kernel/files/file.ts";
import type { FaultInjection } from "../../../impl/kernel/fault_injection.ts";
import type { Mm } from "../../../impl/kernel/interfaces/mm.ts";
import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { failNthNode } from "./faults.ts";
import {
  type Directory,
  Folder,
  type Found,
  type Looker,
  type Node,
  type Text,
} from "./node.ts";

/** What is known of a process. */
export interface ShownProcess {
  readonly pid: number;
  /** Its memory, if anything of it was ever used: of other memory nothing is pinned. */
  readonly openedMm: Mm | undefined;
  /** Which step of a thread fails. */
  faultsOf(tid: number): FaultInjection;
}

/** What `/proc` asks others. */
export interface ProcSources {
  /** The process that a thread is of; undefined if the model does not know it. */
  processOf(tid: number): ShownProcess | undefined;
  /** The text of a file of the host; undefined if there is none. */
  readHost(path: string): string | undefined;
  /** Whether a path of the host is a directory. */
  isDirectory(path: string): boolean;
  /** The text of a link that a descriptor, or the working folder, of a thread is. */
  linkOf(tid: number, link: string): string | undefined;
  /** What is shown where such a link leads. */
  shownAt(tid: number, link: string): Found | undefined;
  /** The open file that the model serves where such a link leads. */
  servedAt(tid: number, link: string): { readonly file: File } | undefined;
}

/** `/proc`: the processes that the model knows, and what is put into it. */
export class ProcDirectory extends Folder {
  readonly #sources: ProcSources;

  /** With nothing but processes. */
  constructor(sources: ProcSources) {
    super({ mode: 0o555 });
    this.#sources = sources;
    this.set("self", {
      kind: "link",
      isOfHost: true,
      target: ({ tgid }) => `${tgid}`,
    });
    this.set("thread-self", {
      kind: "link",
      isOfHost: true,
      target: ({ tgid, tid }) => `${tgid}/task/${tid}`,
    });
  }

  override child(name: string): Node | undefined {
    const tid = numberOf(name);
    if (tid === undefined) return super.child(name);
    const process = this.#sources.processOf(tid);
    if (process === undefined) return undefined;
    const { pid } = process;
    const thread = { path: `/proc/${tid}`, pid, tid };
    const task = () => taskDirectory(pid, this.#sources);
    return threadDirectory(thread, this.#sources, { task });
  }
}

/** `/proc/PID/task`. */
function taskDirectory(pid: number, sources: ProcSources): Directory {
  const child = (name: string) => {
    const tid = numberOf(name);
    const path = `/proc/${pid}/task/${tid}`;
    if (tid === undefined || !sources.isDirectory(path)) return undefined;
    return threadDirectory({ path, pid, tid }, sources);
  };
  return directory(child);
}

/** A thread, which may not have made a call yet, and its directory. */
interface ThreadPlace {
  readonly path: string;
  readonly pid: number;
  readonly tid: number;
}

/** The directory of a thread, or of a process, which has names of its own. */
function threadDirectory(
  thread: ThreadPlace,
  sources: ProcSources,
  own: Readonly<Record<string, () => Node>> = {},
): Directory {
  const { pid, tid } = thread;
  const faults = () => sources.processOf(pid)?.faultsOf(tid);
  const nodes: Readonly<Record<string, () => Node>> = {
    ...own,
    "status": () => statusNode(thread, sources),
    "fail-nth": () => failNthNode(faults),
    "fd": () =>
      directory((name) => openLink(tid, `fd/${name}`, sources), 0o500),
    "fdinfo": () => directory((name) => infoNode(thread, name, sources), 0o555),
    "cwd": () => openLink(tid, "cwd", sources),
  };
  const child = (name: string) =>
    Object.hasOwn(nodes, name) ? nodes[name]!() : undefined;
  return directory(child, 0o555, ["fail-nth"]);
}

/** `status`: what the host says, and more memory locked and pinned. */
function statusNode({ path, pid }: ThreadPlace, sources: ProcSources): Text {
  const read = () => {
    const text = sources.readHost(`${path}/status`);
    const mm = sources.processOf(pid)?.openedMm;
    if (text === undefined || mm === undefined) return text;
    return addKib(addKib(text, "VmLck", mm.lockedVm), "VmPin", mm.pinnedVm);
  };
  return { kind: "text", mode: 0o444, size: 0, read };
}

/** What is told of a descriptor of the model's: as the host does, but for what only sockets have. */
function infoNode(
  { path, tid }: ThreadPlace,
  fd: string,
  sources: ProcSources,
): Text | undefined {
  const served = sources.servedAt(tid, `fd/${fd}`);
  if (served === undefined) return undefined;
  const read = () =>
    sources.readHost(`${path}/fdinfo/${fd}`)
      ?.replace(/^scm_fds:.*\n/m, "")
      .concat(served.file.fdinfo);
  return { kind: "text", mode: 0o444, size: 0, read };
}

/** Adds pages to a line of `/proc/PID/status`, which is in KiB. */
function addKib(status: string, name: string, pages: number): string {
  const line = new RegExp(`^(${name}:\\s)(\\s*\\d+)`, "m");
  return status.replace(line, (_line, label: string, kib: string) => {
    const sum = Number(kib) + pages * (PAGE_SIZE / 1024);
    return label + String(sum).padStart(kib.length);
  });
}

/** A link of `/proc/PID` to what is open, whatever it says. */
function openLink(tid: number, link: string, sources: ProcSources): Node {
  return {
    kind: "link",
    isOfHost: true,
    target: () => sources.linkOf(tid, link),
    past: () => sources.shownAt(tid, link),
  };
}

function directory(
  child: (name: string, looker: Looker) => Node | undefined,
  mode = 0o555,
  names: readonly string[] = [],
): Directory {
  return {
    kind: "directory",
    mode,
    hidesHost: false,
    child,
    names: () => names,
  };
}

function numberOf(name: string): number | undefined {
  return /^[1-9]\d*$/.test(name) ? Number(name) : undefined;
}
