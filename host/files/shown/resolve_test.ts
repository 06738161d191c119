// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ENOENT, type Errno } from "../../../impl/uapi/errno.ts";
import { attribute, Folder, type Found, Tree } from "./node.ts";
import { type HostPaths, PathResolver } from "./resolve.ts";

const LOOKER = { tgid: 7, tid: 8 };

/** A host whose files are listed: a directory, a file, or the text of a link. */
class ListedHost implements HostPaths {
  readonly #files: Readonly<Record<string, string>>;
  asked = 0;

  constructor(files: Readonly<Record<string, string>>) {
    this.#files = files;
  }

  readlink(path: string): string | number {
    this.asked++;
    const file = this.#files[path];
    if (file === undefined) return -2;
    return file.startsWith(">") ? file.slice(1) : -22;
  }

  hasLinks(path: string): boolean {
    this.asked++;
    const names = path.split("/").slice(1);
    const prefixes = names.map((_, i) => `/${names.slice(0, i + 1).join("/")}`);
    const first = prefixes.find((prefix) => {
      const file = this.#files[prefix];
      return file === undefined || file.startsWith(">");
    });
    return first !== undefined && this.#files[first] !== undefined;
  }

  isDirectory(path: string): boolean {
    return this.#files[path] === "directory";
  }
}

function fixture() {
  const tree = new Tree();
  tree.add("/dev/iommu", attribute("iommu"));
  tree.add("/dev/vfio/vfio", attribute("vfio"));
  tree.link("/dev/char/10:196", "../vfio/vfio");
  tree.link("/sys/class/misc/iommu", "../../devices/virtual/misc/iommu");
  tree.add("/sys/devices/virtual/misc/iommu/dev", attribute("10:260"));
  tree.link(
    "/sys/devices/virtual/misc/iommu/subsystem",
    "../../../../class/misc",
  );
  tree.link("/dev/loop1", "loop2");
  tree.link("/dev/loop2", "loop1");
  tree.add("/proc/7/fd", openFiles());
  const host = new ListedHost({
    "/": "directory",
    "/dev": "directory",
    "/dev/null": "file",
    "/dev/fd": ">/proc/7/fd",
    "/tmp": "directory",
    "/tmp/file": "file",
    "/tmp/device": ">/dev/iommu",
    "/tmp/devices": ">../dev",
    "/tmp/nowhere": ">/tmp/nothing",
    "/tmp/round": ">round",
    "/sys": "directory",
    "/sys/class": "directory",
    "/sys/class/misc": "directory",
    "/sys/class/misc/fuse": ">../../devices/virtual/misc/fuse",
    "/sys/devices": "directory",
    "/sys/devices/virtual": "directory",
    "/sys/devices/virtual/misc": "directory",
    "/sys/devices/virtual/misc/fuse": "directory",
    "/sys/devices/virtual/misc/fuse/dev": "file",
  });
  const resolver = new PathResolver(tree.root, host);
  const resolve = (path: string, follows = true, base = "/") =>
    resolver.resolve(LOOKER, { path: base, isOnlyShown: false }, path, follows);
  return { resolver, host, resolve };
}

/** What `/proc/PID/fd` has: 3 is `/dev/iommu`, opened; 4 is `/dev` of the host; 5 is a pipe. */
function openFiles(): Folder {
  const folder = new Folder();
  const past = (found: Found | undefined, text: string) => ({
    kind: "link" as const,
    target: () => text,
    past: () => found,
  });
  const opened = { path: "/dev/iommu", node: attribute("opened") };
  folder.set("3", past(opened, "/dev/iommu"));
  folder.set("4", past(undefined, "/dev"));
  folder.set("5", past(undefined, "pipe:[1]"));
  return folder;
}

function textOf(found: Found | undefined): string | undefined {
  const { node } = found ?? {};
  return node?.kind === "text" ? node.read(LOOKER) : node?.kind;
}

describe("A path leads to what is shown", () => {
  const { resolve } = fixture();
  const shown: Readonly<Record<string, [path: string, text: string]>> = {
    "/dev/iommu": ["/dev/iommu", "iommu"],
    "//dev/./iommu": ["/dev/iommu", "iommu"],
    "/dev/vfio": ["/dev/vfio", "directory"],
    "/dev/vfio/": ["/dev/vfio", "directory"],
    "/dev/vfio/../iommu": ["/dev/iommu", "iommu"],
    "/tmp/../dev/iommu": ["/dev/iommu", "iommu"],
    "/../dev/iommu": ["/dev/iommu", "iommu"],
    "/dev/char/10:196": ["/dev/vfio/vfio", "vfio"],
    "/tmp/device": ["/dev/iommu", "iommu"],
    "/tmp/devices/vfio/vfio": ["/dev/vfio/vfio", "vfio"],
    "/sys/class/misc/iommu/dev": [
      "/sys/devices/virtual/misc/iommu/dev",
      "10:260",
    ],
    "/sys/class/misc/iommu/subsystem/iommu/dev": [
      "/sys/devices/virtual/misc/iommu/dev",
      "10:260",
    ],
    "/proc/7/fd/3": ["/dev/iommu", "opened"],
    "/proc/7/fd/4/iommu": ["/dev/iommu", "iommu"],
    "/dev/fd/3": ["/dev/iommu", "opened"],
  };
  for (const [path, [at, text]] of Object.entries(shown)) {
    it(path, () => {
      const found = resolve(path);
      assertEquals([found?.path, textOf(found)], [at, text]);
    });
  }

  it("from the directory that it begins at", () => {
    assertEquals(resolve("iommu", true, "/dev")?.path, "/dev/iommu");
    assertEquals(resolve("../iommu", true, "/dev/vfio")?.path, "/dev/iommu");
    assertEquals(resolve("device", true, "/tmp")?.path, "/dev/iommu");
    assertEquals(resolve("iommu", true, "/tmp"), undefined, "control");
  });
});

