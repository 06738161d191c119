// SPDX-License-Identifier: GPL-2.0-only

import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IOMMU_IOAS_ALLOC, IommuIoasAlloc } from "../../impl/uapi/iommufd.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  O_RDWR,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import { ModelServer } from "../agents/model_agent.ts";
import { type Target, TargetProcess } from "../../selftests/target/target.ts";
import {
  MemoryFault,
  ProtocolError,
  TargetFailure,
} from "../../selftests/target/target_failure.ts";
import { answering, FakeConnection } from "../testing/fake_connection.ts";
import { connectTarget } from "./client.ts";
import { call } from "../../selftests/target/verbs.ts";

const HELLO =
  "ok protocol=1 name=n version=1.0 uapi=6.12 page=4096 hugepage=2097152 capabilities=";

/** The target at an adapter that answers with what `answer` returns behind the sequence number. */
function connect(answer: (request: string) => string): Promise<Target> {
  return connectTarget(answering((line) => {
    const [sequence, ...words] = line.split(" ");
    const request = words.join(" ");
    const reply = request === "0 hello 1" ? HELLO : answer(request);
    return `${sequence} ${reply}`;
  }));
}

/** The model behind the protocol, without a process between. */
function connectModel(): Promise<Target> {
  const server = new ModelServer();
  return connectTarget(answering((line) => server.answer(line).reply));
}

/** One process of an adapter that answers every call of it with `reply`. */
async function processOf(reply: string): Promise<TargetProcess> {
  const target = await connect((request) =>
    request === "0 spawn" ? "ok 5" : reply
  );
  return await TargetProcess.spawn(target);
}

/** Maps a page. */
function page(process: TargetProcess): Promise<number> {
  return process.mmap(
    0,
    PAGE_SIZE,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS,
  );
}

describe("a program on an adapter", () => {
  const OPEN = { process: 0, call: call("open", "/dev/iommu", O_RDWR) };

  it("is one request, and those behind it are sent ahead of its reply", async () => {
    const server = new ModelServer();
    const waiting: string[] = [];
    const connection = new FakeConnection((line) => waiting.push(line));
    const connecting = connectTarget(connection);
    const answerAll = () => {
      for (const line of waiting.splice(0)) {
        connection.send(`${server.answer(line).reply}\n`);
      }
    };
    answerAll();
    const target = await connecting;
    const both = [0, 1].map(() =>
      Promise.all([target.program!([OPEN, OPEN]), target.reset()])
    );
    assertEquals(waiting.map((line) => line.split(" ")[2]), [
      ...["program", "reset", "program", "reset"],
    ]);
    answerAll();
    for (const [outcomes, problems] of await Promise.all(both)) {
      const results = outcomes.map((outcome) =>
        outcome.kind === "returned" && outcome.result
      );
      assertEquals(results, [3, 4]);
      assertEquals(problems, []);
    }
    const closing = target.close();
    answerAll();
    await closing;
  });

  it("is not asked for where the adapter does not say that it can", async () => {
    const target = await connect(() => "ok");
    assertEquals(target.program, undefined);
    await target.close();
  });
});

