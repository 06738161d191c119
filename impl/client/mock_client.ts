// SPDX-License-Identifier: GPL-2.0-only

/**
 * The selftest module's ioctl in the typed client: mock devices, checks of
 * what they map, and accesses. One method for each operation, named after it.
 *
 * @module
 */

import { O_CLOEXEC, O_RDWR } from "../uapi/mman.ts";
import * as uapi from "../uapi/selftest.ts";
import type { U64 } from "../uapi/layout/struct.ts";
import { type Names, pass, toBoolean, toBytes, toU32 } from "./arguments.ts";
import { type Descriptor, ScratchMemory } from "./descriptor.ts";

/** The ids of a new mock device. */
export interface MockDomainIds {
  /** The selftest object; destroying it detaches and unbinds the device. */
  readonly stdevId: number;
  /** The HWPT that it is attached to. */
  readonly hwptId: number;
  /** The bound device; undefined in revisions whose mock domains have no device. */
  readonly idevId: number | undefined;
}

/** What a mock device is attached to for a PASID. */
export interface PasidOptions {
  /** The device. */
  readonly stdevId: number;
  /** The PASID. */
  readonly pasid: number;
  /** IOAS or HWPT. */
  readonly ptId: number;
}

/** A range of IOVA that an access uses. */
export interface AccessOptions {
  /** The access's descriptor, from {@link MockClient.createAccess}. */
  readonly accessFd: number;
  /** First IOVA. */
  readonly iova: U64;
  /** Bytes, at most 16 MiB. */
  readonly length: U64;
  /** True to write, false (the default) to read. */
  readonly write?: boolean;
}

/**
 * IOMMU_TEST_CMD on an open iommufd, in the layout of the kernel's revision;
 * see `IommufdClient.mock`. An operation that the revision does not have throws
 * EOPNOTSUPP.
 */
export class MockClient {
  readonly #descriptor: Descriptor;

  /** For `IommufdClient`. */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  /** ADD_RESERVED: reserves IOVA of an IOAS for as long as it lives. Throws EADDRINUSE where something is mapped or allowed. */
  addReserved(options: {
    readonly ioasId: number;
    readonly start: U64;
    readonly length: U64;
  }): void {
    this.#call(uapi.TestAddReserved, options, { id: "ioasId" });
  }

  /**
   * MOCK_DOMAIN, or MOCK_DOMAIN_FLAGS if `devFlags` (`MOCK_FLAGS_DEVICE_*`)
   * are given: a new mock device, attached to an IOAS or HWPT. Throws ENOENT
   * without such an object; EADDRINUSE for areas that the device cannot map;
   * EFAULT, ENOMEM for pages that cannot be pinned.
   */
  mockDomain(
    options: { readonly ptId: number; readonly devFlags?: number },
  ): MockDomainIds {
    const names = { id: "ptId" };
    const reply = options.devFlags === undefined
      ? this.#call(uapi.TestMockDomain, options, names)
      : this.#call(uapi.TestMockDomainFlags, options, names);
    const { outStdevId: stdevId, outHwptId, outIdevId } = reply;
    const { revision } = this.#descriptor.process.kernel;
    return revision.selftest.mockDomainBindsDevice
      ? { stdevId, hwptId: outHwptId, idevId: outIdevId }
      : { stdevId, hwptId: reply.id, idevId: undefined };
  }

  /** MOCK_DOMAIN_REPLACE: attaches a mock device to another IOAS or HWPT; returns its HWPT. Throws as {@link mockDomain}. */
  mockDomainReplace(
    options: { readonly stdevId: number; readonly ptId: number },
  ): { hwptId: number } {
    const names = { id: "stdevId" };
    const { ptId } = this.#call(uapi.TestMockDomainReplace, options, names);
    return { hwptId: ptId };
  }

  /**
   * PASID_ATTACH: attaches a mock device for its DMA with a PASID, 0 for that
   * without; returns its HWPT. Throws EBUSY when it is attached already; EINVAL
   * for a PASID that it does not have, and for a HWPT, its own or this one, that
   * was not allocated with IOMMU_HWPT_ALLOC_PASID; otherwise as
   * {@link mockDomain}.
   */
  pasidAttach(options: PasidOptions): { hwptId: number } {
    return this.#attachPasid(uapi.TestPasidAttach, options);
  }

  /** PASID_REPLACE: attaches it elsewhere for the PASID. Throws EINVAL when it is not attached, otherwise as {@link pasidAttach}. */
  pasidReplace(options: PasidOptions): { hwptId: number } {
    return this.#attachPasid(uapi.TestPasidReplace, options);
  }