describe("A path that is the host's", () => {
  const { resolve, host } = fixture();
  const paths = [
    "/",
    "/dev",
    "/dev/null",
    "/dev/vfio/nothing",
    "/tmp/devices",
    "/tmp/file",
    "/tmp/nothing",
    "/tmp/nowhere",
    "/tmp/../dev/null",
    "/sys/class/misc/fuse/dev",
    "/proc/7/fd/5",
    "/proc/7/fd/6",
    "/dev/vfio/nothing/../../iommu",
    "/tmp/nothing/../device",
  ];
  for (const path of paths) {
    it(`goes on as it is: ${path}`, () => {
      assertEquals(resolve(path), undefined);
    });
  }

  it("takes one question if it has no links", () => {
    host.asked = 0;
    resolve("/tmp/a/b/c");
    assertEquals(host.asked, 1);
    resolve("/dev/iommu");
    assertEquals(host.asked, 1, "and what is shown none");
  });

  it("is found for the program when the kernel would lose its way to it", () => {
    const { resolver } = fixture();
    const lost = { path: "/dev/null", node: undefined };
    assertEquals(resolve("/dev/vfio/../null"), lost);
    assertEquals(resolve("/sys/class/misc/iommu/subsystem/fuse/dev"), {
      path: "/sys/devices/virtual/misc/fuse/dev",
      node: undefined,
    });
    const base = { path: "/dev/vfio", isOnlyShown: true };
    assertEquals(resolver.resolve(LOOKER, base, "../null", true), lost);
  });
});

describe("A link at the end of a path", () => {
  const { resolve } = fixture();
  it("is not followed if the call does not follow it", () => {
    assertEquals(resolve("/dev/char/10:196", false)?.path, "/dev/char/10:196");
    assertEquals(resolve("/proc/7/fd/3", false)?.node?.kind, "link");
    assertEquals(resolve("/tmp/device", false), undefined);
  });

  it("is followed by a slash", () => {
    const found = resolve("/sys/class/misc/iommu/", false);
    assertEquals(found?.path, "/sys/devices/virtual/misc/iommu");
  });
});

describe("A path fails", () => {
  const { resolve } = fixture();
  const failures = {
    "/dev/iommu/x": "ENOTDIR",
    "/dev/iommu/": "ENOTDIR",
    "/dev/iommu/../null": "ENOTDIR",
    "/dev/loop1": "ELOOP",
    "/tmp/round": "ELOOP",
  };
  for (const [path, errno] of Object.entries(failures)) {
    it(`with ${errno}: ${path}`, () => {
      const error = assertThrows(() => resolve(path));
      assertEquals((error as unknown as Errno).name, errno);
    });
  }
});

describe("A path fails", () => {
  it("with ELOOP after 40 links", () => {
    const tree = new Tree();
    tree.add("/0", attribute("end"));
    for (let i = 1; i <= 41; i++) tree.link(`/${i}`, `${i - 1}`);
    const resolver = new PathResolver(tree.root, new ListedHost({}));
    const base = { path: "/", isOnlyShown: false };
    const follow = (path: string) => resolver.resolve(LOOKER, base, path, true);
    assertEquals(follow("/40")?.path, "/0");
    const error = assertThrows(() => follow("/41"));
    assertEquals((error as unknown as Errno).name, "ELOOP");
  });
});

describe("A tree", () => {
  it("loses the directories that were there for what is removed", () => {
    const tree = new Tree();
    tree.add("/a/b/c", attribute(""));
    tree.add("/a/d", attribute(""));
    tree.remove("/a/b/c");
    assertEquals([...(tree.root.child("a") as Folder).names()], ["d"]);
    tree.remove("/a/d");
    tree.remove("/a/d");
    assertEquals([...tree.root.names()], []);
  });

  it("puts nothing below what is no folder", () => {
    const tree = new Tree();
    tree.add("/a", attribute(""));
    assertThrows(
      () => tree.add("/a/b", attribute("")),
      TypeError,
      "a is no folder",
    );
  });
});

describe("A whole directory", () => {
  it("has nothing of the host's at its paths", () => {
    const tree = new Tree();
    tree.add("/sys/class", new Folder({ isWhole: true }));
    tree.add("/sys/class/misc/own", attribute(""));
    const host = new ListedHost({
      "/sys": "directory",
      "/sys/class": "directory",
      "/sys/class/misc": "directory",
      "/sys/class/misc/fuse": "file",
    });
    const resolver = new PathResolver(tree.root, host);
    const resolve = (path: string) =>
      resolver.resolve(LOOKER, { path: "/", isOnlyShown: false }, path, true);
    assertEquals(resolve("/sys/class/misc/own")?.node?.kind, "text");
    for (const path of ["/sys/class/misc/fuse", "/sys/class/net"]) {
      assertEquals(assertThrows(() => resolve(path)), ENOENT, path);
    }
    assertEquals(resolve("/sys/block"), undefined, "control");
  });
});