describe("connectTarget()", () => {
  it("reads what the adapter says about itself", async () => {
    const target = await connectTarget(
      answering((line) => `${line.split(" ")[0]} ${HELLO}fork,hugetlb more=1`),
    );
    assertEquals(target.info, {
      name: "n",
      version: "1.0",
      uapi: "6.12",
      pageSize: 4096,
      hugePageSize: 2097152,
      capabilities: ["fork", "hugetlb"],
    });
    await target.close();
  });

  it("reads which operations of the test ioctl it has", async () => {
    for (const [text, ops] of [["", []], ["MOCK_DOMAIN", ["MOCK_DOMAIN"]]]) {
      const hello = `1 ${HELLO} testops=${text}`;
      const target = await connectTarget(answering(() => hello));
      assertEquals(target.info.testOps, ops as string[]);
      await target.close();
    }
  });

  for (
    const [change, to, why] of [
      ["protocol=1", "protocol=2", "its protocol is 2, and 1 is spoken here"],
      ["protocol=1 ", "", "protocol is missing"],
      ["name=n ", "", "name is missing"],
      ["name=n", "name=", "name is empty"],
      ["name=n", "name=n name=m", "name is told twice"],
      ["name=n", "model", `"model" is not of the form KEY=NAME`],
      ["uapi=6.12", "uapi=6.21", `only ${REVISION_NAMES.join(", ")} are known`],
      [
        "uapi=6.12",
        "uapi=constructor",
        `only ${REVISION_NAMES.join(", ")} are known`,
      ],
      ["page=4096", "page=4095", "page is no power of two: 4095"],
      ["page=4096", "page=0", "page is no power of two: 0"],
      ["page=4096", "page=0x1000", "page is no power of two: 0x1000"],
      ["hugepage=2097152", "hugepage=2048", "hugepage is smaller than page"],
      ["capabilities=", "capabilities=a,a", "a capability is named twice"],
      ["capabilities=", "capabilities=a,", "a capability has no name"],
      [
        "name=n",
        "name=n testops=DIRTY,DIRTY",
        "a test operation is named twice",
      ],
      [
        "name=n",
        "name=n testops=MOCK_DOMIAN",
        'there is no test operation MOCK_DOMIAN. Did you mean "MOCK_DOMAIN"?',
      ],
    ] as const
  ) {
    it(`refuses a hello with "${to}" for "${change}": ${why}`, async () => {
      const connection = answering(() => `1 ${HELLO.replace(change, to)}`);
      await assertRejects(() => connectTarget(connection), ProtocolError, why);
      assertEquals(connection.closes.length > 0, true);
    });
  }

  it("tells what an adapter that ends at once wrote to standard error", async () => {
    const connection = new FakeConnection((_, connection) => {
      connection.stderr = "no such device\n";
      connection.end();
    });
    const { message } = await assertRejects(
      () => connectTarget(connection),
      TargetFailure,
    );
    assertEquals(
      message,
      `The target ended when it was to answer "1 0 hello 1": it exited with ` +
        "code 7. It wrote to standard error:\nno such device",
    );
  });

  it("does not wait for ever for the first reply", async () => {
    const connection = new FakeConnection(() => {});
    await assertRejects(
      () => connectTarget(connection, { helloTimeoutMs: 10 }),
      TargetFailure,
      `No answer to "1 0 hello 1" after 0.01 seconds`,
    );
  });
});

describe("RemoteTarget", () => {
  for (
    const [reply, why] of [
      ["ok", "the process is missing"],
      ["ok 0", "0 cannot be a process"],
      ["ok -1", "-1 cannot be a process"],
    ] as const
  ) {
    it(`refuses a spawn that is answered with "${reply}"`, async () => {
      const target = await connect(() => reply);
      await assertRejects(
        () => TargetProcess.spawn(target),
        ProtocolError,
        why,
      );
    });
  }

  it("refuses a process that is there already, unless that ended", async () => {
    const target = await connect((request) =>
      request === "0 spawn" ? "ok 5" : "ok"
    );
    const process = await TargetProcess.spawn(target);
    await process.exit();
    await TargetProcess.spawn(target);
    await target.reset();
    await TargetProcess.spawn(target);
    await assertRejects(
      () => TargetProcess.spawn(target),
      ProtocolError,
      "process 5 is there already",
    );
  });

  it("reads what a reset found", async () => {
    const target = await connect(() => "ok 4120 62");
    assertEquals(await target.reset(), ["A ", "b"]);
  });
});

