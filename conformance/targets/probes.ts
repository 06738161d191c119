// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tries what a target says that it can do. A probe is a test, and its id says
 * which capability it is about: `probe.fork`.
 *
 * @module
 */

import { EINVAL, EPERM } from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_IOAS_ALLOC,
  IommuIoasAlloc,
} from "../../impl/uapi/iommufd.ts";
import {
  CAP_IPC_LOCK,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MFD_HUGETLB,
  O_RDWR,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_MEMLOCK,
} from "../../impl/uapi/mman.ts";
import {
  VFIO_API_VERSION,
  VFIO_GET_API_VERSION,
} from "../../impl/uapi/vfio.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { lifetimeOf } from "../../selftests/target/capabilities.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  assertTrue,
  type Context,
  fixture,
  type Test,
} from "../../selftests/harness/harness.ts";
import {
  faultQueueAlloc,
  hwptAlloc,
  setDirtyTracking,
} from "../../selftests/ioctls/hwpt_ioctls.ts";
import { changeProcess, mapFile } from "../../selftests/ioctls/file_ioctls.ts";
import { Iommufd } from "../../selftests/ioctls/ioctls.ts";
import {
  IOMMU_HWPT_ALLOC_PASID,
  MOCK_FLAGS_DEVICE_PASID,
  pasidAttach,
  pasidDetach,
} from "../../selftests/ioctls/pasid_ioctls.ts";
import { bound, VfioFile } from "../../selftests/kit_vfio/vfio_ioctls.ts";
import {
  openNoIommuDevice,
  openNoIommuGroup,
} from "../../selftests/kit_vfio_functions/kit_vfio_noiommu.ts";
import {
  findSriov,
  writeCount,
} from "../../selftests/kit_vfio_functions/virtual_function.ts";
import { viommuAlloc } from "../../selftests/ioctls/viommu_ioctls.ts";
import type {
  TargetInfo,
  TargetProcess,
} from "../../selftests/target/target.ts";
import {
  probeDup2,
  probeExec,
  probeFiles,
  probeMremap,
  probePassFd,
} from "./file_probes.ts";
import type { Need } from "../../selftests/target/capabilities.ts";

/** Huge pages that the tests need at the same time. */
const HUGE_PAGES = 64;
/** A user other than root. */
const SOME_UID = 1000;
/** No resource has this number. */
const NO_RESOURCE = 1000;

/** The fixture that all probes are of. */
export const PROBE_FIXTURE = "probe";

/** The probe of each capability that a target names, where there is one. */
export function probeTests(
  { capabilities, uapi }: TargetInfo,
): [capability: string, test: Test][] {
  const probes: Test[] = [];
  registerProbes(probes);
  return probes
    .filter((probe) => probe.uapi.includes(uapi as RevisionName))
    .filter(({ name }) => capabilities.includes(name))
    .map((probe) => [probe.name, probe]);
}

