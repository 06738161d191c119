// SPDX-License-Identifier: GPL-2.0-only

/**
 * The machine code that makes system calls, by architecture: two functions
 * that a C program would call as
 *
 * ```c
 * double call(double nr, double a, double b, double c, double d, double e, double f);
 * double run(long first);
 * ```
 *
 * They are doubles, because the runtime passes those as they are: results of 64
 * bits would be bigints, and each argument of 64 bits costs as much as a tenth
 * of a system call. Addresses and small numbers are exact.
 *
 * `call` makes one system call and returns what the kernel returned, such as
 * -2 for ENOENT.
 *
 * `run` makes those of a script (script.ts), entry by entry, until one has no
 * next, and returns the last result. It never uses the stack in between, so
 * that a child of `clone` that shares its parent's memory goes on in it with
 * an entry of its own.
 *
 * @module
 */

/** What one architecture's object is made of. */
export interface MachineCode {
  /** ELF's number of it (`EM_*`). */
  readonly machine: number;
  /** Code of `call`. */
  readonly call: Uint8Array;
  /** Code of `run`. */
  readonly run: Uint8Array;
}

/** Bytes of lines of hexadecimal digits. */
function bytes(...lines: readonly string[]): Uint8Array {
  const digits = lines.join("").replaceAll(" ", "");
  return Uint8Array.fromHex(digits);
}

/** x86-64: arguments in xmm0 to xmm6; the kernel's in rdi, rsi, rdx, r10, r8, r9, the number in rax. */
const X86_64: MachineCode = {
  machine: 62,
  call: bytes(
    "f2 48 0f 2c c0", //       cvttsd2si rax, xmm0
    "f2 48 0f 2c f9", //       cvttsd2si rdi, xmm1
    "f2 48 0f 2c f2", //       cvttsd2si rsi, xmm2
    "f2 48 0f 2c d3", //       cvttsd2si rdx, xmm3
    "f2 4c 0f 2c d4", //       cvttsd2si r10, xmm4
    "f2 4c 0f 2c c5", //       cvttsd2si r8, xmm5
    "f2 4c 0f 2c ce", //       cvttsd2si r9, xmm6
    "0f 05", //                syscall
    "f2 48 0f 2a c0", //       cvtsi2sd xmm0, rax
    "c3", //                   ret
  ),
  run: bytes(
    "53", //                   push rbx
    "48 89 fb", //             mov rbx, rdi
    "48 8b 03", //       next: mov rax, [rbx]
    "48 8b 7b 08", //          mov rdi, [rbx + 8]
    "48 8b 73 10", //          mov rsi, [rbx + 16]
    "48 8b 53 18", //          mov rdx, [rbx + 24]
    "4c 8b 53 20", //          mov r10, [rbx + 32]
    "4c 8b 43 28", //          mov r8, [rbx + 40]
    "4c 8b 4b 30", //          mov r9, [rbx + 48]
    "0f 05", //                syscall
    "48 8b 4b 38", //          mov rcx, [rbx + 56]
    "48 89 01", //             mov [rcx], rax
    "48 85 c0", //             test rax, rax
    "78 0e", //                js negative
    "74 06", //                jz zero
    "48 8b 5b 50", //          mov rbx, [rbx + 80]
    "eb 0a", //                jmp more
    "48 8b 5b 48", //    zero: mov rbx, [rbx + 72]
    "eb 04", //                jmp more
    "48 8b 5b 40", // negative: mov rbx, [rbx + 64]
    "48 85 db", //       more: test rbx, rbx
    "75 c0", //                jnz next
    "5b", //                   pop rbx
    "f2 48 0f 2a c0", //       cvtsi2sd xmm0, rax
    "c3", //                   ret
  ),
};

/** aarch64: arguments in d0 to d6; the kernel's in x0 to x5, the number in x8. */
const AARCH64: MachineCode = {
  machine: 183,
  call: bytes(
    "08 00 78 9e", //          fcvtzs x8, d0
    "20 00 78 9e", //          fcvtzs x0, d1
    "41 00 78 9e", //          fcvtzs x1, d2
    "62 00 78 9e", //          fcvtzs x2, d3
    "83 00 78 9e", //          fcvtzs x3, d4
    "a4 00 78 9e", //          fcvtzs x4, d5
    "c5 00 78 9e", //          fcvtzs x5, d6
    "01 00 00 d4", //          svc #0
    "00 00 62 9e", //          scvtf d0, x0
    "c0 03 5f d6", //          ret
  ),
  run: bytes(
    "e9 03 00 aa", //          mov x9, x0
    "28 01 40 a9", //    next: ldp x8, x0, [x9]
    "21 09 41 a9", //          ldp x1, x2, [x9, #16]
    "23 11 42 a9", //          ldp x3, x4, [x9, #32]
    "25 29 43 a9", //          ldp x5, x10, [x9, #48]
    "01 00 00 d4", //          svc #0
    "40 01 00 f9", //          str x0, [x10]
    "29 01 01 91", //          add x9, x9, #64
    "1f 00 00 f1", //          cmp x0, #0
    "8b 00 00 54", //          b.lt pick
    "29 21 00 91", //          add x9, x9, #8
    "40 00 00 54", //          b.eq pick
    "29 21 00 91", //          add x9, x9, #8
    "29 01 40 f9", //    pick: ldr x9, [x9]
    "69 fe ff b5", //          cbnz x9, next
    "00 00 62 9e", //          scvtf d0, x0
    "c0 03 5f d6", //          ret
  ),
};

/** The code of each architecture, by Deno's name of it. */
export const MACHINE_CODE: Readonly<Record<Architecture, MachineCode>> = {
  x86_64: X86_64,
  aarch64: AARCH64,
};

/** An architecture that programs can be run on, by Deno's name. */
export type Architecture = "x86_64" | "aarch64";
