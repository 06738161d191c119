// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { AttachHandle } from "../../iommu/group.ts";
import { reportDeviceFault } from "../../iommu/page_fault.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { errnoName } from "../../uapi/errno.ts";
import {
  IOMMUFD_PAGE_RESP_INVALID,
  IOMMUFD_PAGE_RESP_SUCCESS,
  IommuHwptPageResponse,
} from "../../uapi/iommufd.ts";
import {
  PAGE_SIZE,
  POLLERR,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "../../uapi/mman.ts";
import {
  decodeFaults,
  encodeAnswers,
  FAULT_SIZE,
  FaultBench,
  type Queue,
} from "../testing/fault_bench.ts";

const ANSWER_SIZE = IommuHwptPageResponse.size;

/** A machine, a fault queue and a device that faults into it. */
function setup() {
  const bench = new FaultBench();
  const queue = bench.queue();
  return { bench, queue, device: bench.faulting(queue) };
}

/** read and write at addresses of the process, by name of the errno. */
function readTo(
  { process }: FaultBench,
  { fd }: Queue,
  address: number,
  count: number,
): number | string {
  const got = process.readTo(fd, address, count);
  return got < 0 ? errnoName(got) : got;
}

function writeFrom(
  { process }: FaultBench,
  { fd }: Queue,
  address: number,
  count: number,
): number | string {
  const got = process.writeFrom(fd, address, count);
  return got < 0 ? errnoName(got) : got;
}

describe("reading faults", () => {
  it("gives 0 bytes when there are none, whatever fits", () => {
    const { bench, queue } = setup();
    for (const bytes of [0, 40, 4000]) {
      assertEquals(bench.read(queue, bytes), []);
    }
    bench.end();
  });

  it("takes multiples of the record's size only: ESPIPE", () => {
    const { bench, queue, device } = setup();
    bench.report(device, 1, [1n]);
    for (const bytes of [1, 39, 41, 79]) {
      assertEquals(bench.read(queue, bytes), "ESPIPE");
    }
    assertEquals(bench.summary(queue, 40), ["1:1:1"]);
    bench.end();
  });

  it("gives whole groups, oldest first, as many as fit", () => {
    const { bench, queue, device } = setup();
    bench.report(device, 1, [10n, 11n]);
    bench.report(device, 2, [20n]);
    bench.report(device, 3, [30n, 31n, 32n]);
    assertEquals(bench.summary(queue, 5 * FAULT_SIZE), [
      "1:1:10",
      "1:1:11",
      "2:2:20",
    ]);
    assertEquals(bench.summary(queue), ["3:3:30", "3:3:31", "3:3:32"]);
    assertEquals(bench.summary(queue), []);
    bench.end();
  });

  it("is EINVAL if the first group does not fit, with no bytes at all too", () => {
    const { bench, queue, device } = setup();
    bench.report(device, 1, [10n, 11n]);
    bench.report(device, 2, [20n]);
    assertEquals(bench.read(queue, FAULT_SIZE), "EINVAL");
    assertEquals(bench.read(queue, 0), "EINVAL");
    assertEquals(bench.summary(queue), ["1:1:10", "1:1:11", "2:2:20"]);
    bench.end();
  });

  it("gives the lowest free cookie when a group is read", () => {
    const { bench, queue, device } = setup();
    for (const grpid of [1, 2, 3]) bench.report(device, grpid, [0n]);
    assertEquals(bench.summary(queue), ["1:1:0", "2:2:0", "3:3:0"]);
    // Two wait when cookies become free; they get them in the order of reading.
    for (const grpid of [4, 5, 6]) bench.report(device, grpid, [0n]);
    assertEquals(bench.answer(queue, { cookie: 2 }, { cookie: 1 }), 16);
    assertEquals(bench.summary(queue), ["1:4:0", "2:5:0", "4:6:0"]);
    bench.end();
  });

  it("marks the last fault of a group only, and names the device", () => {
    const { bench, queue, device } = setup();
    const other = bench.faulting(queue);
    bench.report(device, 1, [10n, 11n]);
    bench.report(other, 1, [20n]);
    const faults = bench.read(queue) as ReturnType<typeof decodeFaults>;
    assertEquals(faults.map(({ flags }) => flags), [0, 2, 2]);
    assertEquals(faults.map(({ cookie }) => cookie), [1, 1, 2]);
    assertEquals(
      faults.map(({ devId }) => devId),
      [device.idev, device.idev, other.idev],
    );
    bench.end();
  });

  it("is EFAULT in the middle of a group, which stays first, without cookie", () => {
    const { bench, queue, device } = setup();
    bench.report(device, 1, [10n, 11n, 12n]);
    bench.report(device, 2, [20n]);
    const end = bench.memory(1) + PAGE_SIZE;
    bench.process.munmap(end, PAGE_SIZE);
    const at = end - 2 * FAULT_SIZE;
    assertEquals(readTo(bench, queue, at, 3 * FAULT_SIZE), "EFAULT");
    // What was stored before the bad address is there.
    const stored = decodeFaults(bench.process.peek(at, 2 * FAULT_SIZE));
    assertEquals(stored.map(({ addr }) => addr), [10n, 11n]);
    assertEquals(bench.answer(queue, { cookie: 1 }), "EINVAL");
    assertEquals(bench.process.poll(queue.fd, POLLIN), POLLIN);
    assertEquals(bench.summary(queue), [
      "1:1:10",
      "1:1:11",
      "1:1:12",
      "2:2:20",
    ]);
    bench.end();
  });

  it("says nothing of an EFAULT after the first group", () => {
    const { bench, queue, device } = setup();
    bench.report(device, 1, [10n]);
    bench.report(device, 2, [20n, 21n]);
    const end = bench.memory(1) + PAGE_SIZE;
    bench.process.munmap(end, PAGE_SIZE);
    const at = end - 2 * FAULT_SIZE;
    assertEquals(readTo(bench, queue, at, 3 * FAULT_SIZE), FAULT_SIZE);
    assertEquals(bench.answer(queue, { cookie: 2 }), "EINVAL");
    assertEquals(bench.summary(queue), ["2:2:20", "2:2:21"]);
    bench.end();
  });

  it("leaves a group unread that a failed copy did not hand out", () => {
    const { bench, queue, device } = setup();
    for (const grpid of [1, 2]) bench.report(device, grpid, [0n]);
    const at = bench.memory(1);
    // The cookie's node, then a copy for each record.
    bench.process.setFailNth(2);
    assertEquals(readTo(bench, queue, at, 80), "EFAULT");
    bench.process.setFailNth(3);
    assertEquals(readTo(bench, queue, at, 80), 40);
    assertEquals(bench.process.failNthLeft(), 0);
    assertEquals(readTo(bench, queue, at, 80), 40);
    bench.end();
  });

  it("tries twice to get memory for a cookie", () => {
    const { bench, queue, device } = setup();
    bench.report(device, 1, [0n]);
    const at = bench.memory(1);
    bench.process.setFailNth(1);
    assertEquals(readTo(bench, queue, at, 40), 40);
    assertEquals(bench.process.failNthLeft(), 0);
    bench.end();
  });

  it("is a bug through an attachment that iommufd did not make", () => {
    const { bench, queue, device } = setup();
    const handle = new AttachHandle();
    handle.domain = device.dev.group!.domain;
    device.dev.group!.pasidArray.set(1, handle);
    bench.trigger(device.idev, { pasid: 1 });
    assertThrows(() => bench.read(queue), KernelBug, "somebody else");
  });
});

describe("writing answers", () => {
  it("passes them on, and takes their cookies back", () => {
    const { bench, queue, device } = setup();
    for (const grpid of [1, 2]) bench.report(device, grpid, [0n]);
    bench.read(queue);
    const answers = [
      { cookie: 2, code: IOMMUFD_PAGE_RESP_SUCCESS },
      { cookie: 1, code: IOMMUFD_PAGE_RESP_INVALID },
    ];
    assertEquals(bench.answer(queue, ...answers), 2 * ANSWER_SIZE);
    assertEquals(bench.answers, ["0:2:0", "0:1:1"]);
    for (const cookie of [0, 1, 2, 3, 2 ** 32 - 1]) {
      assertEquals(bench.answer(queue, { cookie }), "EINVAL");
    }
    assertEquals(bench.answers.length, 2);
    bench.end();
  });

  it("takes multiples of the record's size only: ESPIPE", () => {
    const { bench, queue, device } = setup();
    bench.report(device, 1, [0n]);
    bench.read(queue);
    const at = bench.memory(1);
    bench.process.poke(at, encodeAnswers([{ cookie: 1 }]));
    for (const bytes of [1, 7, 9, 15]) {
      assertEquals(writeFrom(bench, queue, at, bytes), "ESPIPE");
    }
    assertEquals(writeFrom(bench, queue, at, 0), 0);
    assertEquals(bench.answers, []);
    assertEquals(writeFrom(bench, queue, at, 8), 8);
    bench.end();
  });

  it("cannot be given to a group that was not read", () => {
    const { bench, queue, device } = setup();
    bench.report(device, 1, [0n]);
    assertEquals(bench.answer(queue, { cookie: 1 }), "EINVAL");
    assertEquals(bench.summary(queue), ["1:1:0"]);
    assertEquals(bench.answer(queue, { cookie: 1 }), 8);
    bench.end();
  });

  it("belongs to the queue that the cookie is of", () => {
    const { bench, queue, device } = setup();
    const other = bench.queue();
    bench.report(device, 1, [0n]);
    bench.read(queue);
    assertEquals(bench.answer(other, { cookie: 1 }), "EINVAL");
    assertEquals(bench.answer(queue, { cookie: 1 }), 8);
    bench.end();
  });

  it("is EINVAL for other codes, and the cookie stays", () => {
    const { bench, queue, device } = setup();
    bench.report(device, 1, [0n]);
    bench.read(queue);
    // 2 is the answer that only the kernel gives.
    for (const code of [2, 3, 2 ** 32 - 1]) {
      assertEquals(bench.answer(queue, { cookie: 1, code }), "EINVAL");
    }
    assertEquals(bench.answer(queue, { cookie: 1, code: 1 }), 8);
    bench.end();
  });

  it("stops at the first bad one; those before it count", () => {
    const { bench, queue, device } = setup();
    for (const grpid of [1, 2, 3]) bench.report(device, grpid, [0n]);
    bench.read(queue);
    const good = [{ cookie: 1 }, { cookie: 2 }];
    const badCode = { cookie: 3, code: 2 };
    assertEquals(bench.answer(queue, ...good, badCode), 16);
    assertEquals(bench.answer(queue, { cookie: 1 }, { cookie: 3 }), "EINVAL");
    assertEquals(bench.answer(queue, { cookie: 3 }, { cookie: 3 }), 8);
    assertEquals(bench.answers, ["0:1:0", "0:2:0", "0:3:0"]);
    bench.end();
  });

  it("is EFAULT where it cannot be read, if that is the first", () => {
    const { bench, queue, device } = setup();
    for (const grpid of [1, 2]) bench.report(device, grpid, [0n]);
    bench.read(queue);
    const end = bench.memory(1) + PAGE_SIZE;
    bench.process.munmap(end, PAGE_SIZE);
    assertEquals(writeFrom(bench, queue, end, 8), "EFAULT");
    assertEquals(writeFrom(bench, queue, end - 4, 8), "EFAULT");
    bench.process.poke(end - 8, encodeAnswers([{ cookie: 1 }]));
    assertEquals(writeFrom(bench, queue, end - 8, 16), 8);
    assertEquals(bench.answers, ["0:1:0"]);
    bench.end();
  });
});

describe("polling a fault queue", () => {
  it("is writable always, and readable while groups are unread", () => {
    const { bench, queue, device } = setup();
    const all = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLERR;
    const poll = () => bench.process.poll(queue.fd, all);
    assertEquals(poll(), POLLOUT);
    for (const grpid of [1, 2]) bench.report(device, grpid, [0n]);
    assertEquals(poll(), POLLOUT | POLLIN | POLLRDNORM);
    bench.read(queue, 40);
    assertEquals(poll(), POLLOUT | POLLIN | POLLRDNORM);
    // Read and not answered does not count.
    bench.read(queue, 40);
    assertEquals(poll(), POLLOUT);
    bench.answer(queue, { cookie: 1 }, { cookie: 2 });
    assertEquals(poll(), POLLOUT);
    bench.end();
  });

  it("is waited for: a notice comes when a group comes, is read, or goes", () => {
    const { bench, queue, device } = setup();
    let notices = 0;
    const file = bench.process.files.lookup(queue.fd);
    file.onPollChange(() => notices++);
    bench.report(device, 1, [0n]);
    assertEquals(notices, 1);
    bench.read(queue, 40);
    assertEquals(notices, 2);
    bench.report(device, 2, [0n]);
    bench.replace(device, bench.hwpt(device));
    assertEquals(notices, 4);
    assertEquals(bench.process.poll(queue.fd, POLLIN), 0);
    bench.end();
  });

  it("does not see a group before it is complete", () => {
    const { bench, queue, device } = setup();
    const incomplete = { flags: 0, pasid: 0, grpid: 1, perm: 1, addr: 5n };
    reportDeviceFault(device.dev, incomplete);
    assertEquals(bench.process.poll(queue.fd, POLLIN), 0);
    assertEquals(bench.read(queue), []);
    bench.report(device, 1, [6n]);
    assertEquals(bench.process.poll(queue.fd, POLLIN), POLLIN);
    bench.end();
  });
});
