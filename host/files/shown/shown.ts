// SPDX-License-Identifier: GPL-2.0-only

/**
 * All that a program is shown besides the host's own files.
 *
 * @module
 */

import type { Kernel } from "../../../impl/kernel.ts";
import {
  checkIsThere,
  type File,
  type OpenDevice,
} from "../../../impl/kernel/files/file.ts";
import type { Task } from "../../../impl/kernel/interfaces/task.ts";
import { O_ACCMODE, O_RDONLY } from "../../../impl/uapi/mman.ts";
import {
  EACCES,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTDIR,
} from "../../../impl/uapi/errno.ts";
import { AT_FDCWD, O_PATH, OPEN_FLAGS } from "../../sys/structs.ts";
import type { Sys } from "../../sys/sys.ts";
import { ShownDevices } from "./devices.ts";
import type { Dirent } from "./dirents.ts";
import { showFaultSwitches } from "./faults.ts";
import { HostFiles } from "./host_files.ts";
import {
  attribute,
  type DeviceNumber,
  Folder,
  type Found,
  type Looker,
  type Node,
  Tree,
} from "./node.ts";
import { PROBLEMS, problemsFile } from "./problems.ts";
import { ProcDirectory, type ShownProcess } from "./proc.ts";
import { type Base, PathResolver } from "./resolve.ts";
import { StandIns } from "./stand_ins.ts";
import { type Attributes, direntType, inodeOf, modeOf } from "./stat.ts";

/** An open file that the model serves, as others know it. */
export interface ServedFile {
  readonly file: File;
  /** The path that it was opened by; undefined for one that never had any. */
  readonly path: string | undefined;
}

/** What is asked of those who serve programs. */
export interface ShownSources {
  readonly kernel: Kernel;
  readonly sys: Sys;
  /** The process that a thread is of; undefined for one that the model does not know. */
  processOf(tid: number): ShownProcess | undefined;
  /** The file behind the socket with an inode number; undefined if it is a socket of the program. */
  fileOfSocket(inode: number): ServedFile | undefined;
}

const NO_DEVICE: DeviceNumber = { major: 0, minor: 0 };

/** Finds what a program is shown at a path or behind a descriptor, and opens it. */
export class Shown {
  /** What is shown: add to it what comes later. */
  readonly tree: Tree = new Tree();
  /** The host's own. */
  readonly host: HostFiles;
  readonly #sources: ShownSources;
  readonly #resolver: PathResolver;
  readonly #standIns: StandIns;
  readonly #machine: ShownDevices;
  /** What the file systems at the top of paths are on. */
  readonly #fileSystems = new Map<string, DeviceNumber>();
  readonly #owner: { readonly uid: number; readonly gid: number };
  readonly #started = Math.floor(Date.now() / 1000);

  /** Shows the devices of a kernel, those that it gets later too, fault injection, and its processes. */
  constructor(sources: ShownSources) {
    const { sys, kernel } = sources;
    this.#sources = sources;
    this.host = new HostFiles(sys);
    this.#standIns = new StandIns(sys);
    this.#resolver = new PathResolver(this.tree.root, this.host);
    // Whoever runs the programs was given the devices.
    this.#owner = this.host.attributesOf(`/proc/${Deno.pid}`);
    this.tree.add("/proc", new ProcDirectory(this.#procSources()));
    this.#machine = new ShownDevices(this.tree, kernel, this.host);
    this.#show(kernel);
  }

  #show(kernel: Kernel): void {
    const { tree } = this;
    tree.add("/sys/kernel/debug", new Folder({ mode: 0o700, hidesHost: true }));
    showFaultSwitches(tree);
    tree.add(PROBLEMS, problemsFile(kernel));
    tree.add(
      "/sys/module/iommufd/parameters/allow_unsafe_interrupts",
      attribute(kernel.options.allowUnsafeInterrupts ? "Y\n" : "N\n", 0o644),
    );
  }

  #procSources() {
    const { host } = this;
    return {
      processOf: (tid: number) => this.#sources.processOf(tid),
      readHost: (path: string) => host.read(path),
      isDirectory: (path: string) => host.isDirectory(path),
      linkOf: (tid: number, link: string) => this.linkOf(tid, link),
      shownAt: (tid: number, link: string) => this.#shownAt(tid, link),
      servedAt: (tid: number, link: string) => this.#servedFile(tid, link),
    };
  }

