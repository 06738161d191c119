// SPDX-License-Identifier: GPL-2.0-only

/**
 * From the path that a program passes to what it is shown there.
 *
 * Most paths are the host's, and the call goes on as if nobody had looked:
 * that must be found out cheaply. A path leads to something shown through
 * names of the tree or through symbolic links; so for a name that the tree has
 * not, the host is asked one question, whether the kernel would meet a link at
 * all. Only a path with links, or with `..`, is walked name by name.
 *
 * @module
 */

import { ELOOP, ENOENT, ENOTDIR } from "../../../impl/uapi/errno.ts";
import {
  type Directory,
  type Found,
  type Link,
  type Looker,
  namesOf,
  type Node,
} from "./node.ts";

/** What is asked of the host's files. */
export interface HostPaths {
  /** The text of a symbolic link; a negative errno for what is none, or cannot be reached. */
  readlink(path: string): string | number;
  /** Whether the kernel meets a symbolic link when it follows a path. */
  hasLinks(path: string): boolean;
  /** Whether a path is a directory. */
  isDirectory(path: string): boolean;
}

/** Where a path that does not begin at the root begins. */
export interface Base {
  /** A directory, without links and dots. */
  readonly path: string;
  /** True if the host has none there: the program has something else open in its place. */
  readonly isOnlyShown: boolean;
}

/** Most links in one path (Linux: MAXSYMLINKS). */
const MAX_LINKS = 40;

const EINVAL_CODE = 22;
const ENOENT_CODE = 2;

/** Finds what is shown at paths. */
export class PathResolver {
  readonly #root: Found;
  readonly #host: HostPaths;

  /** Over the files of a host. */
  constructor(root: Directory, host: HostPaths) {
    this.#root = { path: "", node: root };
    this.#host = host;
  }

  /**
   * What a path leads to; `follows` tells whether a link at its end is
   * followed. Undefined for what the kernel finds by itself: what is the
   * host's. A path of the host that the kernel would not find, as it leads
   * through something that is only shown, is a result without a node. Throws
   * ENOENT in a whole directory, ENOTDIR, ELOOP.
   */
  resolve(
    looker: Looker,
    base: Base,
    path: string,
    follows: boolean,
  ): Found | undefined {
    const walk = new Walk(this.#root, this.#host, looker);
    if (!path.startsWith("/")) walk.startAt(base);
    return walk.go(path, follows);
  }

  /** What is shown at a path without links and dots, if anything is. */
  at(looker: Looker, path: string): Found | undefined {
    const walk = new Walk(this.#root, this.#host, looker);
    walk.startAt({ path, isOnlyShown: false });
    return walk.found.node === undefined ? undefined : walk.found;
  }
}

/** One path on its way. */
class Walk {
  readonly #host: HostPaths;
  readonly #looker: Looker;
  /** Where it has come to, below it the directories that lead there. */
  readonly #steps: Found[];
  /** Shown directories that it came through and left. */
  readonly #left: string[] = [];
  /** Whether it came through what the kernel would not. */
  #leftHost = false;
  #links = 0;

  constructor(root: Found, host: HostPaths, looker: Looker) {
    this.#steps = [root];
    this.#host = host;
    this.#looker = looker;
  }

  /** Where it has come to. */
  get found(): Found {
    return this.#steps.at(-1)!;
  }

  /** Begins at a directory. */
  startAt(base: Base): void {
    this.#leftHost = base.isOnlyShown;
    for (const name of namesOf(base.path)) this.#enter(name);
  }

  /** Follows a path to its end. */
  go(path: string, follows: boolean): Found | undefined {
    const names = namesOf(path).reverse();
    const asDirectory = path.endsWith("/") || path.endsWith("/.");
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      const leadsOn = names.length > 0 || asDirectory;
      if (name === "..") {
        this.#leave();
        continue;
      }
      const node = this.#child(name);
      if (node === undefined) {
        if (this.#isWhole) throw ENOENT;
        if (this.#isPlain(name, names)) return this.#ofHost(name, names);
        if (!this.#enterHost(name, names, leadsOn || follows)) return undefined;
      } else if (node.kind === "link" && (leadsOn || follows)) {
        if (!this.#followShown(node, names)) return undefined;
      } else {
        if (leadsOn && node.kind !== "directory") throw ENOTDIR;
        this.#enter(name);
      }
    }
    return this.#end();
  }

  #end(): Found | undefined {
    const path = this.found.path === "" ? "/" : this.found.path;
    const { node } = this.found;
    if (node !== undefined && !this.#isOfHost(path, node)) {
      return { path, node };
    }
    const isLost = this.#leftHost ||
      this.#left.some((path) => !this.#host.isDirectory(path));
    return isLost ? { path, node: undefined } : undefined;
  }

  /** Whether the host has a directory that a program sees as one with a shown one. */
  #isOfHost(path: string, node: Node): boolean {
    return node.kind === "directory" && !node.hidesHost &&
      this.#host.isDirectory(path);
  }

  /** Whether what is not shown here is not there. */
  get #isWhole(): boolean {
    const { node } = this.found;
    return node?.kind === "directory" && node.isWhole === true;
  }

  #child(name: string) {
    const { node } = this.found;
    if (node?.kind !== "directory") return undefined;
    return node.child(name, this.#looker);
  }

  #enter(name: string): void {
    const path = `${this.found.path}/${name}`;
    this.#steps.push({ path, node: this.#child(name) });
  }

  #leave(): void {
    if (this.#steps.length === 1) return;
    const { path, node } = this.#steps.pop()!;
    if (node !== undefined) this.#left.push(path);
  }

  /** Whether the kernel takes the rest of the path as it is written. */
  #isPlain(name: string, names: readonly string[]): boolean {
    return !names.includes("..") &&
      !this.#host.hasLinks(this.#rest(name, names));
  }