/** Adds a test for each capability, of the same name. */
function registerProbes(registry: Test[]): void {
  const f = fixture(registry, PROBE_FIXTURE, {
    upstream: false,
    setup: (context) => Promise.resolve(context),
  });
  function probe(
    name: Need,
    description: string,
    body: (context: Context) => Promise<void>,
  ): void {
    const reference = "conformance/protocol.md, capabilities";
    const needs = () => [name];
    const options = {
      description,
      reference,
      rules: [],
      needs,
      ...lifetimeOf(name),
    };
    f.test(name, options, body);
  }
  probe("hugetlb", "64 huge pages can be mapped and used", probeHugetlb);
  probe("fork", "A child has a copy of memory and descriptors", probeFork);
  probe("fail_nth", "The first step can be made to fail", probeFailNth);
  probe("setrlimit", "A limit can be set", probeSetrlimit);
  probe("setuid", "A process can give up being root", probeSetuid);
  probe("mremap", "A mapping can be moved", probeMremap);
  probe("exec", "A process can run a program anew", probeExec);
  probe("files", "Memory files have seals, holes and names", probeFiles);
  probe("dup2", "A descriptor can become another one's", probeDup2);
  probe(
    "passfd",
    "A process can be given a descriptor",
    (context) => probePassFd(context),
  );
  probe("vfio", "/dev/vfio/vfio opens an iommufd", probeVfio);
  probe("type1_container", "/dev/vfio/vfio is VFIO's own", probeType1);
  probe("hugetlb_1g", "A page of 1 GiB can be mapped", probeGigantic);
  probe("memory_2g", "2 GiB of memory can be mapped", probeMemory);
  probe("vfio_device", "A device can be bound", probeVfioDevice);
  probe("vfio_sriov", "A device has a virtual function", probeVfioSriov);
  probe("copy_engines", "A copy engine can be bound", probeCopyEngine);
  probe("vfio_rom", "A device has a ROM", probeRom);
  probe("noiommu_device", "A device has no IOMMU", probeNoIommu);
  probe("noiommu_engine", "It is a copy engine", probeNoIommuEngine);
  probe("vfio_group_of_two", "Two devices are in one group", probeGroup);
  probe("hwpt", "A HWPT can be allocated", probeHwpt);
  probe("dirty", "Dirty tracking can be turned on", probeDirty);
  probe("faults", "A fault queue can be allocated", probeFaults);
  probe("map_file", "A memory file can be mapped", probeMapFile);
  probe("viommu", "A virtual IOMMU can be allocated", probeViommu);
  probe("pasid", "A PASID can be attached to a HWPT", probePasid);
}

/** What the probe of a capability that is about processes works with. */
type OneProcess = Pick<Context, "process" | "pageSize">;

/** Private memory of a process. */
export async function mapMemory(
  process: TargetProcess,
  length: number,
  flags = 0,
): Promise<number> {
  const addr = await process.mmap(
    0,
    length,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS | flags,
  );
  return assertOk(addr, `mmap of ${length} bytes`);
}

async function probeHugetlb(context: Context): Promise<void> {
  const { process, hugePageSize } = context;
  const length = HUGE_PAGES * hugePageSize;
  const addr = await mapMemory(process, length, MAP_HUGETLB);
  assertEq(addr % hugePageSize, 0, "offset of a huge page");
  const last = addr + length - 1;
  await process.poke(last, new Uint8Array([0x5a]));
  const byte = await process.peek(last, 1);
  assertBytes(byte, new Uint8Array([0x5a]), "the last huge page");
  assertEq(await process.munmap(addr, length), 0, "munmap");
}

/** A child and its child have memory and descriptors of their own. */
export async function probeFork(
  { process, pageSize }: OneProcess,
): Promise<void> {
  const addr = await mapMemory(process, pageSize);
  const fd = assertOk(await process.open("/dev/iommu"), "open /dev/iommu");
  await process.poke(addr, new Uint8Array([1]));
  const child = await process.fork();
  const [one, two] = [new Uint8Array([1]), new Uint8Array([2])];
  assertBytes(await child.peek(addr, 1), one, "the child's memory");
  await child.poke(addr, two);
  assertBytes(await process.peek(addr, 1), one, "the parent's memory");
  assertBytes(await child.peek(addr, 1), two, "the child's changed memory");
  assertEq(await child.close(fd), 0, "close in the child");
  const grandchild = await child.fork();
  const inherited = await grandchild.peek(addr, 1);
  assertBytes(inherited, two, "the grandchild's memory");
  await child.exit();
  const left = await grandchild.peek(addr, 1);
  assertBytes(left, two, "the grandchild's memory after its parent's end");
  await grandchild.exit();
  assertEq(await process.close(fd), 0, "close in the parent");
}

