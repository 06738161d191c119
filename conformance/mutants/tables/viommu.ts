// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of virtual IOMMUs and of what is on them.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const VIOMMU_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/iommufd/viommu/viommu.ts", [{
    name: "viommu-any-type",
    find: "if (type === IOMMU_VIOMMU_TYPE_DEFAULT) throw UNKNOWN_TYPE;\n",
    replace: "",
    breaks: "VIOMMU_ALLOC looks at the device before it misses a type",
    killer: "kit_viommu.alloc_order",
  }, {
    name: "viommu-any-hwpt",
    find: "if (!paging.nestParent) {",
    replace: "if (false) {",
    breaks: "A virtual IOMMU is made on a HWPT that is no parent",
    killer: "kit_viommu.alloc_order",
  }, {
    name: "viommu-parent-goes",
    find: "    paging.ref();\n",
    replace: "",
    breaks: "A virtual IOMMU does not hold its HWPT",
    killer: "kit_viommu.hwpt_holds_viommu",
  }, {
    name: "viommu-keeps-driver",
    find: "    this.#ops.destroy?.();\n",
    replace: "",
    breaks: "The driver is not told that a virtual IOMMU goes",
    killer: "kit_viommu.mmap_offsets",
  }, {
    name: "viommu-always-data",
    find: "viommu.init(dataLen === 0 ? undefined : userData);",
    replace: "viommu.init(userData);",
    breaks: "A virtual IOMMU without data has the driver read some",
    killer: "kit_viommu.hwpt_holds_viommu",
  }, {
    name: "event-queue-any-type",
    find: "const queue = this.veventqs.get(type);",
    replace: "const [queue] = this.veventqs.values();",
    breaks: "An event goes to whatever queue there is",
    killer: "kit_viommu.veventq_types",
  }]),
  ...inFile("impl/iommufd/viommu/vdevice.ts", [{
    name: "vdevice-twice",
    find: "if (idev.vdevice !== undefined) {",
    replace: "if (false) {",
    breaks: "A device is known to two virtual IOMMUs",
    killer: "kit_viommu.vdevice_once",
  }, {
    name: "vdevice-same-number",
    find: "if (vdevices.has(this.virtId)) {",
    replace: "if (false) {",
    breaks: "Two devices have one number",
    killer: "kit_viommu.vdevice_order",
  }, {
    name: "vdevice-stays-known",
    find: "      viommu.virtIds.delete(this.dev);\n",
    replace: "",
    breaks: "A device can be attached after its vDEVICE is gone",
    killer: "kit_viommu.vdevice_goes_while_attached",
  }, {
    name: "vdevice-number-stays",
    find: "      viommu.vdevices.delete(this.virtId);\n",
    replace: "",
    breaks: "The number of a vDEVICE that is gone is in use",
    killer: "kit_viommu.vdevice_once",
  }, {
    name: "vdevice-device-stays",
    find: "    this.#idev.vdevice = undefined;\n",
    replace: "",
    breaks: "A device never gets another vDEVICE",
    killer: "kit_viommu.vdevice_once",
  }]),
  ...inFile("impl/iommufd/attach/device.ts", [{
    name: "vdevice-outlives-device",
    find: "    this.ctx.objects.tombstoneUser(this.vdevice);\n",
    replace: "    this.vdevice.unref();\n",
    breaks: "A vDEVICE stays when its device goes",
    killer: "kit_viommu.tombstone",
  }, {
    name: "no-tombstone",
    find: "this.ctx.objects.tombstoneUser(this.vdevice);",
    replace: "this.ctx.objects.destroyUser(this.vdevice);",
    breaks: "The id of a vDEVICE that went with its device is given out again",
    killer: "kit_viommu.tombstone",
  }]),
  ...inFile("impl/iommufd/viommu/veventq.ts", [{
    name: "veventq-type-first",
    find:
      "  if (type === IOMMU_VEVENTQ_TYPE_DEFAULT) throw NO_TYPE;\n  if (veventqDepth === 0",
    replace: "  if (veventqDepth === 0",
    breaks: "A queue is made for no type of events",
    killer: "kit_viommu.veventq_order",
  }, {
    name: "veventq-too-deep",
    find: "veventqDepth > MAX_DEPTH",
    replace: "veventqDepth > MAX_DEPTH + 1",
    breaks: "A queue holds 2^19+1 events",
    killer: "kit_viommu.veventq_order",
  }, {
    name: "veventq-second",
    find: "if (viommu.veventqs.has(type)) {",
    replace: "if (false) {",
    breaks: "There are two queues for a type of events",
    killer: "kit_viommu.veventq_order",
  }, {
    name: "lost-not-counted",
    find:
      "    this.sequence = this.sequence === MAX_SEQUENCE ? 0 : this.sequence + 1;\n",
    replace:
      "    if (!isLost) {\n      this.sequence = (this.sequence + 1) % (MAX_SEQUENCE + 1);\n    }\n",
    breaks: "An event that is lost takes no number",
    killer: "kit_viommu.overflow",
  }, {
    name: "lost-header-stays",
    find: "    if (this.#tellsOfLost) this.#unread.pop();\n",
    replace: "",
    breaks: "The header of lost events stays before a later event",
    killer: "kit_viommu.overflow",
  }, {
    name: "lost-header-counts",
    find: "return this.#unread.length - (this.#tellsOfLost ? 1 : 0);",
    replace: "return this.#unread.length;",
    breaks: "The header of lost events takes the room of an event",
    killer: "kit_viommu.overflow_then_room",
  }, {
    name: "veventq-read-small",
    find: "if (count < IommufdVeventHeader.size) {",
    replace: "if (count < IommufdVeventHeader.size && this.isReadable) {",
    breaks: "A read with no room for a header of an empty queue is not refused",
    killer: "kit_viommu.read_empty",
  }, {
    name: "veventq-read-parts",
    find: "if (bytes.length > count - done) {",
    replace: "if (IommufdVeventHeader.size > count - done) {",
    breaks: "A read stores an event for which there is no room",
    killer: "kit_viommu.read_room",
  }, {
    name: "veventq-read-again",
    find: "      this.#unread.splice(0, taken);\n",
    replace: "",
    breaks: "An event can be read again",
    killer: "kit_viommu.overflow",
  }, {
    name: "veventq-not-forgotten",
    find: "    this.viommu.veventqs.delete(this.type);\n",
    replace: "",
    breaks: "A queue that is gone is in the way of the next",
    killer: "kit_viommu.events_die_with_queue",
  }]),
  ...inFile("impl/iommufd/events/event_queue.ts", [{
    name: "queue-without-user",
    find: "    queue.ref();\n",
    replace: "",
    breaks: "A queue can be destroyed under its descriptor",
    killer: "kit_viommu.descriptor_holds_queue",
  }, {
    name: "queue-without-context",
    find: "    queue.ctx.get();\n",
    replace: "",
    breaks: "A queue's descriptor does not keep the context",
    killer: "kit_viommu.descriptor_keeps_context",
  }]),
  ...inFile("impl/iommufd/viommu/hw_queue.ts", [{
    name: "queue-scattered",
    find: "if (pfns.some((pfn, i) => pfn !== pfns[0]! + i)) {",
    replace: "if (false) {",
    breaks: "A queue may be scattered in memory",
    killer: "kit_viommu.hw_queue_scattered",
  }, {
    name: "queue-last-page",
    find: "if (length > U64_MAX) {",
    replace: "if (false) {",
    breaks: "A queue up to the end of all IOVA has too many pages",
    killer: "kit_viommu.hw_queue_order",
  }, {
    name: "queue-never-stops",
    find: "    this.#stop?.();\n",
    replace: "",
    breaks: "The driver is not told that a queue goes",
    killer: "kit_viommu.hw_queue_index_again",
  }, {
    name: "queue-without-viommu",
    find: "    viommu.ref();\n",
    replace: "",
    breaks: "A queue does not hold its virtual IOMMU",
    killer: "kit_viommu.hw_queue_holds",
  }, {
    name: "queue-no-dependence",
    find: "    (on as IommufdHwQueue).ref();\n",
    replace: "    (on as IommufdHwQueue).ref();\n    on.undepend(on);\n",
    breaks: "Queue 0 can go before queue 1",
    killer: "kit_viommu.hw_queue_depends",
  }]),
  ...inFile("impl/iommufd/access/access.ts", [{
    name: "queue-does-not-lock",
    find: "        if (this.isInternal) area.numLocks++;\n",
    replace: "",
    breaks: "The memory of a queue can be unmapped",
    killer: "kit_viommu.locked",
  }]),
  ...inFile("impl/iommufd/ioas/io_pagetable.ts", [{
    name: "lock-after-cut",
    find: "      if (area.numLocks > 0) throw LOCKED;\n",
    replace:
      "      if (area.numLocks > 0 && area.start >= start) throw LOCKED;\n",
    breaks: "An unmap that cuts a locked area does not find the lock",
    killer: "kit_viommu.locked",
  }]),
  ...inFile("impl/iommufd/viommu/mmap.ts", [{
    name: "mmap-first-page",
    find: "    let offset = PAGE_SIZE;\n",
    replace: "    let offset = 0;\n",
    breaks: "Memory of a driver is mapped at offset 0",
    killer: "kit_viommu.mmap_offsets",
  }, {
    name: "mmap-parts",
    find: "region === undefined || region.length !== length",
    replace: "region === undefined || region.length < length",
    breaks: "A part of a driver's memory is mapped",
    killer: "kit_viommu.mmap_errno",
  }, {
    name: "mmap-private",
    find:
      '    if (!shared) throw EINVAL.because("memory of a device cannot be private");\n',
    replace: "",
    breaks: "Memory of a driver is mapped private",
    killer: "kit_viommu.mmap_errno",
  }, {
    name: "mmap-holds-nothing",
    find: "          owner.ref();\n",
    replace: "",
    breaks: "A virtual IOMMU goes while its memory is mapped",
    killer: "kit_viommu.mmap_holds_viommu",
  }]),
  ...inFile("impl/mock/mock_viommu.ts", [{
    name: "cache-any-word",
    find: "if (cacheId > MOCK_DEV_CACHE_ID_MAX) {",
    replace: "if (cacheId > MOCK_DEV_CACHE_ID_MAX && flags === 0) {",
    breaks: "A request for all words may name one that there is not",
    killer: "kit_viommu.invalidate_requests",
  }, {
    name: "cache-not-counted",
    find: "      array.handled++;\n",
    replace: "",
    breaks: "Requests to a virtual IOMMU are not counted",
    killer: "kit_viommu.invalidate_requests",
  }, {
    name: "queue-one-alone",
    find: "if (index > 0 && before === undefined) {",
    replace: "if (false) {",
    breaks: "Queue 1 needs no queue 0",
    killer: "kit_viommu.hw_queue_order",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_viommu.ts", [{
    name: "cache-any-value",
    find: "if (dev.cache[cacheId] !== cache) {",
    replace: "if (cacheId >= dev.cache.length) {",
    breaks: "DEV_CHECK_CACHE does not compare",
    killer: "kit_viommu.check_cache",
  }]),
  ...inFile("impl/mock/mock_device.ts", [{
    name: "number-zero-told",
    find: "if (viommu === undefined || virtId === 0n) {",
    replace: "if (viommu === undefined) {",
    breaks: "A device of number 0 reports events",
    killer: "kit_viommu.numbers",
  }, {
    name: "number-follows",
    find: "    if (viommu === this.#events?.viommu) return;\n",
    replace: "",
    breaks: "A device gets its new number without leaving the virtual IOMMU",
    killer: "kit_viommu.vdevice_goes_while_attached",
  }]),
];
