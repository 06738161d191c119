// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { VERBS } from "../../selftests/target/verbs.ts";
import { formatText } from "../protocol/codec.ts";
import { type Alter, alteredModel, at } from "../testing/altered_model.ts";
import { TestTime } from "../testing/test_time.ts";
import { checkAdapter, type CheckResult } from "./check_adapter.ts";

/** Checks an altered model: what it is not about to do, it will never do. */
async function check(alter: Alter): Promise<CheckResult[]> {
  using time = new TestTime();
  time.pass(Infinity);
  const results: CheckResult[] = [];
  const connect = () => Promise.resolve(alteredModel(alter));
  for await (const result of checkAdapter(connect)) results.push(result);
  return results;
}

/** A reply of another text: what an adapter does that refuses nothing. */
function lenient(bad: RegExp): Alter {
  return ({ verb, args }, honest) => {
    const reply = honest();
    const request = [verb, ...args].join(" ");
    return bad.test(request) && reply.startsWith("error") ? "ok 0" : reply;
  };
}

/** The reply with its first number changed. */
function returning(
  value: number,
): (_: unknown, honest: () => string) => string {
  return (_, honest) => honest().replace(/^ok -?\w+/, `ok ${value}`);
}

/** The reply to a program, changed. */
function program(change: (reply: string) => string): Alter {
  return at("program", (_, honest) => change(honest()));
}