async function probeFailNth({ process }: Context): Promise<void> {
  const fd = assertOk(await process.open("/dev/iommu"), "open /dev/iommu");
  function ioasAlloc(): Promise<number> {
    return process.ioctl(fd, IOMMU_IOAS_ALLOC, IommuIoasAlloc.encode());
  }
  assertEq(await ioasAlloc(), 0, "IOMMU_IOAS_ALLOC");
  assertOk(await process.setFailNth(1), "failnth 1");
  // Which step is the first, and so which errno comes, is not ours to say.
  assertTrue(await ioasAlloc() < 0, "IOMMU_IOAS_ALLOC fails when it must");
  assertEq(await process.failNthLeft(), 0, "failnthleft after the failure");
  assertOk(await process.setFailNth(0), "failnth 0");
  assertEq(await ioasAlloc(), 0, "IOMMU_IOAS_ALLOC after failnth 0");
}

/** Limits can be set, also to none. */
export async function probeSetrlimit({ process }: OneProcess): Promise<void> {
  const limit = 1n << 20n;
  const memlock = await process.setrlimit(RLIMIT_MEMLOCK, limit);
  assertEq(memlock, 0, "setrlimit of RLIMIT_MEMLOCK");
  const infinite = await process.setrlimit(RLIMIT_MEMLOCK, 2n ** 64n - 1n);
  assertEq(infinite, 0, "setrlimit to infinity");
  const none = await process.setrlimit(NO_RESOURCE, limit);
  assertErrno(none, EINVAL, "setrlimit of no resource");
}

/** Privileges can be given up, and are gone then. */
export async function probeSetuid({ process }: OneProcess): Promise<void> {
  assertEq(await process.dropCapability(CAP_IPC_LOCK), 0, "dropcap");
  assertEq(await process.setuid(SOME_UID), 0, "setuid");
  assertErrno(await process.setuid(0), EPERM, "setuid back to root");
}

/** An IOAS with a mock device. */
async function mockDevice(
  context: Context,
): Promise<{ io: Iommufd; devId: number; ptId: number }> {
  const io = await Iommufd.open(context);
  const ptId = await io.ioasAlloc();
  const { idevId: devId } = await io.mock.domain(ptId);
  return { io, devId, ptId };
}

async function probeVfio({ process }: Context): Promise<void> {
  const path = "/dev/vfio/vfio";
  const fd = assertOk(await process.open(path), `open ${path}`);
  const ret = await process.ioctl(
    fd,
    IOMMU_IOAS_ALLOC,
    IommuIoasAlloc.encode(),
  );
  assertEq(ret, 0, `IOMMU_IOAS_ALLOC on ${path}`);
}

/** VFIO's own has an API version, and no IOAS of iommufd's. */
async function probeType1({ process }: Context): Promise<void> {
  const path = "/dev/vfio/vfio";
  const fd = assertOk(await process.open(path), `open ${path}`);
  const version = await process.ioctlArg(fd, VFIO_GET_API_VERSION, 0);
  assertEq(version, VFIO_API_VERSION, "VFIO_GET_API_VERSION");
  const bytes = IommuIoasAlloc.encode();
  const ret = await process.ioctl(fd, IOMMU_IOAS_ALLOC, bytes);
  assertTrue(ret < 0, `IOMMU_IOAS_ALLOC on ${path} fails`);
}

/** memfd_create: huge pages, of 1 GiB. */
const MFD_1GB = MFD_HUGETLB | 30 << 26;

async function probeGigantic(context: Context): Promise<void> {
  const length = 2 ** 30;
  const flags = MAP_HUGETLB | 30 << 26;
  const addr = await mapMemory(context.process, length, flags);
  assertEq(addr % length, 0, "offset of a page of 1 GiB");
  assertEq(await context.process.munmap(addr, length), 0, "munmap");
  const memfd = await context.process.memfdCreate("probe", MFD_1GB);
  const fd = assertOk(memfd, "memfd of pages of 1 GiB");
  assertEq(await context.process.close(fd), 0, "close");
}

async function probeMemory({ process, pageSize }: Context): Promise<void> {
  const length = 2 ** 31;
  const addr = await mapMemory(process, length);
  await process.poke(addr + length - pageSize, new Uint8Array([0x5a]));
  assertEq(await process.munmap(addr, length), 0, "munmap");
}

