// SPDX-License-Identifier: GPL-2.0-only

/**
 * The filter that programs run under: a program of classic BPF that says for
 * each system call whether the supervisor is asked.
 *
 * @module
 */

import { ENOSYS } from "../../impl/uapi/errno.ts";
import type { Condition, NotifiedCall } from "../calls/call.ts";
import type { Architecture } from "../sys/machine_code.ts";
import type { Numbers, SyscallName } from "../sys/numbers.ts";
import {
  AUDIT_ARCH,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_USER_NOTIF,
} from "../sys/structs.ts";

/** One instruction: what, how many to skip if it is true, if not, and its constant. */
type Instruction = readonly [code: number, jt: number, jf: number, k: number];

/** Bytes of an instruction (struct sock_filter). */
const INSTRUCTION = 8;

/** BPF_LD | BPF_W | BPF_ABS. */
const LOAD = 0x20;
/** BPF_ALU | BPF_AND | BPF_K. */
const AND = 0x54;
/** BPF_JMP | BPF_JEQ | BPF_K. */
const JUMP_EQUAL = 0x15;
/** BPF_JMP | BPF_JGT | BPF_K. */
const JUMP_ABOVE = 0x25;
/** BPF_JMP | BPF_JSET | BPF_K. */
const JUMP_ANY_BIT = 0x45;
/** BPF_RET | BPF_K. */
const RETURN = 0x06;

/** Where in struct seccomp_data what is looked at lies. */
const DATA = { nr: 0, arch: 4, args: 16 } as const;
/** Calls of x86-64 in the way of x32. */
const X32_BIT = 0x40000000;

const ASK: Instruction = [RETURN, 0, 0, SECCOMP_RET_USER_NOTIF];
const ALLOW: Instruction = [RETURN, 0, 0, SECCOMP_RET_ALLOW];
const NOT_THERE: Instruction = [RETURN, 0, 0, SECCOMP_RET_ERRNO | ENOSYS.code];

const JUMPS = {
  equals: JUMP_EQUAL,
  above: JUMP_ABOVE,
  anyBit: JUMP_ANY_BIT,
} as const;

/** What the filter is made for. */
export interface FilterParts {
  /** Which architecture. */
  readonly architecture: Architecture;
  /** Its numbers. */
  readonly nr: Numbers;
  /** The calls that the supervisor is asked about. */
  readonly calls: readonly NotifiedCall[];
  /** Calls that programs do not have: ENOSYS. */
  readonly refused: readonly SyscallName[];
}

/**
 * The filter. All calls of another architecture ask, so that the supervisor
 * can refuse the program; those of x32 are not there.
 */
export function filterOf(parts: FilterParts): Uint8Array<ArrayBuffer> {
  const { architecture, nr, calls, refused } = parts;
  const program: Instruction[] = [
    [LOAD, 0, 0, DATA.arch],
    [JUMP_EQUAL, 1, 0, AUDIT_ARCH[architecture]],
    ASK,
    [LOAD, 0, 0, DATA.nr],
  ];
  if (architecture === "x86_64") {
    program.push([JUMP_ANY_BIT, 0, 1, X32_BIT], NOT_THERE);
  }
  for (const name of refused) program.push(...ifCall(nr[name], [NOT_THERE]));
  for (const { name, when } of calls) {
    if (nr[name] < 0) continue;
    program.push(...ifCall(nr[name], askWhen(when)));
  }
  program.push(ALLOW);
  return encode(program);
}

/** `body` for one call, which must end in a return. */
function ifCall(nr: number, body: readonly Instruction[]): Instruction[] {
  return [[JUMP_EQUAL, 0, body.length, nr], ...body];
}

/** Asks if one of the conditions holds, or if there are none. */
function askWhen(conditions?: readonly Condition[]): Instruction[] {
  if (conditions === undefined) return [ASK];
  return [...conditions.flatMap(askIf), ALLOW];
}

function askIf({ argument, mask, test, value }: Condition): Instruction[] {
  const masked: Instruction[] = mask === undefined
    ? []
    : [[AND, 0, 0, mask >>> 0]];
  return [
    [LOAD, 0, 0, DATA.args + 8 * argument],
    ...masked,
    [JUMPS[test], 0, 1, value >>> 0],
    ASK,
  ];
}

function encode(program: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(program.length * INSTRUCTION);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, jt, jf, k], i) => {
    view.setUint16(i * INSTRUCTION, code, true);
    view.setUint8(i * INSTRUCTION + 2, jt);
    view.setUint8(i * INSTRUCTION + 3, jf);
    view.setUint32(i * INSTRUCTION + 4, k, true);
  });
  return bytes;
}