  #rest(name: string, names: readonly string[]): string {
    return [this.found.path, name, ...names.toReversed()].join("/");
  }

  /** The result for a path that ends in the host's files, without links. */
  #ofHost(name: string, names: readonly string[]): Found | undefined {
    this.#steps.push({ path: this.#rest(name, names), node: undefined });
    return this.#end();
  }

  /** Goes on to a name of the host's, or to where it links; false where there is nothing. */
  #enterHost(name: string, names: string[], follows: boolean): boolean {
    const text = this.#host.readlink(`${this.found.path}/${name}`);
    if (typeof text === "string" && follows) {
      this.#follow(text, names);
      return true;
    }
    const mayBeMade = names.length === 0 && text === -ENOENT_CODE;
    const isThere = typeof text === "string" || text === -EINVAL_CODE;
    if (isThere || mayBeMade) this.#enter(name);
    return isThere || mayBeMade;
  }

  /** Follows a link that is shown; false where only the kernel knows what it leads to. */
  #followShown(link: Link, names: string[]): boolean {
    const found = link.past?.(this.#looker);
    if (found !== undefined) {
      this.#jump(found);
      return true;
    }
    const target = link.target(this.#looker);
    const hasNoPath = link.past !== undefined && names.length === 0;
    if (target === undefined || hasNoPath) return false;
    this.#leftHost ||= link.isOfHost !== true;
    this.#follow(target, names);
    return true;
  }

  #follow(target: string, names: string[]): void {
    if (++this.#links > MAX_LINKS) throw ELOOP;
    if (target.startsWith("/")) this.#steps.length = 1;
    names.push(...namesOf(target).reverse());
  }

  /** Goes on where a link leads past its text. */
  #jump({ path, node }: Found): void {
    this.#leftHost = true;
    this.#steps.length = 1;
    for (const name of namesOf(path)) this.#enter(name);
    this.#steps[this.#steps.length - 1] = { path, node };
  }
}
