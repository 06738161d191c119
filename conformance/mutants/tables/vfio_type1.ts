// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of VFIO's own container.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const VFIO_TYPE1_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/vfio/type1/container.ts", [{
    name: "type1-nesting",
    find: "        return this.#kernel.revision.vfio.type1HasNesting;\n",
    replace: "        return false;\n",
    breaks: "The type for nesting is unknown where Linux still knew it",
    killer: "kit_vfio_container.type1.type",
    uapi: "6.12",
  }, {
    name: "type1-typed-twice",
    find: '    if (this.#hasType) throw EINVAL.because("it has a type");\n',
    replace: "",
    breaks: "A container can be given a type again",
    killer: "kit_vfio_container.type1.type",
  }, {
    name: "type1-typed-empty",
    find: 'throw EINVAL.because("no group is in it")',
    replace: 'throw ENODEV.because("no group is in it")',
    breaks: "A container without a group has no type in another way",
    killer: "kit_vfio_container.type1.without_group",
  }, {
    name: "type1-unknown-type",
    find: 'throw ENODEV.because("the type is unknown")',
    replace: 'throw EINVAL.because("the type is unknown")',
    breaks: "An unknown type is refused with another errno",
    killer: "kit_vfio_container.type1.type",
  }, {
    name: "type1-device-untyped",
    find: "    if (!this.#hasType) throw NO_TYPE;\n    this.#groups.set",
    replace: "    this.#groups.set",
    breaks: "A device is opened before its container has a type",
    killer: "kit_vfio_container.type1.device_before_type",
  }, {
    name: "type1-leaves-open",
    find: "if (this.#groups.get(group)! > 0) {",
    replace: "if (false) {",
    breaks: "A group with open devices can leave its container",
    killer: "kit_vfio_container.type1.open_device",
  }, {
    name: "type1-close-untold",
    find: "this.#groups.set(group, this.#groups.get(group)! - 1);",
    replace: "",
    breaks: "A closed device keeps its group in the container",
    killer: "kit_vfio_type1.v2.group_is_held",
  }, {
    name: "type1-keeps-type",
    find: "if (this.#groups.size === 0) {",
    replace: "if (false) {",
    breaks: "A container keeps its type and mappings without a group",
    killer: "kit_vfio_container.type1.group_leaves",
  }, {
    name: "type1-update-vaddr",
    find: "return this.#iommu !== undefined;",
    replace: "return true;",
    breaks: "An extension of a type is there without one",
    killer: "kit_vfio_container.type1.without_group",
  }, {
    name: "type1-v1-dirty",
    find:
      '        if (!iommu.isV2) throw EACCES.because("version 1 tracks nothing");\n',
    replace: "",
    breaks: "Version 1 tracks dirty pages",
    killer: "kit_vfio_type1.v1.dirty",
  }, {
    name: "type1-all-with-range",
    find: "if (all && (iova !== 0n || length !== 0n)) {",
    replace: "if (false) {",
    breaks: "ALL is taken together with a range",
    killer: "kit_vfio_container.type1.unmap",
  }, {
    name: "type1-bitmap-of-all",
    find: "if (dirty && (all || lose)) {",
    replace: "if (false) {",
    breaks: "A bitmap of everything is asked for",
    killer: "kit_vfio_type1.v2.dirty",
  }, {
    name: "type1-unmapped-untold",
    find: "  task.mm.copyToUser(uaddr, bytes);\n}",
    replace: "}",
    breaks: "UNMAP_DMA does not tell how many bytes it unmapped",
    killer: "kit_vfio_container.type1.unmap",
  }]),
  ...inFile("impl/vfio/type1/iommu.ts", [{
    name: "type1-overlap",
    find: "if (this.mappings.first(iova, last) !== undefined) {",
    replace: "if (this.mappings.first(iova, iova) !== undefined) {",
    breaks: "Only the first IOVA of a range is looked at",
    killer: "kit_vfio_container.type1.map_errno",
  }, {
    name: "type1-reserved",
    find: "      iova >= valid.start && last <= valid.last\n",
    replace: "      iova >= valid.start && iova <= valid.last\n",
    breaks: "A range may end in reserved IOVA",
    killer: "kit_vfio_container.type1.map_errno",
  }, {
    name: "type1-overflow",
    find: "    this.#checkEnd(iova + length - 1n);\n    this.#checkEnd(vaddr",
    replace: "    this.#checkEnd(vaddr",
    breaks: "A range that ends beyond 2^64 gets another errno",
    killer: "kit_vfio_container.type1.map_errno",
  }, {
    name: "type1-old-errno",
    find: "    const errno = type1SaysOverflow ? EOVERFLOW : EINVAL;\n",
    replace: "    const errno = EOVERFLOW;\n",
    breaks: "A range that ends beyond 2^64 gets the errno of later kernels",
    killer: "kit_vfio_container.type1.map_errno",
    uapi: "6.12",
  }, {
    name: "type1-count-map",
    find: "    this.available--;\n",
    replace: "",
    breaks: "Mappings are not counted",
    killer: "kit_vfio_type1.v2.available",
  }, {
    name: "type1-count-unmap",
    find: "    this.available++;\n",
    replace: "",
    breaks: "Mappings that are gone count still",
    killer: "kit_vfio_type1.v2.available",
  }, {
    name: "type1-v2-cuts",
    find: "    if (this.isV2) return this.uncut(range);\n",
    replace: "",
    breaks: "Version 2 unmaps a mapping for a part of it",
    killer: "kit_vfio_type1.v2.cut",
  }, {
    name: "type1-v2-cuts-end",
    find: " || (end && end.last !== last)",
    replace: "",
    breaks: "Version 2 unmaps a mapping for its beginning",
    killer: "kit_vfio_type1.v2.cut",
  }, {
    name: "type1-v1-cuts",
    find:
      "return found[0] !== undefined && found[0].start < iova ? [] : found;",
    replace: "return found;",
    breaks: "Version 1 unmaps a mapping for its middle",
    killer: "kit_vfio_type1.v1.cut",
  }, {
    name: "type1-lost-twice",
    find: "if (found.some((dma) => dma.isAddressLost)) {",
    replace: "if (false) {",
    breaks: "Memory without an address can lose it again",
    killer: "kit_vfio_type1.v2.address_lost",
  }, {
    name: "type1-address-known",
    find: "if (!dma.isAddressLost || dma.start",
    replace: "if (dma.start",
    breaks: "Memory that has its address can be told another",
    killer: "kit_vfio_type1.v2.address_lost",
  }, {
    name: "type1-address-of-part",
    find: " || dma.length !== length) {",
    replace: ") {",
    breaks: "A part of memory can be told an address",
    killer: "kit_vfio_type1.v2.address_lost",
  }]),
  ...inFile("impl/vfio/type1/dma.ts", [{
    name: "type1-no-limit",
    find: '    throw ENOMEM.because("RLIMIT_MEMLOCK is exceeded");\n',
    replace: "",
    breaks: "Memory beyond RLIMIT_MEMLOCK is mapped",
    killer: "kit_vfio_type1.v2.charged",
  }, {
    name: "type1-moves-unlimited",
    find: "      charge(task, this.#locked);",
    replace: "      task.mm.lockedVm += this.#locked;",
    breaks: "Who gives memory an address may exceed RLIMIT_MEMLOCK",
    killer: "kit_vfio_type1.v2.address_of_another",
  }, {
    name: "type1-stays-charged",
    find: "    this.#mm.lockedVm -= this.#locked;\n    this.#runs.length = 0;",
    replace: "    this.#runs.length = 0;",
    breaks: "Memory that is unmapped stays charged",
    killer: "kit_vfio_type1.v2.charged",
  }, {
    name: "type1-read-only-bar",
    find: "const write = (this.#prot & IOMMU_WRITE) !== 0;",
    replace: "const write = false;",
    breaks: "A BAR that is mapped for reading can be written by DMA",
    killer: "kit_vfio_type1.v2.bar",
  }]),
  ...inFile("impl/vfio/type1/info.ts", [{
    name: "type1-argsz",
    find: "if (room < total) cmd.argsz = total;",
    replace: "if (room < total) cmd.argsz = room;",
    breaks: "GET_INFO does not tell how much room it needs",
    killer: "kit_vfio_container.type1.info",
  }, {
    name: "type1-info-beyond",
    find: "bytes.subarray(0, room)",
    replace: "bytes",
    breaks: "GET_INFO writes more than there is room for",
    killer: "kit_vfio_container.type1.info",
  }]),
  ...inFile("impl/vfio/type1/dirty.ts", [{
    name: "type1-dirty-off",
    find: "  if (!iommu.tracksDirty) throw NOT_TRACKED;\n",
    replace: "",
    breaks: "Dirty pages are told while nothing is noted",
    killer: "kit_vfio_type1.v2.dirty",
  }, {
    name: "type1-dirty-short",
    find: "    length < 8n * words\n",
    replace: "    false\n",
    breaks: "A bitmap may be shorter than its range",
    killer: "kit_vfio_type1.v2.dirty",
  }, {
    name: "type1-dirty-keeps",
    find: "if (shift > 0) task.mm.copyFromUser",
    replace: "task.mm.copyFromUser",
    breaks:
      "A bitmap keeps what its first word had, also where a mapping begins",
    killer: "kit_vfio_type1.v2.dirty",
  }, {
    name: "type1-dirty-clears",
    find: "! |= 1 << bit % 8;",
    replace: "! = 1 << bit % 8;",
    breaks: "A bitmap loses the bits that it had",
    killer: "kit_vfio_type1.v2.dirty",
  }]),
];