  /**
   * What a path leads a program to; `dirfd` is a descriptor or `AT_FDCWD`.
   * Undefined for the host's own: the call may go on as it is. Found without a
   * node it is the host's, but the program would not find it. Throws ENOTDIR,
   * ELOOP.
   */
  resolve(
    looker: Looker,
    dirfd: number,
    path: string,
    follows: boolean,
  ): Found | undefined {
    this.#machine.update();
    if (path.startsWith("/")) {
      return this.#resolver.resolve(looker, ROOT, path, follows);
    }
    const base = this.#baseOf(looker, dirfd);
    if (base === undefined || path === "") return undefined;
    return this.#resolver.resolve(looker, base, path, follows);
  }

  /** What a descriptor of a program is open to, or where `AT_FDCWD` is, if that is only shown. */
  atDescriptor(looker: Looker, fd: number): Found | undefined {
    return this.#shownAt(looker.tid, linkOfDescriptor(fd));
  }

  /** The text of a link in `/proc/TID`, as the program is shown it. */
  linkOf(tid: number, link: string): string | undefined {
    const text = this.#hostLink(tid, link);
    if (text === undefined) return undefined;
    return this.#shownAt(tid, link)?.path ?? text;
  }

  /** What stat tells of something that was found. Throws what the host says of its own. */
  attributesOf(looker: Looker, { path, node }: Found): Attributes {
    if (node === undefined) return this.host.attributesOf(path);
    return {
      on: this.#deviceWith(path),
      ino: inodeOf(path),
      mode: modeOf(node),
      nlink: node.kind === "directory" ? 2 : 1,
      uid: this.#owner.uid,
      gid: this.#owner.gid,
      number: node.kind === "device" ? node.number : NO_DEVICE,
      size: sizeOf(node, looker),
      time: this.#started,
    };
  }

  /** What is shown in the directory at a path without links, besides `.` and `..`. */
  entriesOf(looker: Looker, path: string): Dirent[] {
    this.#machine.update();
    const entries: Dirent[] = [];
    const directory = this.#resolver.at(looker, path)?.node;
    if (directory?.kind !== "directory") return entries;
    for (const name of directory.names(looker)) {
      const node = directory.child(name, looker);
      if (node === undefined) continue;
      const ino = inodeOf(`${path === "/" ? "" : path}/${name}`);
      entries.push({ name, ino, type: direntType(node) });
    }
    return entries;
  }

  /**
   * Opens a file that the model serves, for a task. Throws EEXIST, ENOTDIR, and
   * what the file throws. The caller takes over the reference.
   */
  openServed(open: OpenDevice, task: Task, flags: number): File {
    checkIsThere(flags);
    const file = open(task, flags & O_ACCMODE);
    file.device = open;
    return file;
  }

