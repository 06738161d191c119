// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_feature`: FEATURE with low power and DMA buffers of BARs,
 * eventfds that write, and resets of a bus that cannot be reset.
 *
 * @module
 */

import {
  EAGAIN,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOSPC,
  ENOTTY,
  EOPNOTSUPP,
  EOVERFLOW,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  MAP_SHARED,
  O_CLOEXEC,
  O_RDWR,
  PROT_READ,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertErrno,
  assertOk,
  assertTrue,
  type Table,
  type Test,
} from "../harness/harness.ts";
import { mapFileFixed } from "../ioctls/file_ioctls.ts";
import { assertResult } from "../ioctls/ioctls.ts";
import { vfioFixture, type VfioSelf } from "./kit_vfio_device.ts";
import { REGION, VFIO, type VfioFile } from "./vfio_ioctls.ts";

const [GET, SET, PROBE] = [1 << 16, 1 << 17, 1 << 18];
const [LOW_POWER, WITH_WAKEUP, EXIT, DMA_BUF] = [3, 4, 5, 11];
const HOT_RESET_INFO = 0x3b70;
const HOT_RESET = 0x3b71;
const IOEVENTFD = 0x3b74;

/** FEATURE with data; returns the result. */
async function feature(
  { process, fd }: VfioFile,
  flags: number,
  data: Uint8Array = new Uint8Array(0),
  argsz = 8 + data.length,
): Promise<number> {
  const bytes = new Uint8Array(8 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, argsz, true);
  view.setUint32(4, flags, true);
  bytes.set(data, 8);
  return await process.ioctl(fd, VFIO.FEATURE, bytes);
}

/** The data of FEATURE_DMA_BUF. */
function bufferOf(
  region: number,
  ranges: readonly (readonly [bigint, bigint])[],
  { openFlags = O_RDWR | O_CLOEXEC, flags = 0, count = ranges.length } = {},
): Uint8Array {
  const bytes = new Uint8Array(16 + 16 * ranges.length);
  const view = new DataView(bytes.buffer);
  [region, openFlags, flags, count].forEach((word, i) =>
    view.setUint32(4 * i, word, true)
  );
  ranges.flat().forEach((word, i) => view.setBigUint64(16 + 8 * i, word, true));
  return bytes;
}

