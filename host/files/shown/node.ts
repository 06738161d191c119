// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a program is shown at a path, as data: a tree of nodes that lies over
 * the host's own files. A path that no node has is the host's.
 *
 * @module
 */

import type { OpenDevice } from "../../../impl/kernel/files/file.ts";

/** Who looks: what `/proc/self` is depends on it. */
export interface Looker {
  /** Its process (Linux: tgid). */
  readonly tgid: number;
  /** Its thread. */
  readonly tid: number;
}

/** The number of a device. */
export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** A directory. Where the host has one at the same path, the program sees both as one. */
export interface Directory {
  readonly kind: "directory";
  /** Permissions, 9 bits. */
  readonly mode: number;
  /** True if nothing of the host's is seen in it. */
  readonly hidesHost: boolean;
  /** True if nothing of the host's is there either, for who knows its name. */
  readonly isWhole?: boolean;
  /** What a name in it is; undefined for what it has not. */
  child(name: string, looker: Looker): Node | undefined;
  /** The names in it that readdir tells. */
  names(looker: Looker): Iterable<string>;
}

/** A symbolic link. */
export interface Link {
  readonly kind: "link";
  /** True if the kernel follows the host's own to the same place. */
  readonly isOfHost?: boolean;
  /** What readlink tells; undefined if there is no such link after all. */
  target(looker: Looker): string | undefined;
  /**
   * Where it leads whatever its text is, if that is something shown: the links
   * in `/proc/PID/fd` have this.
   */
  past?(looker: Looker): Found | undefined;
}

/** A character device, whose openings the model serves. */
export interface Device {
  readonly kind: "device";
  readonly mode: number;
  readonly number: DeviceNumber;
  readonly open: OpenDevice;
}

/** A regular file of which each read and each write is served by the model. */
export interface Served {
  readonly kind: "served";
  readonly mode: number;
  /** What stat says, in bytes. */
  readonly size: number;
  readonly open: OpenDevice;
}

/** A regular file that is only read; an opening has the text of that time. */
export interface Text {
  readonly kind: "text";
  readonly mode: number;
  /** What stat says, in bytes. */
  readonly size: number;
  /** The text of now; undefined if the host has no such file. */
  read(looker: Looker): string | undefined;
}

/** The same, of bytes. */
export interface Bytes {
  readonly kind: "bytes";
  readonly mode: number;
  /** What stat says. */
  readonly size: number;
  /** The bytes of now. */
  read(): Uint8Array;
}

/** An open file that was opened by no path: it has no kind. */
export interface Anonymous {
  readonly kind: "anonymous";
  readonly mode: number;
  readonly size: number;
  readonly open: OpenDevice;
}

/** What can be at a path, or behind a descriptor. */
export type Node =
  | Directory
  | Link
  | Device
  | Served
  | Anonymous
  | Text
  | Bytes;

/** What was found at a path. */
export interface Found {
  /** The path without links and dots. */
  readonly path: string;
  /** What is shown there; undefined for what is the host's. */
  readonly node: Node | undefined;
}

/** A directory whose names are known. */
export class Folder implements Directory {
  readonly kind = "directory";
  readonly mode: number;
  readonly hidesHost: boolean;
  readonly isWhole: boolean;
  readonly #children = new Map<string, Node>();

  /** An empty one. */
  constructor(
    options: { mode?: number; hidesHost?: boolean; isWhole?: boolean } = {},
  ) {
    this.mode = options.mode ?? 0o755;
    this.isWhole = options.isWhole ?? false;
    this.hidesHost = options.hidesHost ?? this.isWhole;
  }

  /** True if there is nothing in it. */
  get isEmpty(): boolean {
    return this.#children.size === 0;
  }

  child(name: string): Node | undefined {
    return this.#children.get(name);
  }

  names(): Iterable<string> {
    return this.#children.keys();
  }

  /** Puts a node in it, in place of one of that name. */
  set(name: string, node: Node): void {
    this.#children.set(name, node);
  }

  /** Takes a name out of it. */
  delete(name: string): void {
    this.#children.delete(name);
  }
}

/** Where nodes are shown. */
export interface Showing {
  /** Shows a node at a path, and the directories that lead there. */
  add(path: string, node: Node): void;
  /** Shows a link at a path. */
  link(path: string, target: string): void;
}

/** The nodes by their paths. */
export class Tree implements Showing {
  /** The directory `/`. */
  readonly root = new Folder();

  /** Shows a node at a path, and the directories that lead there, whole ones in a whole one. Throws a TypeError where one of them is no {@link Folder}. */
  add(path: string, node: Node): void {
    const names = namesOf(path);
    const last = names.pop()!;
    let folder = this.root;
    for (const name of names) {
      let next = folder.child(name);
      if (next === undefined) {
        const { isWhole } = folder;
        folder.set(name, next = new Folder({ isWhole }));
      }
      if (!(next instanceof Folder)) throw notAFolder(path, name);
      folder = next;
    }
    folder.set(last, node);
  }

  /** Shows a link at a path. */
  link(path: string, target: string): void {
    this.add(path, { kind: "link", target: () => target });
  }

  /** No longer shows what is at a path, nor directories that were there for it alone. */
  remove(path: string): void {
    const names = namesOf(path);
    const folders = [this.root];
    for (const name of names.slice(0, -1)) {
      const next = folders.at(-1)!.child(name);
      if (!(next instanceof Folder)) return;
      folders.push(next);
    }
    for (const name of names.reverse()) {
      const folder = folders.pop()!;
      folder.delete(name);
      if (!folder.isEmpty) return;
    }
  }
}

/** What is shown of one thing, which may be gone later. */
export class TreePart implements Showing {
  /** The tree, for what stays. */
  readonly whole: Tree;
  readonly #paths: string[] = [];

  /** Nothing yet. */
  constructor(tree: Tree) {
    this.whole = tree;
  }

  add(path: string, node: Node): void {
    this.whole.add(path, node);
    this.#paths.push(path);
  }

  link(path: string, target: string): void {
    this.whole.link(path, target);
    this.#paths.push(path);
  }

  /** No longer shows any of it. */
  remove(): void {
    for (const path of this.#paths) this.whole.remove(path);
  }
}

/** The names that a path consists of. */
export function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

/** A file with a text that never changes: an attribute of sysfs. */
export function attribute(text: string, mode = 0o444): Text {
  return { kind: "text", mode, size: 4096, read: () => text };
}

function notAFolder(path: string, name: string): TypeError {
  return new TypeError(`Cannot show ${path}: ${name} is no folder`);
}