  /**
   * Opens what the kernel serves once it is open: a descriptor of this process
   * that the program can be given, and the caller closes. Undefined for what
   * the model serves: {@link openServed}. Throws EEXIST, ENOTDIR, EISDIR,
   * EACCES, ELOOP.
   */
  openReal(looker: Looker, found: Found, flags: number): number | undefined {
    const { path, node } = found;
    const { O_DIRECTORY } = OPEN_FLAGS[this.#sources.sys.architecture];
    if (node === undefined) {
      return this.#sources.sys.openat(AT_FDCWD, path, flags & ~O_PATH, 0o666);
    }
    if (node.kind === "directory") return this.#openDirectory(path, flags);
    if ((flags & O_DIRECTORY) !== 0) throw ENOTDIR;
    if ((flags & O_PATH) !== 0) return this.#standIns.openPlace(path);
    if (node.kind === "link") throw ELOOP;
    if (node.kind !== "text" && node.kind !== "bytes") return undefined;
    checkIsThere(flags);
    if ((flags & O_ACCMODE) !== O_RDONLY) throw EACCES;
    const text = node.read(looker);
    if (text === undefined) throw ENOENT;
    return this.#standIns.openText(path, text);
  }

  /** A path by which another process can make a directory that is only shown its working folder. */
  enterableBy(path: string): string {
    return this.#standIns.pathOfDirectory(path);
  }

  /** What a descriptor stands for as a directory, of the host or shown; undefined for what is none that a path leads to. */
  directoryAt(looker: Looker, fd: number): Base | undefined {
    return this.#baseOf(looker, fd);
  }

  /** Closes what it has open. */
  close(): void {
    this.#standIns.close();
  }

  #openDirectory(path: string, flags: number): number {
    if ((flags & O_ACCMODE) !== O_RDONLY) throw EISDIR;
    return this.#standIns.openDirectory(path);
  }

  #baseOf({ tid }: Looker, dirfd: number): Base | undefined {
    const text = this.#hostLink(tid, linkOfDescriptor(dirfd));
    if (text === undefined) return undefined;
    const path = this.#standIns.directoryNamed(text);
    if (path !== undefined) return { path, isOnlyShown: true };
    return { path: text, isOnlyShown: false };
  }

  #hostLink(tid: number, link: string): string | undefined {
    const text = this.host.readlink(`/proc/${tid}/${link}`);
    return typeof text === "string" ? text : undefined;
  }

  /** What is shown where a link of `/proc/TID` leads. */
  #shownAt(tid: number, link: string): Found | undefined {
    const text = this.#hostLink(tid, link);
    if (text === undefined) return undefined;
    const looker = { tgid: tid, tid };
    const served = this.#servedFile(tid, link);
    if (served !== undefined) return this.#servedAt(looker, served);
    const path = this.#standIns.directoryNamed(text) ??
      this.#standIns.fileNamed(text);
    return path === undefined ? undefined : this.#resolver.at(looker, path);
  }

  /** The file that the model serves at a link of `/proc/TID`. */
  #servedFile(tid: number, link: string): ServedFile | undefined {
    const socket = /^socket:\[(\d+)\]$/.exec(this.#hostLink(tid, link) ?? "");
    return socket === null
      ? undefined
      : this.#sources.fileOfSocket(Number(socket[1]));
  }

  /** What a served file is to the program: the device that it was opened as, or a file without a path. */
  #servedAt(looker: Looker, { file, path = file.label }: ServedFile): Found {
    const open = (task: Task, access: number) => file.reopen(task, access);
    const node = this.#resolver.at(looker, path)?.node;
    const isKnown = node?.kind === "device" || node?.kind === "served";
    if (isKnown) return { path, node: { ...node, open } };
    return { path, node: { kind: "anonymous", mode: 0o600, size: 0, open } };
  }

  #deviceWith(path: string): DeviceNumber {
    const top = /^\/[^/]*/.exec(path)?.[0] ?? "/";
    let device = this.#fileSystems.get(top);
    if (device === undefined) {
      device = this.host.attributesOf(top).on;
      this.#fileSystems.set(top, device);
    }
    return device;
  }
}

const ROOT: Base = { path: "/", isOnlyShown: false };

/** What a descriptor is in `/proc/TID`. */
function linkOfDescriptor(fd: number): string {
  return fd === AT_FDCWD ? "cwd" : `fd/${fd}`;
}

function sizeOf(node: Node, looker: Looker): number {
  switch (node.kind) {
    case "text":
    case "bytes":
    case "served":
    case "anonymous":
      return node.size;
    case "link":
      return node.target(looker)?.length ?? 0;
    default:
      return 0;
  }
}