/** A DMA buffer of BAR 0; returns its descriptor. */
async function share(
  device: VfioFile,
  ...ranges: readonly (readonly [bigint, bigint])[]
): Promise<number> {
  const data = bufferOf(REGION.BAR0, ranges);
  return assertOk(await feature(device, GET | DMA_BUF, data), "DMA_BUF");
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioFeature(registry: Test[]): void {
  const f = vfioFixture(registry, "kit_vfio_feature");

  f.table("errno", {
    description: "FEATURE checks its arguments in Linux's order",
    rules: ["X3.5"],
  }, (t) => {
    const rows: [string, Errno, number, number?][] = [
      ["short", EINVAL, PROBE | LOW_POWER, 7],
      ["an unknown flag", EINVAL, 1 << 19],
      ["GET and SET", EINVAL, GET | SET | EXIT],
      ["neither", EINVAL, EXIT],
      ["an operation that there is not", EINVAL, GET | EXIT],
      ["no room for the data", EINVAL, SET | WITH_WAKEUP],
      ["data that cannot be read", EFAULT, SET | WITH_WAKEUP, 16],
      ["a feature that there is not", ENOTTY, PROBE | 14],
      ["migration", ENOTTY, PROBE | 1],
      ["a log of DMA", ENOTTY, PROBE | 6],
    ];
    for (const [what, errno, flags, argsz] of rows) {
      t.case(what, async ({ device }) => {
        const data = new Uint8Array(0);
        const ret = await feature(device, flags, data, argsz);
        assertErrno(ret, errno, "FEATURE");
      });
    }
    t.case("no memory", async ({ io, device }) => {
      const ret = await io.process.ioctlArg(device.fd, VFIO.FEATURE, 0);
      assertErrno(ret, EFAULT, "FEATURE of nothing");
    });
  });

  f.test("probe", {
    description: "PROBE says what can be done, without doing it",
    rules: ["X3.5"],
  }, async ({ device }) => {
    for (const index of [LOW_POWER, WITH_WAKEUP, EXIT]) {
      assertEq(await feature(device, PROBE | index), 0, "PROBE");
      assertEq(await feature(device, PROBE | SET | index), 0, "PROBE, SET");
      const ret = await feature(device, PROBE | GET | index);
      assertErrno(ret, EINVAL, "PROBE, GET");
    }
  });

  f.test("low_power", {
    description: "In low power a BAR cannot be accessed by its mapping",
    rules: ["X3.6"],
  }, async ({ device }) => {
    const { process, fd } = device;
    const address = assertOk(
      await process.mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0),
      "mmap",
    );
    assertEq(await feature(device, SET | LOW_POWER), 0, "entry");
    assertErrno(await feature(device, SET | LOW_POWER), EINVAL, "twice");
    await device.load(REGION.BAR0, 8, 4);
    const gone = await process.peek(address, 4).then(() => false, () => true);
    assertTrue(gone, "no access by the mapping");
    assertEq(await feature(device, SET | EXIT), 0, "exit");
    await process.peek(address, 4);
    assertEq(await process.munmap(address, 4096), 0, "munmap");
  });

  f.test("wakeup", {
    description: "Whoever wants something wakes a device, and it says so",
    rules: ["X3.6"],
  }, async ({ io, device }) => {
    const eventfd = assertOk(await io.process.eventfd(0, 0x800), "eventfd");
    const entry = (fd: number): Promise<number> => {
      const data = new Uint8Array(8);
      new DataView(data.buffer).setInt32(0, fd, true);
      return feature(device, SET | WITH_WAKEUP, data);
    };
    assertErrno(await entry(-1), EINVAL, "no descriptor");
    assertErrno(await entry(9999), EBADF, "none that is open");
    assertErrno(await entry(io.fd), EINVAL, "another file");
    for (let i = 0; i < 2; i++) {
      assertEq(await entry(eventfd), 0, "entry");
      const count = new Uint8Array(8);
      let woke = false;
      // Linux puts it to sleep later, when it has time, and tells nobody.
      for (let looks = 0; !woke && looks < 4096; looks = 2 * looks + 1) {
        for (let look = 0; look < looks; look++) {
          assertErrno(await io.process.read(eventfd, count), EAGAIN, "asleep");
        }
        await device.load(REGION.BAR0, 8, 4);
        woke = await io.process.read(eventfd, count) === 8;
      }
      assertTrue(woke, "it woke");
      assertEq(count[0]!, 1, "once");
    }
  });

  f.table("dma_buf_errno", {
    description: "A DMA buffer is of whole pages of one BAR with memory",
    rules: ["X3.7"],
    since: "7.3",
  }, bufferErrnos);

  f.test("dma_buf", {
    description: "A DMA buffer of a BAR can be mapped, if it is one range",
    rules: ["X3.7"],
    since: "7.3",
  }, async ({ io, device, ioasId }) => {
    await device.attach(ioasId);
    const one = await share(device, [0n, 8192n]);
    const two = await share(device, [0n, 8192n], [16384n, 4096n]);
    assertEq(await io.process.lseek(one, 0, 2), 8192, "its length");
    assertEq(await io.process.lseek(one, 0, 0), 0, "its beginning");
    assertErrno(await io.process.lseek(one, 1, 0), EINVAL, "within");
    assertErrno(await io.process.lseek(one, 0, 1), EINVAL, "its position");
    const map = (
      fd: number,
      iova: bigint,
      start: number,
      length: number,
      errno?: Errno,
    ) => mapFileFixed(io, ioasId, fd, start, length, iova, errno);
    await map(one, 0x10000000n, 0, 8192);
    await map(two, 0x20000000n, 0, 4096, EOPNOTSUPP);
    await map(one, 0x20000000n, 4096, 4096);
    await map(one, 0x30000000n, 4096, 8192, EINVAL);
    await device.setConfig(4, 2, 1);
    await map(one, 0x30000000n, 0, 8192, ENODEV);
    await device.setConfig(4, 2, 3);
    await map(one, 0x30000000n, 0, 8192);
    const ret = await io.process.ioctlArg(device.fd, VFIO.RESET, 0);
    assertEq(ret, 0, "RESET");
    const unmapped = await io.unmap(ioasId, 0x30000000n, 8192n);
    assertEq(unmapped, 8192n, "what was taken back is unmapped still");
    for (const fd of [one, two]) {
      assertEq(await io.process.close(fd), 0, "close a buffer");
    }
    await device.detach();
  });

  f.test("dma_buf_outlives", {
    description: "A buffer outlives its device, but is of no use then",
    rules: ["X3.7"],
    since: "7.3",
  }, async ({ io, device, ioasId }) => {
    const fd = await share(device, [0n, 4096n]);
    await device.close();
    await mapFileFixed(io, ioasId, fd, 0, 4096, 0x10000000n, ENODEV);
    assertEq(await io.process.close(fd), 0, "close the buffer");
    const again = await io.process.open("/dev/null");
    assertEq(again, device.fd, "for the teardown");
  });

  f.table("ioeventfd", {
    description: "An eventfd writes to a BAR",
    rules: ["X3.8"],
  }, ioeventfds);

  f.test("hot_reset", {
    description: "A bus without a bridge above it cannot be reset",
    rules: ["X3.9"],
  }, async ({ device }) => {
    const { process, fd } = device;
    const bytes = new Uint8Array(64);
    const view = new DataView(bytes.buffer);
    const call = (cmd: number, argsz: number, flags = 0, count = 0) => {
      bytes.fill(0);
      [argsz, flags, count].forEach((word, i) =>
        view.setUint32(4 * i, word, true)
      );
      return process.ioctl(fd, cmd, bytes);
    };
    for (const cmd of [HOT_RESET_INFO, HOT_RESET]) {
      assertErrno(await call(cmd, 11), EINVAL, "short");
      assertErrno(await call(cmd, 12), ENODEV, "no bridge");
      assertErrno(await process.ioctlArg(fd, cmd, 0), EFAULT, "no memory");
    }
    assertErrno(await call(HOT_RESET, 12, 1), EINVAL, "a flag");
    assertErrno(await call(HOT_RESET, 16, 0, 1), EINVAL, "groups");
  });
}

