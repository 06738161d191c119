// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults in what a program is shown.
 *
 * @module
 */

import type { HostMutant, Killer } from "../mutant.ts";

const FOLDER = "host/files/shown";
const OPEN_DEVICE = "A VFIO device that a program has open";

/** A fault of a file of the tree, or of the one at a path, noticed by a test of `shown_test.ts` unless another is named. */
function shown(
  file: string,
  fault: Omit<HostMutant, "file" | "killer"> & {
    readonly killer: readonly [about: string, it: string];
    readonly test?: string;
  },
): HostMutant {
  const { killer: [about, it], test = "shown_test.ts", ...rest } = fault;
  const killer: Killer = [`${FOLDER}/${test}`, about, it];
  const path = /^(host|impl)\//.test(file) ? file : `${FOLDER}/${file}`;
  return { ...rest, file: path, killer };
}

/** Theirs. */
export const SHOWN_MUTANTS: readonly HostMutant[] = [
  shown("devices.ts", {
    name: "shown-minor-taken",
    find: "while (taken.has(minor)) minor++;",
    replace: "",
    breaks: "/dev/iommu has the number of a device of the host",
    killer: [
      "The devices of a kernel",
      "have a minor number that none of the host has",
    ],
  }),
  shown("devices.ts", {
    name: "shown-no-class",
    find: "  tree.link(`/sys/class/${ofClass}/${name}`",
    replace: "  tree.link(`/sys/classes/${ofClass}/${name}`",
    breaks: "a device is not found by its class",
    killer: ["The devices of a kernel", "are found by class and by number"],
  }),
  shown("devices.ts", {
    name: "shown-subsystem-short",
    find: '"../".repeat(at.split("/").length + 1)',
    replace: '"../".repeat(at.split("/").length)',
    breaks: "the link to the class leads nowhere",
    killer: ["The devices of a kernel", "are found by class and by number"],
  }),
  shown("stat.ts", {
    name: "shown-regular-device",
    find: "device: 2, // DT_CHR",
    replace: "device: 8,",
    breaks: "stat says that a device is a regular file",
    killer: [
      "The devices of a kernel",
      "are character devices with their numbers",
    ],
  }),
  shown("stat.ts", {
    name: "shown-minor-low-byte",
    find: "(minor & ~0xff) << 12",
    replace: "minor & ~0xff",
    breaks: "a minor number above 255 is another in struct stat",
    killer: [
      "numbers",
      "of devices keep the low byte of the minor number in its place",
    ],
    test: "encode_test.ts",
  }),
  shown("stat.ts", {
    name: "shown-rdev-of-x86",
    find: "uid: 24,\n    rdev: 32,",
    replace: "uid: 24,\n    rdev: 40,",
    breaks: "a program on aarch64 sees no number of the device",
    killer: ["struct stat", "has its fields where C has them on aarch64"],
    test: "encode_test.ts",
  }),
  shown("dirents.ts", {
    name: "shown-twice",
    find: "if (shown(nameOf(record))) continue;",
    replace: "",
    breaks: "readdir tells a name twice that the host has too",
    killer: [
      "entries of a directory",
      "are put behind the host's, in place of those of the same name",
    ],
    test: "encode_test.ts",
  }),
  shown("dirents.ts", {
    name: "shown-record-short",
    find: "NAME_AT + name.length + 1 + 7",
    replace: "NAME_AT + name.length + 7",
    breaks: "a name without a zero at its end runs into the next entry",
    killer: [
      "entries of a directory",
      "are written as far as there is room, each with where the next is",
    ],
    test: "encode_test.ts",
  }),
  shown("resolve.ts", {
    name: "shown-dots-plain",
    find: 'return !names.includes("..") &&',
    replace: "return true &&",
    breaks: "a path with .. does not lead to a device",
    killer: ["A path leads to what is shown", "/tmp/../dev/iommu"],
    test: "resolve_test.ts",
  }),
  shown("host_files.ts", {
    name: "shown-link-ignored",
    find: "return fd === -ELOOP_CODE;",
    replace: "return false;",
    breaks: "a symbolic link of the host does not lead to a device",
    killer: ["The devices of a kernel", "are found through links of the host"],
  }),
  shown("host_files.ts", {
    name: "shown-questions-open",
    find: "if (fd >= 0) sys.close(fd);",
    replace: "",
    breaks: "the supervisor runs out of descriptors",
    killer: [
      "The devices of a kernel",
      "are found with no descriptor left open",
    ],
  }),
  shown("resolve.ts", {
    name: "shown-relative-link",
    find: 'if (target.startsWith("/")) this.#steps.length = 1;',
    replace: "this.#steps.length = 1;",
    breaks: "a link in a directory is followed from the root on",
    killer: ["A path leads to what is shown", "/dev/char/10:196"],
    test: "resolve_test.ts",
  }),
  shown("resolve.ts", {
    name: "shown-links-fewer",
    find: "++this.#links > MAX_LINKS",
    replace: "++this.#links >= MAX_LINKS",
    breaks: "a path with as many links as Linux follows is refused",
    killer: ["A path fails", "with ELOOP after 40 links"],
    test: "resolve_test.ts",
  }),
  shown("resolve.ts", {
    name: "shown-lost",
    find: "const isLost = this.#leftHost ||",
    replace: "const isLost = false &&",
    breaks:
      "the kernel looks for a path of the host through a directory that it has not",
    killer: [
      "A path that is the host's",
      "is found for the program when the kernel would lose its way to it",
    ],
    test: "resolve_test.ts",
  }),
  shown("proc.ts", {
    name: "shown-pages-as-kib",
    find: "pages * (PAGE_SIZE / 1024)",
    replace: "pages",
    breaks: "VmPin is a quarter of what is pinned",
    killer: [
      "/proc/PID/status",
      "tells of the memory that the model has charged and pinned",
    ],
  }),
  shown("proc.ts", {
    name: "shown-locked-for-pinned",
    find: '"VmPin", mm.pinnedVm',
    replace: '"VmPin", mm.lockedVm',
    breaks: "VmPin tells what is charged",
    killer: [
      "/proc/PID/status",
      "tells of the memory that the model has charged and pinned",
    ],
  }),
  shown("impl/kernel/files/value_file.ts", {
    name: "shown-fail-nth-decimal",
    find: "decimal ?? `0o0${octal}`",
    replace: "decimal ?? octal",
    breaks: "fail-nth takes 010 for ten",
    killer: ["fail-nth", "takes what Linux takes for a number"],
  }),
  shown("impl/kernel/files/value_file.ts", {
    name: "shown-fail-nth-uncounted",
    find: "task.mm.copyToUser(uaddr, bytes)",
    replace: "task.mm.putUser(uaddr, bytes)",
    breaks: "reading fail-nth is no step that can fail",
    killer: ["fail-nth", "counts its own steps, which can fail too"],
  }),
  shown("stand_ins.ts", {
    name: "shown-folder-stays",
    find: "    Deno.removeSync(temporary);\n",
    replace: "",
    breaks: "folders are left in the host's temporary folder",
    killer: [
      "A descriptor for what is only shown",
      "is an empty folder for a directory, which is gone",
    ],
  }),
  shown("stand_ins.ts", {
    name: "shown-text-writable",
    find: "return this.#reopen(fd, O_RDONLY);",
    replace: "return this.#reopen(fd, 2);",
    breaks: "a program can write into a text that is only read",
    killer: [
      "A descriptor for what is only shown",
      "is a memory file for a text",
    ],
  }),
  shown("shown.ts", {
    name: "shown-directory-written",
    find: "throw EISDIR;",
    replace: "flags = 0;",
    breaks: "a directory is opened for writing",
    killer: [
      "A descriptor for what is only shown",
      "is refused with EISDIR: /sys/devices/virtual/misc/iommu, flags 2",
    ],
  }),
  shown("shown.ts", {
    name: "shown-reopen-forgotten",
    find: "file.device = open;",
    replace: "",
    breaks: "a device cannot be opened through /proc/self/fd",
    killer: [
      "A socket that stands for an open file",
      "is opened again as what it was opened as",
    ],
  }),
  shown("devices.ts", {
    name: "shown-device-too-late",
    find: "if (deviceChanges === this.#changes) return;",
    replace: "if (this.#shown.size > 0) return;",
    breaks: "a device that came after the program is not seen",
    killer: [
      "A PCI device of VFIO's",
      "is seen when it came after the program",
    ],
    test: "pci/device_test.ts",
  }),
  shown("devices.ts", {
    name: "shown-major-twice",
    find: "for (const other of this.#majors.values()) taken.add(other);",
    replace: "",
    breaks: "a device and a group have the same number",
    killer: ["A PCI device of VFIO's", "has files with numbers of their own"],
    test: "pci/device_test.ts",
  }),
  shown("pci/resources.ts", {
    name: "shown-resource-length",
    find: "start + bar.size * count - 1",
    replace: "start + bar.size * count",
    breaks: "a BAR is a byte longer in sysfs than it is",
    killer: [
      "A PCI device of VFIO's",
      "has its BARs and its configuration space",
    ],
    test: "pci/device_test.ts",
  }),
  shown("pci/system.ts", {
    name: "shown-group-of-all",
    find: "const member = `${directory}/devices/${pci.name}`;",
    replace: "const member = `/sys/kernel/iommu_groups/devices/${pci.name}`;",
    breaks: "the group of a device does not have it",
    killer: [
      "A PCI device of VFIO's",
      "is found on its bus, by its driver and by its group",
    ],
    test: "pci/device_test.ts",
  }),
  shown("resolve.ts", {
    name: "shown-whole-not",
    find: "if (this.#isWhole) throw ENOENT;",
    replace: "",
    breaks: "files of the host's device are those of the one at its address",
    killer: ["A whole directory", "has nothing of the host's at its paths"],
    test: "resolve_test.ts",
  }),
  shown("pci/attributes.ts", {
    name: "shown-mask-words",
    find: "Math.ceil(digits.length / 8) * 8",
    replace: "digits.length",
    breaks: "a machine with 33 processors has no mask of them",
    killer: [
      "A list of processors as a mask",
      "has a bit for each, in words of 32",
    ],
    test: "pci/attributes_test.ts",
  }),
  shown("proc.ts", {
    name: "shown-fdinfo-of-socket",
    find: '?.replace(/^scm_fds:.*\\n/m, "")',
    replace: "",
    breaks: "what is told of a descriptor shows that it is a socket",
    killer: [OPEN_DEVICE, "is no terminal, and no socket"],
    test: "../../testing/programs/vfio_files_test.ts",
  }),
  shown("proc.ts", {
    name: "shown-thread-unknown",
    find: "sources.processOf(pid)?.faultsOf(tid)",
    replace: "sources.processOf(tid)?.faultsOf(tid)",
    breaks: "fail-nth of a thread that has made no call yet is of nobody",
    killer: ["fail-nth", "is there for a thread that has made no call yet"],
  }),
];
