// SPDX-License-Identifier: GPL-2.0-only

/**
 * The calls of a program in C.
 *
 * @module
 */

import type {
  Patch,
  Reference,
  Step,
} from "../../../selftests/target/program.ts";
import type { VerbName } from "../../../selftests/target/verbs.ts";

/** Bytes that there is always room for: the numbers that calls give. */
export const MOST_AT_LEAST = 64;

/** How a call is made, of the C of its arguments: a number, a text, or bytes in \`bytes\` of a length. */
const CALLS: Readonly<
  Record<VerbName, (args: readonly string[]) => readonly string[]>
> = {
  open: ([path, flags]) =>
    counted("openat", "AT_FDCWD", `(long)${path}`, flags!, "0600"),
  close: (args) => plain("close", args),
  dup: (args) => plain("dup", args),
  dup2: (args) => plain("dup2", args),
  dup3: (args) => plain("dup3", args),
  unlink: ([path]) => plain("unlink", [`(long)${path}`]),
  passfd: ([fd, to]) => [`gives(step, pass_fd(${fd}, ${to}), NULL, 0);`],
  ioctl: ([fd, command, length]) => [
    `unsigned char *at = at_end(bytes, ${length});`,
    `long ret = counted(SYS_ioctl, ${fd}, ${command}, (long)at, 0);`,
    "",
    `gives(step, ret, at, ${length});`,
  ],
  ioctlarg: ([fd, command, arg]) => counted("ioctl", fd!, command!, arg!, "0"),
  mmap: (args) => plain("mmap", args),
  munmap: (args) => plain("munmap", args),
  mremap: (args) => plain("mremap", args),
  mprotect: (args) => plain("mprotect", args),
  madvise: (args) => plain("madvise", args),
  read: ([fd, length]) => [
    `static unsigned char into[${length} + 1];`,
    `long ret = counted(SYS_read, ${fd}, (long)into, ${length}, 0);`,
    "",
    "gives(step, ret, into, ret > 0 ? ret : 0);",
  ],
  write: ([fd, length]) => counted("write", fd!, "(long)bytes", length!, "0"),
  pread: ([fd, length, offset]) => [
    `static unsigned char into[${length} + 1];`,
    `long ret = raw(SYS_pread64, ${fd}, (long)into, ${length}, ${offset}, 0, 0);`,
    "",
    "gives(step, ret, into, ret > 0 ? ret : 0);",
  ],
  pwrite: ([fd, length, offset]) =>
    plain("pwrite64", [fd!, "(long)bytes", length!, offset!]),
  lseek: (args) => plain("lseek", args),
  poll: ([fd, events]) => [
    `struct pollfd asked = { .fd = ${fd}, .events = ${events} };`,
    "struct timespec now = { 0 };",
    "long ret = raw(SYS_ppoll, (long)&asked, 1, (long)&now, 0, 0, 0);",
    "",
    "gives(step, ret < 0 ? ret : asked.revents, NULL, 0);",
  ],
  peek: ([address, length]) => [
    `static unsigned char into[${length} + 1];`,
    "",
    `if (copy(into, (void *)${address}, ${length}))`,
    "\tfaults(step);",
    "else",
    `\tgives(step, 0, into, ${length});`,
  ],
  poke: ([address, length]) => [
    `if (copy((void *)${address}, bytes, ${length}))`,
    "\tfaults(step);",
    "else",
    "\tgives(step, 0, NULL, 0);",
  ],
  memfd: ([name, flags]) => plain("memfd_create", [`(long)${name}`, flags!]),
  ftruncate: (args) => plain("ftruncate", args),
  fallocate: (args) => plain("fallocate", args),
  fcntl: (args) => plain("fcntl", args),
  eventfd: (args) => plain("eventfd2", args),
  pipe: () => [
    "int fds[2] = { -1, -1 };",
    "long ret = raw(SYS_pipe2, (long)fds, 0, 0, 0, 0, 0);",
    "int64_t back[2] = { fds[0], fds[1] };",
    "",
    "gives(step, ret, back, sizeof(back));",
  ],
  setrlimit: ([resource, soft]) => [
    `gives(step, set_limit(${resource}, ${soft}), NULL, 0);`,
  ],
  setuid: (args) => plain("setuid", args),
  dropcap: ([capability]) => [
    `gives(step, drop_capability(${capability}), NULL, 0);`,
  ],
  vmstatus: () => [
    "int64_t kib[2];",
    "",
    "vm_status(kib);",
    "gives(step, 0, kib, sizeof(kib));",
  ],
  failnth: ([nth]) => [`fail_nth = ${nth};`, "gives(step, 0, NULL, 0);"],
  failnthleft: () => ["gives(step, fail_nth, NULL, 0);"],
  fork: () => ["gives(step, fork_process(step), NULL, 0);"],
  exec: () => [
    "/* A process that runs itself anew would not know where it was. */",
    "gives(step, -ENOSYS, NULL, 0);",
  ],
  exit: () => ["(void)step;", "_exit(0);"],
};