function bufferErrnos(t: Table<VfioSelf>): void {
  const page: readonly [bigint, bigint] = [0n, 4096n];
  const rows: [string, Errno, Uint8Array][] = [
    ["no ranges", EINVAL, bufferOf(0, [])],
    ["flags", EINVAL, bufferOf(0, [page], { flags: 1 })],
    ["an empty range", EINVAL, bufferOf(0, [[0n, 0n]])],
    ["a part of a page", EINVAL, bufferOf(0, [[100n, 4096n]])],
    ["a part of a page at the end", EINVAL, bufferOf(0, [[0n, 100n]])],
    ["beyond the end", EINVAL, bufferOf(0, [[0n, 0x21000n]])],
    ["beyond 2^64", EOVERFLOW, bufferOf(0, [[2n ** 64n - 4096n, 4096n]])],
    ["all there is", EINVAL, bufferOf(0, [[0n, 2n ** 63n], [0n, 2n ** 63n]])],
    ["ports", EINVAL, bufferOf(2, [page])],
    ["no BAR", ENODEV, bufferOf(4, [page])],
    ["the ROM", ENODEV, bufferOf(6, [page])],
    ["no region", ENODEV, bufferOf(9, [page])],
  ];
  for (const [what, errno, data] of rows) {
    t.case(what, async ({ device }) => {
      const ret = await feature(device, GET | DMA_BUF, data);
      assertErrno(ret, errno, "DMA_BUF");
    });
  }
  t.case("flags of open that say nothing here", async ({ io, device }) => {
    const data = bufferOf(0, [page], { openFlags: O_RDWR | 0x40 });
    const fd = assertOk(await feature(device, GET | DMA_BUF, data), "DMA_BUF");
    assertEq(await io.process.close(fd), 0, "close the buffer");
  });
  t.case("data that cannot be read", async ({ device }) => {
    const none = new Uint8Array(0);
    const ret = await feature(device, GET | DMA_BUF, none, 24);
    assertErrno(ret, EFAULT, "DMA_BUF");
  });
  t.case("fewer ranges than counted", async ({ device }) => {
    const data = bufferOf(0, [page], { count: 2 });
    assertErrno(await feature(device, GET | DMA_BUF, data), EFAULT, "DMA_BUF");
  });
  t.case("the second form of a migration's data", async ({ device }) => {
    assertErrno(await feature(device, PROBE | 12), EINVAL, "FEATURE 12");
  });
}

/** GPIE of an 82576, which nothing else looks at while it is alone. */
const GPIE = 0x1514;

/** IOEVENTFD; returns the result. */
async function ioeventfd(
  { process, fd }: VfioFile,
  values: {
    readonly argsz?: number;
    readonly flags?: number;
    readonly index?: number;
    readonly at?: number;
    readonly data?: bigint;
    readonly eventfd: number;
  },
): Promise<number> {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  const { argsz = 32, flags = 4, index = 0, at = GPIE, data = 5n } = values;
  view.setUint32(0, argsz, true);
  view.setUint32(4, flags, true);
  view.setBigUint64(8, BigInt(index) << 40n | BigInt(at), true);
  view.setBigUint64(16, data, true);
  view.setInt32(24, values.eventfd, true);
  return await process.ioctl(fd, IOEVENTFD, bytes);
}