async function probeVfioDevice(context: Context): Promise<void> {
  const { device } = await bound(await Iommufd.open(context));
  assertEq(await device.config(0, 4), 0x10c98086, "the ids of an 82576");
}

async function probeCopyEngine(context: Context): Promise<void> {
  const { device } = await bound(await Iommufd.open(context));
  assertEq(await device.config(0, 4), 0xd3a01234, "the ids of a copy engine");
}

async function probeNoIommu({ process }: Context): Promise<void> {
  const { group } = await openNoIommuGroup(process);
  assertEq(await process.close(group), 0, "close");
}

async function probeRom(context: Context): Promise<void> {
  const { device } = await bound(await Iommufd.open(context));
  assertEq((await device.region(6)).length, 4096n, "bytes");
}

async function probeGroup(context: Context): Promise<void> {
  const io = await Iommufd.open(context);
  const { device } = await bound(io);
  const { process } = context;
  const fd = await process.open("/dev/vfio/devices/vfio1", O_RDWR);
  const other = new VfioFile(process, assertOk(fd, "the other device"));
  await other.bind((await io.reopen()).fd, EPERM);
  await device.close();
}

async function probeNoIommuEngine(context: Context): Promise<void> {
  const io = await Iommufd.open(context);
  const device = await openNoIommuDevice(io);
  assertEq(await device.config(2, 2), 0xd3a0, "the id of a copy engine");
}

async function probeVfioSriov(context: Context): Promise<void> {
  const self = await findSriov(context, await Iommufd.open(context));
  assertEq(await writeCount(self, "1"), 1, "a virtual function");
  assertEq(await writeCount(self, "0"), 1, "none");
}

async function probeHwpt(context: Context): Promise<void> {
  const { io, devId, ptId } = await mockDevice(context);
  await io.destroy(await hwptAlloc(io, { devId, ptId }));
}

async function probeDirty(context: Context): Promise<void> {
  const { io, devId, ptId } = await mockDevice(context);
  const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
  const hwptId = await hwptAlloc(io, { devId, ptId, flags });
  await setDirtyTracking(io, hwptId, true);
  await setDirtyTracking(io, hwptId, false);
  await io.destroy(hwptId);
}

async function probeFaults(context: Context): Promise<void> {
  const io = await Iommufd.open(context);
  const { faultId, faultFd } = await faultQueueAlloc(io);
  assertEq(await io.process.close(faultFd), 0, "close of the fault queue");
  await io.destroy(faultId);
}

async function probeMapFile(context: Context): Promise<void> {
  const { io, ptId } = await mockDevice(context);
  const { process, page } = io;
  const fd = assertOk(await process.memfdCreate("probe", 0), "memfd");
  assertEq(await process.ftruncate(fd, Number(page)), 0, "ftruncate");
  const iova = await mapFile(io, ptId, fd, 0, page);
  await changeProcess(io);
  await io.unmap(ptId, iova, page);
  assertEq(await process.close(fd), 0, "close");
}

async function probeViommu(context: Context): Promise<void> {
  const { io, devId, ptId } = await mockDevice(context);
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  const hwptId = await hwptAlloc(io, { devId, ptId, flags });
  await io.destroy(await viommuAlloc(io, devId, hwptId));
  await io.destroy(hwptId);
}

async function probePasid(context: Context): Promise<void> {
  const io = await Iommufd.open(context);
  const ptId = await io.ioasAlloc();
  const device = await io.mock.domainFlags(ptId, MOCK_FLAGS_DEVICE_PASID);
  const { idevId: devId, stdevId } = device;
  const flags = IOMMU_HWPT_ALLOC_PASID;
  const hwptId = await hwptAlloc(io, { devId, ptId, flags });
  await io.mock.replaceDomain(stdevId, hwptId);
  await pasidAttach(io, stdevId, 1, hwptId);
  await pasidDetach(io, stdevId, 1);
}
