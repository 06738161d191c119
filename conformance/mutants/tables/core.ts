// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of objects, structs and the VFIO container.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const CORE_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/iommufd/objects/refusals.ts", [{
    name: "reserved-field-errno",
    find: "RESERVED_FIELD: Errno = EOPNOTSUPP",
    replace: "RESERVED_FIELD: Errno = EINVAL",
    breaks: "A reserved field that is not zero is EINVAL",
    killer: "kit_map.no_domain.map_errno",
  }]),
  ...inFile("impl/iommufd/main.ts", [{
    name: "struct-exact-size",
    find: "if (userSize < slot.minSize) {",
    replace: "if (userSize <= slot.minSize) {",
    breaks: "A struct of the smallest size is too short",
    killer: "kit_struct.ioas_alloc.exact",
  }, {
    name: "ioctl-any-direction",
    find: " || slot.number !== cmd",
    replace: "",
    breaks: "An ioctl's number counts only in part",
    killer: "kit_commands.unknown_numbers",
  }, {
    name: "vfio-device-mode",
    find: 'register("/dev/vfio/vfio", ACCOUNT_MM)',
    replace: 'register("/dev/vfio/vfio", ACCOUNT_USER)',
    breaks: "/dev/vfio/vfio charges the user",
    killer: "kit_rlimit_mode.vfio_device",
  }]),
  ...inFile("impl/iommufd/objects/object.ts", [{
    name: "destroy-busy",
    find: "if (object.users !== 1) {\n      throw EBUSY",
    replace: "if (false) {\n      throw EBUSY",
    breaks: "DESTROY does not care who uses an object",
    killer: "kit_commands.device_busy",
  }, {
    name: "object-any-class",
    find:
      "if (!(object instanceof type) || !object.lock()) throw type.notFound;",
    replace: "if (object === undefined) throw type.notFound;\n" +
      "    if (!(object instanceof type) || !object.lock()) throw EBUSY;",
    breaks: "An object of another class is busy",
    killer: "kit_commands.object_types",
  }, {
    name: "abort-keeps-id",
    find: "      this.#ids.erase(object.id) !== undefined,",
    replace: "      this.#ids.get(object.id) !== undefined,",
    breaks: "An object that failed keeps its id",
    killer: "kit_test_ops.mock_domain_errno",
  }, {
    name: "close-leaves-objects",
    find: "        destroyed++;\n" +
      "        this.#destroy(object);",
    replace: "        destroyed++;\n" +
      "        this.#ids.erase(object.id);",
    breaks: "Closing a context does not take its objects apart",
    killer: "kit_hwpt.close_all",
  }]),
  ...inFile("impl/iommufd/objects/ucmd.ts", [{
    name: "long-struct-junk",
    find: "if (!process.mm.isZeroed(tail, userSize - bytes.length)) {",
    replace:
      "if (!process.mm.isZeroed(tail, userSize - bytes.length) && false) {",
    breaks: "A longer struct may have anything at its end",
    killer: "iommufd.cmd_ex_fail",
  }, {
    name: "short-struct-stale",
    find: "      bytes.fill(0, userSize);\n",
    replace: "",
    breaks: "What a short struct lacks comes from the call before",
    killer: "kit_struct.hwpt_alloc.exact",
  }, {
    name: "answer-too-long",
    find: "userSize < bytes.length ? bytes.subarray(0, userSize) : bytes",
    replace: "bytes",
    breaks: "The answer is longer than the caller's struct",
    killer: "kit_struct.hwpt_alloc.exact",
  }]),
  ...inFile("impl/uapi/ioas.ts", [{
    name: "ranges-min-size",
    find: "outIovaAlignment: role.out(role.alignment()),",
    replace:
      'outIovaAlignment: { ...role.out(role.alignment()), since: "6.3" },',
    breaks: "IOVA_RANGES takes a struct without room for the alignment",
    killer: "iommufd.cmd_length",
  }]),
  ...inFile("impl/uapi/ioctl.ts", [{
    name: "hwpt-alloc-min-size",
    find: "names.findLast((name) => fields[name].since === undefined)!",
    replace: "names.at(-1)!",
    breaks: "HWPT_ALLOC demands fields that its first version did not have",
    killer: "kit_struct.hwpt_alloc.exact",
  }]),
  ...inFile("impl/iommufd/vfio_compat/compat_ioas.ts", [{
    name: "vfio-ioas-reserved",
    find: "  if (cmd.reserved !== 0) throw RESERVED_FIELD;\n",
    replace: "",
    breaks: "VFIO_IOAS takes a reserved field that is not zero",
    killer: "kit_vfio_compat.Ver1v2.vfio_ioas_errno",
  }, {
    name: "vfio-ioas-clear",
    find: "      ctx.vfioIoas = undefined;\n",
    replace: "",
    breaks: "The compatibility IOAS cannot be cleared",
    killer: "iommufd.vfio_ioas",
  }]),
  ...inFile("impl/iommufd/vfio_compat/vfio_compat.ts", [{
    name: "vfio-cut-front",
    find: "[last, iova - 1n]",
    replace: "[last]",
    breaks: "UNMAP_DMA does not cut at its front",
    killer: "vfio_compat_mock_domain.Ver1v0.huge_map",
  }, {
    name: "vfio-unmap-all-range",
    find: "if (all && (iova !== 0n || length !== 0n)) {",
    replace: "if (false) {",
    breaks: "UNMAP_DMA of everything takes a range",
    killer: "vfio_compat_mock_domain.Ver1v2.map",
  }, {
    name: "cut-order",
    find: "[last] : [last, iova - 1n]",
    replace: "[last] : [iova - 1n, last]",
    breaks: "The beginning of a range is cut before its end",
    killer: "kit_vfio_compat.Ver1v0.unmap_dma_cut_order",
  }, {
    name: "map-dma-reads",
    find: "if (flags & VFIO_DMA_MAP_FLAG_READ) prot |= IOMMU_READ;",
    replace: "if (flags) prot |= IOMMU_READ;",
    breaks: "MAP_DMA for writing gives the right to read",
    killer: "kit_vfio_compat.Ver1v2.map_dma_rights",
  }, {
    name: "map-dma-writes",
    find: "if (flags & VFIO_DMA_MAP_FLAG_WRITE) prot |= IOMMU_WRITE;",
    replace: "if (flags) prot |= IOMMU_WRITE;",
    breaks: "MAP_DMA for reading gives the right to write",
    killer: "kit_vfio_compat.Ver1v2.map_dma_rights",
  }, {
    name: "map-dma-account",
    find: "    const { accountMode } = ctx;",
    replace: "    const accountMode = 1 as const;",
    breaks: "MAP_DMA always charges the user",
    killer: "kit_rlimit.mm.vfio_map",
  }]),
  ...inFile("impl/iommufd/vfio_compat/vfio_info.ts", [{
    name: "vfio-caps-exact",
    find: "argsz >= total ? bytes.length : 0",
    replace: "argsz > total ? bytes.length : 0",
    breaks: "GET_INFO leaves out the capabilities when they just fit",
    killer: "kit_vfio_compat.Ver1v2.get_info_caps",
  }, {
    name: "vfio-page-sizes",
    find: "sizes = (sizes & ~belowPage) | BigInt(PAGE_SIZE)",
    replace: "sizes = sizes & ~belowPage",
    breaks: "GET_INFO forgets the CPU's page size",
    killer: "kit_vfio_compat.Ver1v2.get_info_errno",
    uapi: "6.12",
  }, {
    name: "vfio-caps-padding",
    find: "  if (!revision.vfio.capsDmaAvailFirst) return size;\n",
    replace: "",
    breaks: "GET_INFO pads capabilities that were not padded yet",
    killer: "kit_vfio_compat.Ver1v2.get_info_caps",
    uapi: "v3",
  }, {
    name: "chain-one-fits",
    find: "if (previous !== undefined && argsz >= total) {",
    replace: "if (previous !== undefined && argsz > total) {",
    breaks: "A capability that just fits is not linked to the next",
    killer: "kit_vfio_compat.Ver1v2.get_info_short",
  }]),
];