/** What is wrong with an adapter, and the line that says so. */
const MISTAKES:
  readonly (readonly [what: string, alter: Alter, line: RegExp])[] = [
    [
      "shares memory between processes",
      at("peek", ({ args }, honest) => {
        const reply = honest();
        return args[1] === "1" && reply === "ok 01" ? "ok 02" : reply;
      }),
      /^spawn: memory of a process whose sibling writes/,
    ],
    [
      "accepts every limit",
      at("setrlimit", () => "ok 0"),
      /^setrlimit: setrlimit of no resource: expected EINVAL/,
    ],
    [
      "cannot drop capabilities",
      at("dropcap", () => "ok -1"),
      /^setuid and dropcap: dropcap: expected 0, got -1/,
    ],
    [
      "does not count failures",
      at("failnthleft", () => "ok 0"),
      /^failnth and failnthleft: failnthleft counts from 1000/,
    ],
    [
      "closes a descriptor for the parent too",
      at("fork", () => "ok 1"),
      /^fork: .*process 1 is there already/,
    ],
    [
      "keeps a process that exited",
      at("vmstatus", () => "ok 0 0"),
      /^exit: the reply to ".* vmstatus": expected error, got ok/,
    ],
    [
      "does not end a child",
      at("exit", () => "ok"),
      /^exit: descriptors are gone when the reply comes: /,
    ],
    [
      "does not end processes in a reset",
      at("reset", () => "ok"),
      /^reset: the reply to ".* vmstatus": expected error, got ok/,
    ],
    [
      "finds a problem in every reset",
      at("reset", (_, honest) => `${honest()} ${formatText("A leak.")}`),
      /^open: A leak\.$/,
    ],
    [
      "has descriptors of its own in the process",
      at(
        "open",
        (_, honest) => honest().replace(/\d+/, (fd) => `${Number(fd) + 2}`),
      ),
      /^open: first descriptor of a new process: expected 3, got 5/,
    ],
    [
      "does not tell EBADF",
      at("close", () => "ok 0"),
      /^close: close once more/,
    ],
    [
      "duplicates nothing",
      at("dup", returning(3)),
      /^dup: dup: expected 4, got 3/,
    ],
    [
      "does not send the struct back",
      at(
        "ioctl",
        ({ args }, honest) => honest().replace(/ \w+$/, ` ${args[2]}`),
      ),
      /^ioctl: IOAS_ALLOC wrote an id into the struct/,
    ],
    [
      "sends errno instead of -errno",
      at("ioctl", (_, honest) => honest().replace("-", "")),
      /^ioctl: DESTROY once more: expected ENOENT, got success \(2\)/,
    ],
    [
      "has no guard page",
      at(
        "ioctl",
        ({ args }, honest) =>
          args[2]?.startsWith("14") ? `ok 0 ${args[2]}` : honest(),
      ),
      /^ioctl: the byte after the struct is unmapped: .*expected EFAULT/,
    ],
    [
      "reads a null pointer",
      at("ioctlarg", returning(0)),
      /^ioctlarg: IOAS_ALLOC with a null pointer: expected EFAULT/,
    ],
    [
      "forgets to write",
      at("write", returning(0)),
      /^read and write: write of 5 bytes: expected 5, got 0/,
    ],
    [
      "swaps the ends of a pipe",
      at("pipe", (_, honest) => honest().replace(/(\d+) (\d+)$/, "$2 $1")),
      /^pipe: write of 3 bytes: expected 3, got -9/,
    ],
    [
      "does not know the first value of an eventfd",
      at("eventfd", (_, honest) => honest().replace("ok 3", "ok 4")),
      /^eventfd: /,
    ],
    ["polls nothing", at("poll", () => "ok 0"), /^poll: poll for POLLOUT too/],
    [
      "does not map where it is told",
      at(
        "mmap",
        ({ args }, honest) =>
          args[0] === "0" ? honest() : honest() && "ok 0x1000",
      ),
      /^mmap: mmap with MAP_FIXED: expected \d+, got 4096/,
    ],
    ["does not unmap", at("munmap", () => "ok 0"), /^munmap: peek of unmapped/],
    [
      "does not protect",
      at("mprotect", () => "ok 0"),
      /^mprotect: poke of memory that may only be read: expected fault, got ok/,
    ],
    [
      "takes any advice",
      at("madvise", () => "ok 0"),
      /^madvise: madvise with no/,
    ],
    [
      "cuts long lines",
      at("peek", (_, honest) => honest().slice(0, (1 << 16) + 1)),
      /^peek and poke: .*\d+ bytes came from peek of 1048576 bytes/,
    ],
    [
      "dies when memory is not there",
      at(
        "peek",
        (_, honest) =>
          honest().replace("fault", `died ${formatText("SIGSEGV")}`),
      ),
      /^peek and poke: a fault is told and the process goes on: .*SIGSEGV/,
    ],
    [
      "has no shared files",
      at("ftruncate", () => "ok -22"),
      /^memfd and ftruncate: ftruncate: expected 0, got -22/,
    ],
    [
      "tells memory of another",
      at("vmstatus", (_, honest) => honest().replace("ok 0 0", "ok 0 4")),
      /^vmstatus: VMPIN of a new process: expected 0, got 4/,
    ],
    [
      "stops a batch at the first failure",
      at("batch", (_, honest) => honest().replace(/ ; fault$/, "")),
      /^batch: calls after a fault are made: /,
    ],
    [
      "knows no batches",
      at("batch", () => `error ${formatText("what?")}`),
      /^batch: .*what\?/,
    ],
    [
      "does not put structs back between repetitions",
      at("time", (_, honest) => honest().replace(/ ; 0 /, " ; -22 ")),
      /^time: results of ioctl and close: expected 0 -9, got -22 -9/,
    ],
    [
      "times nothing and says so",
      lenient(/^time 0 /),
      /^time: With no repetition to time: .*expected error, got ok/,
    ],
    [
      "takes arguments too many",
      lenient(/^close 99 1$/),
      /^requests that make no sense: With an argument too many: .*got ok/,
    ],
    [
      "takes words for numbers",
      lenient(/^close (three|9x)$/),
      /^requests that make no sense: With a word instead of a number: /,
    ],
    [
      "takes a word for a length",
      ({ verb, args }, honest) =>
        verb === "peek" && args[1] === "three" ? "ok 0" : honest(),
      /^requests that make no sense: With a word instead of a number: .*peek/,
    ],
    [
      "batches what cannot be batched",
      lenient(/^batch dup /),
      /^requests that make no sense: With a verb that cannot be in a batch: /,
    ],
    [
      "times what cannot be timed",
      lenient(/^time 1 vmstatus$/),
      /^time: With a verb that cannot be timed: .*vmstatus/,
    ],
    [
      "places a struct of a batch in the middle of its memory",
      at(
        "batch",
        ({ args }, honest) =>
          args[4] === ";" && args[3]?.startsWith("14")
            ? `ok 0 ${args[3]} ; 0 ${args[3]}`
            : honest(),
      ),
      /^ioctl: the byte after the struct is unmapped: the same in a batch/,
    ],
    [
      "takes half bytes",
      lenient(/^write 99 0$/),
      /^requests that make no sense: With half a byte: /,
    ],
    [
      "takes hexadecimal for decimal",
      at(
        "poll",
        ({ process, args }, honest) =>
          process.startsWith("0x") || args[1] === "0x0" ? "ok 1" : honest(),
      ),
      /^numbers in decimal and hexadecimal.*expected 0, got 1/,
    ],
    [
      "chokes on long lines",
      ({ verb }, honest) => verb.length > 1000 ? "ok" : honest(),
      /^a request of a megabyte that makes no sense: .*expected error, got ok/,
    ],
    [
      "knows no field of an earlier step",
      program((reply) => reply.replace("; 2 ;", "; -9 ;")),
      /^program: results and fields.*: step 1 of a program, write: expected 2/,
    ],
    [
      "adds nothing to a result",
      program((reply) => reply.replace(" 0203", " 0102")),
      /^program: results and fields of earlier steps: step 5 of a program, peek/,
    ],
    [
      "puts no values into bytes",
      program((reply) => reply.replace("020303010006", "000000000009")),
      /^program: values in bytes: step 4 of a program, peek: expected 0 2 3 3/,
    ],
    [
      "makes up values that are not there",
      program((reply) => reply.replace(" 000000", " 000007")),
      /^program: a value that is not there is 0: step 3 of a program, peek/,
    ],
    [
      "stops a program at an error",
      program((reply) => reply.replace("-9 ; fault", "-9 ; gone")),
      /^program: goes on after a fault and an error: step 2 .*got gone/,
    ],
    [
      "numbers the processes of a program as it likes",
      program((reply) => reply.replace("; 1 ;", "; 7 ;")),
      /^program: processes, fork and exit: step 2 of a program, fork: expected 1/,
    ],
    [
      "keeps a process of a program that exited",
      program((reply) => reply.replace("gone", "fault")),
      /^program: processes, fork and exit: step 8 .* expected gone, got fault/,
    ],
    [
      "runs a program in a process that is there",
      program((reply) => reply.replace(/^ok -9$/, "ok 0")),
      /^program: has processes of its own: close of another's descriptor/,
    ],
    [
      "keeps descriptors of the program before",
      program((reply) => reply.replace("; 5", "; 7")),
      /^program: the next is sent before the reply .* expected 5, got 7/,
    ],
    [
      "takes a field of 3 bytes in a program",
      lenient(/^program .*=0\.0\.3$/),
      /^program: steps that make no sense: With a field of 3 bytes: .*got ok/,
    ],
    [
      "takes arguments too many in a program",
      lenient(/^program .* dup 99 1$/),
      /^program: steps that make no sense: With an argument too many: .*got ok/,
    ],
    [
      "stays after bye",
      at("bye", () => "ok"),
      /^bye: It does not end within 10 seconds after the reply to bye/,
    ],
    [
      "names a capability that nobody knows",
      at("hello", (_, honest) => `${honest()},telepathy`),
      /^capability telepathy: No test of uAPI \S+ asks for/,
    ],
    [
      "names a capability that it lacks",
      at(
        "mmap",
        ({ args }, honest) => Number(args[3]) & 0x40000 ? "ok -12" : honest(),
      ),
      /^capability hugetlb: mmap of \d+ bytes: expected success, got ENOMEM/,
    ],
  ];