function ioeventfds(t: Table<VfioSelf>): void {
  const refused: [string, Errno, Parameters<typeof ioeventfd>[1]][] = [
    ["short", EINVAL, { argsz: 27, eventfd: -1 }],
    ["an unknown flag", EINVAL, { flags: 16, eventfd: -1 }],
    ["two lengths", EINVAL, { flags: 3, eventfd: -1 }],
    ["no length", EINVAL, { flags: 0, eventfd: -1 }],
    ["a descriptor below -1", EINVAL, { eventfd: -2 }],
    ["no BAR", EINVAL, { index: 7, eventfd: -1 }],
    ["across the end", EINVAL, { at: 0x1fffe, eventfd: -1 }],
    ["the table of MSI-X", EINVAL, { index: 3, at: 156, eventfd: -1 }],
    ["none to end", ENODEV, { eventfd: -1 }],
    ["a descriptor that is not open", EBADF, { eventfd: 9999 }],
  ];
  for (const [what, errno, values] of refused) {
    t.case(what, async ({ device }) => {
      assertErrno(await ioeventfd(device, values), errno, "IOEVENTFD");
    });
  }
  t.case("no memory", async ({ io, device }) => {
    const ret = await io.process.ioctlArg(device.fd, IOEVENTFD, 0);
    assertErrno(ret, EFAULT, "IOEVENTFD of nothing");
  });
  for (const flags of [1, 2, 8]) {
    t.case(`${flags} bytes`, async ({ io, device }) => {
      const { process } = io;
      const eventfd = assertOk(await process.eventfd(0, 0x800), "eventfd");
      assertEq(await ioeventfd(device, { flags, eventfd }), 0, "IOEVENTFD");
      const other = await ioeventfd(device, { eventfd: -1 });
      assertErrno(other, ENODEV, "of another length");
      const one = new Uint8Array(8);
      one[0] = 1;
      assertEq(await process.write(eventfd, one), 8, "write");
      assertEq(await device.load(REGION.BAR0, GPIE, 4), 5, "written");
      assertEq(await ioeventfd(device, { flags, eventfd: -1 }), 0, "ended");
      await device.store(REGION.BAR0, GPIE, 4, 0);
      assertResult(await process.close(eventfd), undefined, "close");
    });
  }
  t.case("written when it is signalled", async ({ io, device }) => {
    const { process } = io;
    const eventfd = assertOk(await process.eventfd(0, 0x800), "eventfd");
    assertEq(await ioeventfd(device, { eventfd }), 0, "IOEVENTFD");
    assertErrno(await ioeventfd(device, { eventfd }), EEXIST, "again");
    assertEq(await ioeventfd(device, { eventfd, data: 6n }), 0, "other data");
    assertEq(await ioeventfd(device, { eventfd: -1, data: 6n }), 0, "ended");
    const one = new Uint8Array(8);
    one[0] = 1;
    assertEq(await process.write(eventfd, one), 8, "write");
    assertEq(await device.load(REGION.BAR0, GPIE, 4), 5, "written");
    assertEq(await ioeventfd(device, { eventfd: -1 }), 0, "ended too");
    await device.store(REGION.BAR0, GPIE, 4, 0);
    assertEq(await process.write(eventfd, one), 8, "write");
    assertEq(await device.load(REGION.BAR0, GPIE, 4), 0, "not written");
    assertResult(await process.close(eventfd), undefined, "close");
  });
  t.case(
    "written at once for what was counted before, which stays",
    async ({ io, device }) => {
      const { process } = io;
      const eventfd = assertOk(await process.eventfd(2, 0x800), "eventfd");
      assertEq(await ioeventfd(device, { eventfd }), 0, "IOEVENTFD");
      assertEq(await device.load(REGION.BAR0, GPIE, 4), 5, "written");
      const count = new Uint8Array(8);
      assertEq(await process.read(eventfd, count), 8, "read");
      assertEq(count[0]!, 2, "what was counted");
      await device.store(REGION.BAR0, GPIE, 4, 0);
      count[0] = 1;
      assertEq(await process.write(eventfd, count), 8, "write");
      assertEq(await device.load(REGION.BAR0, GPIE, 4), 5, "written again");
      assertErrno(await process.read(eventfd, count), EAGAIN, "it was taken");
      assertEq(await ioeventfd(device, { eventfd: -1 }), 0, "ended");
      await device.store(REGION.BAR0, GPIE, 4, 0);
      assertResult(await process.close(eventfd), undefined, "close");
    },
  );
  t.case("a thousand", async ({ io, device }) => {
    const eventfd = assertOk(await io.process.eventfd(0, 0x800), "eventfd");
    for (let i = 0; i < 1000; i++) {
      const data = BigInt(i);
      assertEq(await ioeventfd(device, { eventfd, data }), 0, `number ${i}`);
    }
    const one = { eventfd, data: 1000n };
    assertErrno(await ioeventfd(device, one), ENOSPC, "one more");
    for (let i = 0; i < 1000; i++) {
      const values = { eventfd: -1, data: BigInt(i) };
      assertEq(await ioeventfd(device, values), 0, `end of ${i}`);
    }
    assertResult(await io.process.close(eventfd), undefined, "close");
  });
}
