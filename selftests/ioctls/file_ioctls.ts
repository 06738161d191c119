// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mapping files and dma-bufs, and changing who pays for them, as typed,
 * asserting calls: Linux 7.3.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import { IOMMU_IOAS_MAP_FIXED_IOVA } from "../../impl/uapi/iommufd.ts";
import { IOMMU_TEST_CMD } from "../../impl/uapi/selftest.ts";
import {
  MAP_HUGETLB,
  MAP_SHARED,
  MFD_HUGETLB,
  O_CLOEXEC,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import { assertEq, assertErrno, assertOk } from "../harness/harness.ts";
import { cStruct, type TestOp, testOp } from "./c_struct.ts";
import { type Iommufd, MAP_RW } from "./ioctls.ts";
import { encodeTestCmd } from "./mock_ioctls.ts";

/** ioctl: maps a file or a dma-buf. */
export const IOMMU_IOAS_MAP_FILE: number = 0x3b8f;
/** ioctl: makes the caller the one who pays for all maps. */
export const IOMMU_IOAS_CHANGE_PROCESS: number = 0x3b92;
/** Test operation DMABUF_GET. */
export const IOMMU_TEST_OP_DMABUF_GET: number = 22;
/** Test operation DMABUF_REVOKE. */
export const IOMMU_TEST_OP_DMABUF_REVOKE: number = 23;

/** Linux: `struct iommu_ioas_map_file`, 40 bytes. */
export interface IommuIoasMapFile {
  /** Bytes of the struct. */
  size: number;
  /** `IOMMU_IOAS_MAP_*`. */
  flags: number;
  /** IOAS to map into. */
  ioasId: number;
  /** Descriptor of the file. */
  fd: number;
  /** First byte of the file. */
  start: bigint;
  /** Bytes. */
  length: bigint;
  /** IOVA with FIXED_IOVA, and reply. */
  iova: bigint;
}

/** Layout of {@link IommuIoasMapFile}. */
export const IommuIoasMapFile: Struct<IommuIoasMapFile> = cStruct(
  "iommu_ioas_map_file",
  {
    size: "u32",
    flags: "u32",
    ioasId: "u32",
    fd: "s32",
    start: "u64",
    length: "u64",
    iova: "u64",
  },
);

/** Linux: `struct iommu_ioas_change_process`, 8 bytes. */
export interface IommuIoasChangeProcess {
  /** Bytes of the struct. */
  size: number;
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link IommuIoasChangeProcess}. */
export const IommuIoasChangeProcess: Struct<IommuIoasChangeProcess> = cStruct(
  "iommu_ioas_change_process",
  { size: "u32", reserved: "u32" },
);

/** What DMABUF_GET has in the union. */
export interface TestDmabufGet extends TestOp {
  /** Bytes. */
  length: number;
  /** `O_*`. */
  openFlags: number;
}

/** Layout of {@link TestDmabufGet}. */
export const TestDmabufGet: Struct<TestDmabufGet> = testOp(
  { length: "u32", openFlags: "u32" },
);

/** What DMABUF_REVOKE has in the union. */
export interface TestDmabufRevoke extends TestOp {
  /** The dma-buf. */
  dmabufFd: number;
  /** 1 to revoke it, 0 to take that back. */
  revoked: number;
}

/** Layout of {@link TestDmabufRevoke}. */
export const TestDmabufRevoke: Struct<TestDmabufRevoke> = testOp(
  { dmabufFd: "s32", revoked: "u32" },
);

/** IOMMU_IOAS_MAP_FILE at an IOVA that the kernel chooses; returns it. */
export async function mapFile(
  io: Iommufd,
  ioasId: number,
  fd: number,
  start: number | bigint,
  length: number | bigint,
  errno?: Errno,
  prot: number = MAP_RW,
): Promise<bigint> {
  const { iova } = await io.call(IommuIoasMapFile, IOMMU_IOAS_MAP_FILE, {
    flags: prot,
    ioasId,
    fd,
    start: BigInt(start),
    length: BigInt(length),
  }, errno);
  return iova;
}

/** IOMMU_IOAS_MAP_FILE at a given IOVA. */
export async function mapFileFixed(
  io: Iommufd,
  ioasId: number,
  fd: number,
  start: number | bigint,
  length: number | bigint,
  iova: bigint,
  errno?: Errno,
  prot: number = MAP_RW,
): Promise<void> {
  await io.call(IommuIoasMapFile, IOMMU_IOAS_MAP_FILE, {
    flags: IOMMU_IOAS_MAP_FIXED_IOVA | prot,
    ioasId,
    fd,
    start: BigInt(start),
    length: BigInt(length),
    iova,
  }, errno);
}

/** IOMMU_IOAS_CHANGE_PROCESS. */
export async function changeProcess(
  io: Iommufd,
  errno?: Errno,
  values: Partial<IommuIoasChangeProcess> = {},
): Promise<void> {
  await io.call(
    IommuIoasChangeProcess,
    IOMMU_IOAS_CHANGE_PROCESS,
    values,
    errno,
  );
}

/** A memory file and where it is mapped. */
export interface MappedFile {
  /** The descriptor. */
  readonly fd: number;
  /** Address of its first byte. */
  readonly address: number;
}

/** Makes a memory file of `length` bytes and maps it shared, as C's `memfd_mmap`; of huge pages with MAP_HUGETLB. */
export async function memfdMmap(
  { process }: Pick<Iommufd, "process">,
  length: number,
  flags = 0,
): Promise<MappedFile> {
  const huge = flags & MAP_HUGETLB ? MFD_HUGETLB : 0;
  const fd = assertOk(await process.memfdCreate("buffer", huge), "memfd");
  assertEq(await process.ftruncate(fd, length), 0, "ftruncate");
  const prot = PROT_READ | PROT_WRITE;
  const address = assertOk(
    await process.mmap(0, length, prot, MAP_SHARED | flags, fd),
    "mmap of the memory file",
  );
  return { fd, address };
}

/** DMABUF_GET: makes a dma-buf of `length` bytes; returns its descriptor, or -1 if it must fail. */
export async function dmabufGet(
  io: Iommufd,
  length: number,
  errno?: Errno,
): Promise<number> {
  const bytes = encodeTestCmd(
    io.revision,
    TestDmabufGet,
    IOMMU_TEST_OP_DMABUF_GET,
    { length, openFlags: O_CLOEXEC },
  );
  const ret = await io.process.ioctl(io.fd, IOMMU_TEST_CMD, bytes);
  const what = "IOMMU_TEST_OP_DMABUF_GET";
  if (errno === undefined) return assertOk(ret, what);
  assertErrno(ret, errno, what);
  return -1;
}

/** DMABUF_REVOKE: takes a dma-buf's memory away from all that map it, or lets it be mapped again. */
export async function dmabufRevoke(
  io: Iommufd,
  dmabufFd: number,
  revoked: boolean,
  errno?: Errno,
): Promise<void> {
  await io.mock.call(
    "DMABUF_REVOKE",
    TestDmabufRevoke,
    IOMMU_TEST_OP_DMABUF_REVOKE,
    { dmabufFd, revoked: Number(revoked) },
    errno,
  );
}