describe("checkAdapter()", () => {
  it("has a check that names each verb", async () => {
    const names = (await check((_, honest) => honest())).map(({ name }) =>
      name
    );
    const words = new Set(names.flatMap((name) => name.match(/\w+/g)!));
    assertEquals(VERBS.filter(({ name }) => !words.has(name)), []);
  });

  it("finds nothing wrong with a name that says it is Linux", async () => {
    const results = await check(
      at("hello", (_, honest) => `${honest()},linux`),
    );
    assertEquals(results.filter(({ status }) => status !== "ok"), []);
  });

  it("finds nothing wrong with the model", async () => {
    const results = await check((_, honest) => honest());
    assertEquals(results.filter(({ status }) => status !== "ok"), []);
    assertEquals(results.length > 40, true);
  });

  for (const [what, alter, line] of MISTAKES) {
    it(`says in one line that an adapter ${what}`, async () => {
      const results = (await check(alter))
        .filter(({ status }) => status === "wrong");
      const wrong = results.map(({ name, message }) => `${name}: ${message}`);
      assertMatch(
        wrong.find((text) => line.test(text)) ?? wrong.join("\n"),
        line,
      );
      assertEquals(wrong.every((text) => !text.includes("\n")), true);
      assertEquals(results.every(({ last }) => last !== undefined), true);
    });
  }

  it("skips what needs a capability that is not there", async () => {
    const results = await check(
      at(
        "hello",
        (_, honest) => honest().replace(/capabilities=.*/, "capabilities="),
      ),
    );
    assertEquals(
      results.filter(({ status }) => status === "skip").map(({ name }) => name),
      [
        "setrlimit",
        "setuid and dropcap",
        "fork",
        "exec",
        "exit: descriptors are gone when the reply comes",
        "unlink, pread, pwrite, lseek, fallocate and fcntl",
        "dup2 and dup3",
        "passfd",
        "mremap",
        "program: results and fields of earlier steps",
        "program: values in bytes",
        "program: a value that is not there is 0",
        "program: goes on after a fault and an error",
        "program: processes, fork and exit",
        "program: has processes of its own",
        "program: the next is sent before the reply to the one before",
        "program: steps that make no sense",
        "time",
      ],
    );
    assertEquals(results.some(({ status }) => status === "wrong"), false);
  });

  it("rejects when the adapter does not greet", async () => {
    await assertRejects(
      () => check(at("hello", () => "ok")),
      Error,
      "protocol is missing",
    );
  });
});