function plain(name: string, args: readonly string[]): readonly string[] {
  const six = [...args, ..."000000"].slice(0, 6).join(", ");
  return [`gives(step, raw(SYS_${name}, ${six}), NULL, 0);`];
}

/** A call whose steps in the kernel fail_nth counts. */
function counted(name: string, ...args: readonly string[]): readonly string[] {
  return [`gives(step, counted(SYS_${name}, ${args.join(", ")}), NULL, 0);`];
}

/** The function that makes a step of a canonical program. */
export function callOf(step: Step, index: number): string {
  const { call: { verb, args }, patches = [] } = step;
  const before: string[] = [];
  const words = verb.args.flatMap(([, kind], i) => {
    const whole = patches.find(({ arg, field }) => arg === i && !field);
    if (whole) return [referenceOf(whole.from)];
    const arg = args[i]!;
    if (kind === "numbers") return [];
    if (typeof arg === "string") return [textOfC(arg)];
    if (typeof arg !== "object") return [numberOfC(arg)];
    const bytes = arg as Uint8Array;
    if (kind !== "into") {
      before.push(
        ...bytesBefore(bytes, patches.filter(({ arg }) => arg === i)),
      );
    }
    return [String(bytes.length)];
  });
  const made = CALLS[verb.name as VerbName](words);
  const body = [...before, ...made];
  return `static void step_${index}(int step)\n{\n${
    body.map((line) => line === "" ? "\n" : `\t${line}\n`).join("")
  }}`;
}

/** Declares the bytes of a call; values of earlier steps are put into them. */
function bytesBefore(
  bytes: Uint8Array,
  patches: readonly Patch[],
): readonly string[] {
  // C has no array without bytes.
  const room = bytes.length > 0 ? bytes : new Uint8Array(1);
  return [
    `static unsigned char bytes[] = ${bytesOfC(room)};`,
    "",
    ...patches.map(({ field, from }) =>
      `put(bytes, ${bytes.length}, ${field!.offset}, ${field!.bytes}, ${
        referenceOf(from)
      });`
    ),
  ];
}

function referenceOf({ step, field, plus = 0n }: Reference): string {
  const value = field
    ? `field(${step}, ${field.offset}, ${field.bytes})`
    : `result(${step})`;
  return plus === 0n ? value : `${value} + ${numberOfC(plus)}`;
}

function numberOfC(value: number | bigint): string {
  const exact = BigInt.asUintN(64, BigInt(value));
  if (exact < 2n ** 31n) return `${exact}`;
  return exact >= 2n ** 64n - 4096n && BigInt(value) < 0n
    ? `${BigInt(value)}L`
    : `0x${exact.toString(16)}UL`;
}

/** A text as C writes it: any byte that is no plain character in octal. */
function textOfC(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const written = [...bytes].map((byte) => {
    const char = String.fromCharCode(byte);
    return /[\w ./:,=+@-]/.test(char)
      ? char
      : `\\${byte.toString(8).padStart(3, "0")}`;
  });
  return `"${written.join("")}"`;
}

/** Bytes as an array of C, 16 in a line; what repeats at the end is left to C's zeros. */
export function bytesOfC(bytes: Uint8Array): string {
  const words = [...bytes].map((byte) => `0x${byte.toString(16)}`);
  const lines: string[] = [];
  for (let i = 0; i < words.length; i += 16) {
    lines.push(`\t\t${words.slice(i, i + 16).join(", ")},`);
  }
  return `{\n${lines.join("\n")}\n\t}`;
}