  #attachPasid(
    layout: typeof uapi.TestPasidAttach | typeof uapi.TestPasidReplace,
    options: PasidOptions,
  ): { hwptId: number } {
    const { ptId } = this.#call(layout, options, { id: "stdevId" });
    return { hwptId: ptId };
  }

  /** PASID_DETACH: detaches a mock device for a PASID, if it is attached. */
  pasidDetach(
    options: { readonly stdevId: number; readonly pasid: number },
  ): void {
    this.#call(uapi.TestPasidDetach, options, { id: "stdevId" });
  }

  /** PASID_CHECK_HWPT: throws EINVAL unless a mock device is attached to the HWPT for a PASID, or to none if `hwptId` is 0. */
  pasidCheckHwpt(options: {
    readonly stdevId: number;
    readonly pasid: number;
    readonly hwptId: number;
  }): void {
    this.#call(uapi.TestPasidCheckHwpt, options, { id: "stdevId" });
  }

  /** MD_CHECK_MAP: throws EINVAL unless a mock domain maps the range to the memory at `userVa`. */
  checkMap(options: {
    readonly hwptId: number;
    readonly iova: U64;
    readonly length: U64;
    readonly userVa: U64;
  }): void {
    this.#call(uapi.TestCheckMap, options, { id: "hwptId", uptr: "userVa" });
  }

  /** MD_CHECK_REFS: throws EIO unless each page of the memory is pinned `refs` times. */
  checkRefs(options: {
    readonly userVa: U64;
    readonly length: U64;
    readonly refs: number;
  }): void {
    this.#call(uapi.TestCheckRefs, options, { uptr: "userVa" });
  }

  /**
   * CREATE_ACCESS: a new access on an IOAS; close its descriptor to destroy
   * it. `pins` (default true) says that it will pin pages, which raises the
   * IOAS's alignment to CPU pages in revisions that ask.
   */
  createAccess(
    options: { readonly ioasId: number; readonly pins?: boolean },
  ): { accessFd: number } {
    const { access } = this.#descriptor.process.kernel.revision;
    const pins = toBoolean("pins", options.pins ?? true);
    const flags = pins && access.needsPinPages
      ? uapi.MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES
      : 0;
    const names = { id: "ioasId" };
    const values = { ...options, flags };
    const { outAccessFd } = this.#call(uapi.TestCreateAccess, values, names);
    return { accessFd: outAccessFd };
  }

  /**
   * ACCESS_PAGES: pins pages through an access and returns the item that
   * stands for them. With `userVa` it throws EBADE unless they are the pages
   * of the memory there. Throws ENOENT where nothing is mapped, EINVAL for a
   * misaligned range, EPERM to write a read-only mapping.
   */
  accessPages(
    options: AccessOptions & { readonly userVa?: U64 },
  ): { itemId: number } {
    const write = toBoolean("write", options.write ?? false);
    const { outAccessPagesId } = this.#call(uapi.TestAccessPages, {
      userVa: 0,
      ...options,
      flags: write ? uapi.MOCK_FLAGS_ACCESS_WRITE : 0,
    }, { id: "accessFd", uptr: "userVa" });
    return { itemId: outAccessPagesId };
  }

  /** DESTROY_ACCESS_PAGES: unpins an item. Throws ENOENT without such an item. */
  destroyAccessPages(
    options: { readonly accessFd: number; readonly itemId: number },
  ): void {
    const names = { id: "accessFd", accessPagesId: "itemId" };
    this.#call(uapi.TestDestroyAccessPages, options, names);
  }

  /**
   * ACCESS_RW: copies from IOVA to the memory at `userVa`, or to IOVA if
   * `write` is set; `flags` adds to that (`MOCK_ACCESS_RW_SLOW_PATH`). Throws
   * as {@link accessPages}, without its rules about alignment.
   */
  accessRw(
    options: AccessOptions & {
      readonly userVa: U64;
      readonly flags?: number;
    },
  ): void {
    const write = toBoolean("write", options.write ?? false);
    const flags = toU32("flags", options.flags ?? 0);
    this.#call(uapi.TestAccessRw, {
      ...options,
      flags: flags | (write ? uapi.MOCK_ACCESS_RW_WRITE : 0),
    }, { id: "accessFd", uptr: "userVa" });
  }

  /** ACCESS_REPLACE_IOAS: moves an access to another IOAS; its pins are taken back. */
  accessReplaceIoas(
    options: { readonly accessFd: number; readonly ioasId: number },
  ): void {
    this.#call(uapi.TestAccessReplaceIoas, options, { id: "accessFd" });
  }

  /** SET_TEMP_MEMORY_LIMIT: bytes that one batch of frame numbers may take; 65536 at first. */
  setTempMemoryLimit(limit: number): void {
    this.#call(uapi.TestMemoryLimit, { limit });
  }

  /**
   * DIRTY: devices write the IO pages whose bits are set in `bitmap`. Returns
   * how many of them are mapped. Throws EINVAL for a HWPT that does not track,
   * or a misaligned range.
   *
   * A bit stands for `pageSize` bytes, and should stand for the 2 KiB that an IO
   * page of the mock has, which is the default: bit n marks the entry with
   * number `iova / pageSize + n` of the mock's table. With a page size of 4096
   * these are the entries of half the IOVA, where most likely nothing is mapped
   * and nothing is marked.
   */
  dirty(options: {
    readonly hwptId: number;
    readonly iova: U64;
    readonly length: U64;
    readonly bitmap: Uint8Array;
    readonly pageSize?: U64;
  }): { marked: bigint } {
    const { process } = this.#descriptor;
    const bitmap = toBytes("bitmap", options.bitmap);
    using memory = new ScratchMemory(process, bitmap.length);
    memory.store(bitmap);
    const values = {
      pageSize: uapi.MOCK_IO_PAGE_SIZE,
      ...options,
      uptr: memory.address,
    };
    const names = { id: "hwptId" };
    const { outNrDirty } = this.#call(uapi.TestDirty, values, names);
    return { marked: outNrDirty };
  }

  /** MD_CHECK_IOTLB: throws EINVAL unless entry `iotlbId` of a nested HWPT's cache is `iotlb`. */
  checkIotlb(options: {
    readonly hwptId: number;
    readonly iotlbId: number;
    readonly iotlb: number;
  }): void {
    this.#call(uapi.TestCheckIotlb, options, { id: "hwptId" });
  }

  /** TRIGGER_IOPF: a mock device reports a page fault. Throws ENOENT without such a device. */
  triggerIopf(options: {
    readonly devId: number;
    readonly addr: U64;
    readonly pasid?: number;
    readonly grpid?: number;
    readonly perm?: number;
  }): void {
    this.#call(uapi.TestTriggerIopf, options);
  }

  /** DEV_CHECK_CACHE: throws EINVAL unless a word of a mock device's cache has a value. */
  devCheckCache(options: {
    readonly devId: number;
    readonly cacheId: number;
    readonly cache: number;
  }): void {
    this.#call(uapi.TestDevCheckCache, options, { id: "devId" });
  }

  /**
   * TRIGGER_VEVENT: a mock device reports an event to its virtual IOMMU. Throws
   * ENOENT unless it is attached to a HWPT that is nested by one, EOPNOTSUPP
   * without a queue for the event.
   */
  triggerVevent(options: { readonly devId: number }): void {
    this.#call(uapi.TestTriggerVevent, options);
  }

  /**
   * DMABUF_GET: a new DMA buffer of `length` bytes, rounded up to pages. Throws
   * EINVAL for none and for more than 2 MiB, EMFILE, ENOMEM.
   */
  dmabufGet(
    options: { readonly length: number; readonly openFlags?: number },
  ): { dmabufFd: number } {
    const passed = { openFlags: O_RDWR | O_CLOEXEC, ...options };
    return { dmabufFd: this.#send(uapi.TestDmabufGet, passed).ret };
  }

  /**
   * DMABUF_REVOKE: takes a DMA buffer back from those who have it mapped, for
   * good; with `revoked` false it can be mapped again. Throws EBADF without
   * such a descriptor, EINVAL for a file of another kind.
   */
  dmabufRevoke(
    options: { readonly dmabufFd: number; readonly revoked: boolean },
  ): void {
    const revoked = toBoolean("revoked", options.revoked) ? 1 : 0;
    this.#call(uapi.TestDmabufRevoke, { ...options, revoked });
  }

  /** One operation; returns its struct as the kernel left it. */
  #call<T extends uapi.TestCmd>(
    layout: uapi.TestOp<T>,
    options: object,
    names: Names<T> = {},
  ): T {
    return this.#send(layout, options, names).reply;
  }

  /** One operation in the form that the revision has. */
  #send<T extends uapi.TestCmd>(
    layout: uapi.TestOp<T>,
    options: object,
    names: Names<T> = {},
  ): { ret: number; reply: T } {
    const passed = pass<T>(layout, options, names);
    const { revision } = this.#descriptor.process.kernel;
    const bytes = uapi.encodeTestOp(layout, revision, passed.values);
    const { number } = uapi.TestCmd.ioctl;
    const { op } = layout;
    const ret = this.#descriptor.send({ ...op, number }, bytes, passed);
    return { ret, reply: layout.decode(bytes) };
  }
}
