// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks of the requests about descriptors and ioctls.
 *
 * @module
 */

import {
  EAGAIN,
  EBADF,
  EFAULT,
  ENOENT,
  ENOTTY,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IommuDestroy,
  IommuIoasAlloc,
} from "../../impl/uapi/iommufd.ts";
import {
  O_NONBLOCK,
  PAGE_SIZE,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  assertTrue,
} from "../../selftests/harness/harness.ts";
import { TargetProcess } from "../../selftests/target/target.ts";
import { call } from "../../selftests/target/verbs.ts";
import { probeDup2, probeFiles, probePassFd } from "../targets/file_probes.ts";
import { type Check, refuses } from "./bench.ts";

/** A descriptor that no process has. */
const NO_FD = 999;
/** A number that no process has. */
const NO_PROCESS = 99999;

/** Opens `/dev/iommu`. */
async function openIommu(process: TargetProcess): Promise<number> {
  return assertOk(await process.open("/dev/iommu"), "open of /dev/iommu");
}

/** Eight bytes that hold a number, as an eventfd has them. */
function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** `open`, `ioctl`, `read` and the like. */
export const FILE_CHECKS: readonly Check[] = [
  {
    name: "open",
    async run({ process }) {
      const fd = await openIommu(process);
      assertEq(fd, 3, "first descriptor of a new process");
      const none = await process.open("/dev/no/such/file");
      assertErrno(none, ENOENT, "open of a path that does not exist");
    },
  },
  {
    name: "close",
    async run({ process }) {
      const fd = await openIommu(process);
      assertEq(await process.close(fd), 0, "close");
      assertErrno(await process.close(fd), EBADF, "close once more");
      assertEq(await openIommu(process), fd, "descriptor after a close");
    },
  },
  {
    name: "dup",
    async run({ process }) {
      const fd = await openIommu(process);
      assertEq(await process.dup(fd), fd + 1, "dup");
      assertEq(await process.close(fd), 0, "close of the first");
      const arg = IommuIoasAlloc.encode();
      const ret = await process.ioctl(fd + 1, IOMMU_IOAS_ALLOC, arg);
      assertEq(ret, 0, "ioctl of the other");
      assertErrno(await process.dup(NO_FD), EBADF, "dup of no descriptor");
    },
  },
  {
    name: "ioctl",
    async run({ process }) {
      const fd = await openIommu(process);
      const arg = IommuIoasAlloc.encode();
      assertEq(await process.ioctl(fd, IOMMU_IOAS_ALLOC, arg), 0, "IOAS_ALLOC");
      const id = IommuIoasAlloc.decode(arg).outIoasId;
      assertTrue(id !== 0, "IOAS_ALLOC wrote an id into the struct");
      const destroy = IommuDestroy.encode({ id });
      const before = destroy.slice();
      assertEq(await process.ioctl(fd, IOMMU_DESTROY, destroy), 0, "DESTROY");
      const again = await process.ioctl(fd, IOMMU_DESTROY, destroy);
      assertErrno(again, ENOENT, "DESTROY once more");
      assertBytes(destroy, before, "struct of a DESTROY");
      const none = await process.ioctl(NO_FD, IOMMU_DESTROY, destroy);
      assertErrno(none, EBADF, "ioctl of no descriptor");
      const unknown = await process.ioctl(fd, 0x3bff, destroy);
      assertErrno(unknown, ENOTTY, "ioctl with an unknown command");
    },
  },
  {
    name: "ioctl: the byte after the struct is unmapped",
    async run({ process, target: { info: { capabilities } } }) {
      const fd = await openIommu(process);
      for (const size of [IommuIoasAlloc.size, 2 * PAGE_SIZE]) {
        const arg = new Uint8Array(size);
        arg.set(IommuIoasAlloc.encode());
        // Says that it is longer than it is.
        const claimed = size === IommuIoasAlloc.size ? size + 8 : size;
        IommuIoasAlloc.at(arg).size = claimed;
        const ret = await process.ioctl(fd, IOMMU_IOAS_ALLOC, arg);
        if (claimed > size) {
          assertErrno(ret, EFAULT, "IOAS_ALLOC with a size beyond its bytes");
        }
        assertEq(IommuIoasAlloc.at(arg).size, claimed, "size that came back");
      }
      const long = IommuIoasAlloc.encode();
      IommuIoasAlloc.at(long).size = long.length + 8;
      const twice = [0, 1].map(() =>
        call("ioctl", fd, IOMMU_IOAS_ALLOC, long.slice())
      );
      for (const ret of await process.batch(twice)) {
        assertErrno(ret, EFAULT, "the same in a batch");
      }
      if (capabilities.includes("time")) {
        for (const ret of (await process.time(2, twice)).results) {
          assertErrno(ret, EFAULT, "the same while its time is taken");
        }
      }
      const nothing = new Uint8Array(0);
      const none = await process.ioctl(fd, IOMMU_IOAS_ALLOC, nothing);
      assertErrno(none, EFAULT, "IOAS_ALLOC with - for its struct");
    },
  },
  {
    name: "ioctlarg",
    async run({ process }) {
      const fd = await openIommu(process);
      const none = await process.ioctlArg(fd, IOMMU_IOAS_ALLOC, 0);
      assertErrno(none, EFAULT, "IOAS_ALLOC with a null pointer");
      const high = 0xffff_ffff_ffff_f000n;
      const above = await process.ioctlArg(fd, IOMMU_IOAS_ALLOC, high);
      assertErrno(above, EFAULT, "IOAS_ALLOC with an address above the user's");
    },
  },
  {
    name: "read and write",
    async run({ process }) {
      const fd = assertOk(await process.memfdCreate("check", 0), "memfd");
      const bytes = new Uint8Array([0, 1, 0x7f, 0x80, 0xff]);
      assertEq(await process.write(fd, bytes), 5, "write of 5 bytes");
      const into = new Uint8Array(8);
      assertEq(await process.read(fd, into), 0, "read at the end of the file");
      assertErrno(await process.read(NO_FD, into), EBADF, "read of no file");
      assertErrno(await process.write(NO_FD, bytes), EBADF, "write of no file");
    },
  },
  {
    name: "pipe",
    async run({ process }) {
      const { ret, readFd, writeFd } = await process.pipe();
      assertEq(ret, 0, "pipe");
      assertTrue(readFd > 2 && writeFd > 2, "pipe returns two descriptors");
      const bytes = new Uint8Array([0, 0x80, 0xff]);
      assertEq(await process.write(writeFd, bytes), 3, "write of 3 bytes");
      const into = new Uint8Array(8);
      assertEq(await process.read(readFd, into), 3, "read of what was written");
      assertBytes(into.subarray(0, 3), bytes, "what was read");
      assertEq(await process.close(writeFd), 0, "close of the write end");
      assertEq(await process.read(readFd, into), 0, "read after that");
      const events = await process.poll(readFd, POLLIN);
      assertTrue((events & POLLHUP) !== 0, "poll tells POLLHUP unasked");
    },
  },
  {
    name: "eventfd",
    async run({ process }) {
      const fd = assertOk(await process.eventfd(5, O_NONBLOCK), "eventfd");
      const into = new Uint8Array(8);
      assertEq(await process.read(fd, into), 8, "read of an eventfd");
      assertBytes(into, u64(5), "first value of an eventfd");
      assertErrno(await process.read(fd, into), EAGAIN, "read of it once more");
      assertEq(await process.write(fd, u64(7)), 8, "write of an eventfd");
      assertEq(await process.read(fd, into), 8, "read of what was written");
      assertBytes(into, u64(7), "value that was written");
    },
  },
  {
    name: "unlink, pread, pwrite, lseek, fallocate and fcntl",
    needs: "files",
    run: probeFiles,
  },
  { name: "dup2 and dup3", needs: "dup2", run: probeDup2 },
  {
    name: "passfd",
    needs: "passfd",
    async run(bench) {
      const { process, target } = bench;
      await probePassFd(bench);
      await probePassFd(bench, await TargetProcess.spawn(target));
      await refuses(bench, `${process.number} passfd 0 ${NO_PROCESS}`);
    },
  },
  {
    name: "poll",
    async run({ process }) {
      const fd = assertOk(await process.eventfd(0, 0), "eventfd");
      const both = POLLIN | POLLOUT;
      assertEq(await process.poll(fd, POLLIN), 0, "poll of an empty eventfd");
      assertEq(await process.poll(fd, both), POLLOUT, "poll for POLLOUT too");
      assertEq(await process.write(fd, u64(1)), 8, "write");
      assertEq(await process.poll(fd, both), both, "poll after a write");
      assertEq(await process.poll(NO_FD, both), POLLNVAL, "poll of no file");
    },
  },
];
