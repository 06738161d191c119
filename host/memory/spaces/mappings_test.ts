// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  MAP_SHARED,
  PAGE_SIZE,
  PROT_NONE,
  PROT_READ,
} from "../../../impl/uapi/mman.ts";
import { must } from "../../sys/sys.ts";
import { OwnMemory, PRIVATE, RW, sys } from "../testing/own_memory.ts";
import { Copier } from "./copier.ts";
import {
  canQuery,
  ListedMappings,
  type Mappings,
  parseMaps,
  QueriedMappings,
  readAll,
} from "./mappings.ts";
import { Mounts } from "./mounts.ts";

const copier = new Copier(sys);
const maps = must(sys.openat(-1, "/proc/self/maps", 0), "open");

const ways: Record<string, Mappings> = {
  "listed": new ListedMappings(() => readAll(copier, maps), () => PAGE_SIZE),
  ...canQuery(sys, maps)
    ? { "asked for": new QueriedMappings(sys, maps, QueriedMappings.room(sys)) }
    : {},
};

for (const [how, mappings] of Object.entries(ways)) {
  describe(`mappings, ${how}`, () => {
    it("say what is at an address", () => {
      using own = new OwnMemory();
      const at = own.map(3, PRIVATE);
      sys.call(sys.nr.mprotect, at + PAGE_SIZE, PAGE_SIZE, PROT_READ);
      const found = mappings.find(at + PAGE_SIZE + 5)!;
      const { start, end, prot, shared, pageSize, file } = found;
      assertEquals([start, end], [at + PAGE_SIZE, at + 2 * PAGE_SIZE]);
      assertEquals([prot, shared, pageSize, file], [
        PROT_READ,
        false,
        PAGE_SIZE,
        "",
      ]);
    });

    it("say what is not, and what comes next", () => {
      using own = new OwnMemory();
      const at = own.map(3, PRIVATE, PROT_NONE);
      own.unmap(at, 2);
      assertEquals(mappings.find(at), undefined);
      assertEquals(mappings.find(at, true)?.start, at + 2 * PAGE_SIZE);
      assertEquals(mappings.find(2 ** 52, true), undefined);
    });

    it("say which file it is, and where", () => {
      using own = new OwnMemory();
      const fd = own.memfd(4);
      const at = own.map(2, MAP_SHARED, RW, fd, PAGE_SIZE);
      const found = mappings.find(at)!;
      const key = own.machine.objectOfFd(sys.call(sys.nr.dup, fd))?.key;
      assertEquals(found.file, key);
      assertEquals([found.offset, found.shared], [PAGE_SIZE, true]);
    });
  });
}

describe("the text of /proc/PID/maps", () => {
  it("may have huge pages, which their file tells", () => {
    const text =
      "7f0000000000-7f0000200000 rw-s 00200000 00:0f 7   /anon_hugepage (deleted)\n" +
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n";
    const all = parseMaps(text, (file) => file === "0:15:7" ? 2 ** 21 : 0);
    assertEquals(all.length, 1, "The kernel's own is not the process's");
    const { shared, pageSize, offset, prot } = all[0]!;
    assertEquals([shared, pageSize], [true, 2 ** 21]);
    assertEquals([offset, prot], [0x200000, RW]);
  });
});

describe("mounts", () => {
  const mounts = new Mounts(() =>
    "25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n" +
    "30 25 0:26 / /dev/shm rw - tmpfs tmpfs rw\n" +
    "31 25 0:27 / /dev/hugepages rw - hugetlbfs hugetlbfs rw,pagesize=2M\n" +
    "32 25 0:28 / /mnt/huge rw - hugetlbfs none rw,pagesize=1024M,size=0\n" +
    "33 25 0:29 / /mnt/small rw - hugetlbfs none rw,pagesize=64K\n"
  );

  it("tell memory from files of a disk", () => {
    assert(mounts.isMemory("0:26:5") && mounts.isMemory("0:27:5"));
    assert(mounts.isMemory("0:1:5"), "The kernel's own is memory");
    assert(!mounts.isMemory("254:0:5"));
  });

  it("tell how large huge pages are", () => {
    const files = ["0:26:5", "0:27:5", "0:28:5", "0:29:5", "0:1:5"];
    const sizes = files.map((file) => mounts.hugePageSize(file));
    assertEquals(sizes, [undefined, 2 ** 21, 2 ** 30, 2 ** 16, undefined]);
  });
});