describe("RemoteProcess", () => {
  it("makes every system call", async () => {
    const target = await connectModel();
    const process = await TargetProcess.spawn(target);
    const fd = await process.open("/dev/iommu");
    const arg = IommuIoasAlloc.encode();
    assertEquals(await process.ioctl(fd, IOMMU_IOAS_ALLOC, arg), 0);
    assertEquals(IommuIoasAlloc.decode(arg).outIoasId, 1);
    assertEquals(
      await process.ioctlArg(fd, IOMMU_IOAS_ALLOC, 2n ** 64n - 1n),
      -14,
    );
    assertEquals(await process.dup(fd), 4);
    assertEquals(await process.close(4), 0);
    const addr = await page(process);
    await process.poke(addr, new Uint8Array([1, 2]));
    assertEquals(await process.peek(addr, 2), new Uint8Array([1, 2]));
    assertEquals(await process.mprotect(addr, PAGE_SIZE, PROT_READ), 0);
    assertEquals(await process.madvise(addr, PAGE_SIZE, 999), -22);
    assertEquals(await process.munmap(addr, PAGE_SIZE), 0);
    const memfd = await process.memfdCreate("näme", 0);
    assertEquals(await process.ftruncate(memfd, PAGE_SIZE), 0);
    const event = await process.eventfd(3, 0);
    assertEquals(await process.poll(event, 1), 1);
    const into = new Uint8Array(8);
    assertEquals(await process.read(event, into), 8);
    assertEquals(into[0], 3);
    assertEquals(await process.write(event, into), 8);
    const { ret, readFd, writeFd } = await process.pipe();
    assertEquals([ret, writeFd], [0, readFd + 1]);
    assertEquals(await process.setrlimit(8, 2n ** 64n - 1n), 0);
    assertEquals(await process.setFailNth(5), 0);
    assertEquals(await process.failNthLeft(), 5);
    assertEquals(await process.setFailNth(0), 0);
    assertEquals(await process.vmStatus(), { vmLck: 0, vmPin: 0 });
    assertEquals(await process.dropCapability(14), 0);
    assertEquals(await process.setuid(1000), 0);
    const child = await process.fork();
    assertEquals(await child.close(fd), 0);
    await child.exit();
    assertEquals(await process.close(fd), 0);
    await process.exit();
    await process.exit();
    assertEquals(await target.reset(), []);
    await target.close();
  });

  it("makes the calls of a batch, also none", async () => {
    const target = await connectModel();
    const process = await TargetProcess.spawn(target);
    const addr = await page(process);
    const into = new Uint8Array(2);
    assertEquals(await process.batch([]), []);
    const results = await process.batch([
      call("poke", addr, new Uint8Array([7, 8])),
      call("peek", addr, into),
      call("ioctl", 9, 0x3b80, new Uint8Array(8)),
    ]);
    assertEquals([results, [...into]], [[0, 0, -9], [7, 8]]);
    await target.close();
  });

  it("rejects a batch of which a call faulted, after all were made", async () => {
    const target = await connectModel();
    const process = await TargetProcess.spawn(target);
    const addr = await page(process);
    const batch = process.batch([
      call("peek", 16, new Uint8Array(1)),
      call("poke", addr, new Uint8Array([9])),
    ]);
    await assertRejects(() => batch, MemoryFault);
    assertEquals(await process.peek(addr, 1), new Uint8Array([9]));
    await target.close();
  });

  it("times calls, and updates their structs", async () => {
    const target = await connectModel();
    const process = await TargetProcess.spawn(target);
    const fd = await process.open("/dev/iommu");
    const arg = IommuIoasAlloc.encode();
    const { nanoseconds, results } = await process.time(3, [
      call("ioctl", fd, IOMMU_IOAS_ALLOC, arg),
      call("ioctlarg", fd, IOMMU_IOAS_ALLOC, 16),
      call("open", "/dev/iommu", O_RDWR),
      call("close", fd + 1),
    ]);
    assertEquals(results, [0, -14, fd + 1, 0]);
    assertEquals(IommuIoasAlloc.decode(arg).outIoasId, 3);
    assertEquals(nanoseconds.length, 4);
    assertEquals(nanoseconds.every((each) => each >= 0), true);
    await target.close();
  });

  it("asks for a list of calls in one request", async () => {
    const requests: string[] = [];
    const target = await connect((request) => {
      requests.push(request);
      return request === "0 spawn" ? "ok 5" : "ok 100 20 ; 0 0102 ; -9";
    });
    const process = await TargetProcess.spawn(target);
    const arg = new Uint8Array(2);
    const timing = await process.time(10, [
      call("ioctl", 3, 0x3b80, arg),
      call("close", 9),
    ]);
    assertEquals(requests.at(-1), "5 time 10 ioctl 3 0x3b80 0000 ; close 9");
    assertEquals(timing, { nanoseconds: [100, 20], results: [0, -9] });
    assertEquals(arg, new Uint8Array([1, 2]));
  });

  const nonsense: [
    name: string,
    reply: string,
    call: (process: TargetProcess) => Promise<unknown>,
    why: string,
  ][] = [
    [
      "an ioctl without its struct",
      "ok 0",
      (process) => process.ioctl(3, 1, new Uint8Array(2)),
      "STRUCT is missing",
    ],
    [
      "an ioctl whose struct shrank",
      "ok 0 00",
      (process) => process.ioctl(3, 1, new Uint8Array(2)),
      "1 bytes came from ioctl of 2 bytes",
    ],
    [
      "a read with more bytes than it returned",
      "ok 1 0000",
      (process) => process.read(3, new Uint8Array(8)),
      "2 bytes came from read of 8 bytes that returned 1",
    ],
    [
      "a read with more bytes than there is room for",
      "ok 2 0000",
      (process) => process.read(3, new Uint8Array(1)),
      "2 bytes came from read of 1 bytes that returned 2",
    ],
    [
      "a failed read with bytes",
      "ok -9 00",
      (process) => process.read(3, new Uint8Array(1)),
      "1 bytes came from read of 1 bytes that returned -9",
    ],
    [
      "a peek that is too short",
      "ok 00",
      (process) => process.peek(4096, 2),
      "1 bytes came from peek of 2 bytes",
    ],
    [
      "a poke with a result",
      "ok 0",
      (process) => process.poke(4096, new Uint8Array(1)),
      `nothing was expected from "0" on`,
    ],
    [
      "a pipe without descriptors",
      "ok 0",
      (process) => process.pipe(),
      "READFD is missing",
    ],
    [
      "a fork into itself",
      "ok 5",
      (process) => process.fork(),
      "process 5 is there already",
    ],
    [
      "a batch with a result too few",
      "ok 00",
      (process) =>
        process.batch([
          call("peek", 1, new Uint8Array(1)),
          call("peek", 1, new Uint8Array(1)),
        ]),
      `";" is missing before the result of call 2`,
    ],
    [
      "a timing without results",
      "ok 100",
      (process) => process.time(1, [call("close", 3)]),
      `";" is missing before the result of call 1`,
    ],
    [
      "a timing with a time too few",
      "ok 100 ; 0 ; 0",
      (process) => process.time(1, [call("close", 3), call("close", 4)]),
      "the time of a call is no number",
    ],
    [
      "a time that runs backwards",
      "ok -1 ; 0",
      (process) => process.time(1, [call("close", 3)]),
      "a time is negative",
    ],
  ];
  for (const [name, reply, call, why] of nonsense) {
    it(`refuses ${name}: ${why}`, async () => {
      const process = await processOf(reply);
      await assertRejects(() => call(process), ProtocolError, why);
    });
  }

  it("lets exceptions of the model through as an adapter's errors", async () => {
    const process = await processOf("error 4b65726e656c427567");
    const error = await assertRejects(() => process.close(3), TargetFailure);
    assertStringIncludes(error.message, "KernelBug");
  });
});
