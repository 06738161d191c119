// SPDX-License-Identifier: GPL-2.0-only

/**
 * The listener of a filter: calls of programs come in here, and are answered.
 *
 * @module
 */

import type { SyscallName } from "../sys/numbers.ts";
import {
  AUDIT_ARCH,
  NOTIF,
  NOTIF_ADDFD,
  NOTIF_RESP,
  O_CLOEXEC,
  SECCOMP_ADDFD_FLAG_SEND,
  SECCOMP_IOCTL_NOTIF_ADDFD,
  SECCOMP_IOCTL_NOTIF_ID_VALID,
  SECCOMP_IOCTL_NOTIF_RECV,
  SECCOMP_IOCTL_NOTIF_SEND,
  SECCOMP_IOCTL_NOTIF_SET_FLAGS,
  SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
  SECCOMP_USER_NOTIF_FLAG_CONTINUE,
} from "../sys/structs.ts";
import type { Block, Sys } from "../sys/sys.ts";

/** One listener. Calls are taken and answered one at a time. */
export class Listener {
  /** Its descriptor. */
  readonly fd: number;
  readonly #sys: Sys;
  readonly #notif: Block;
  readonly #response: Block;
  readonly #addfd: Block;
  readonly #arch: number;
  /** Whether the call has an answer. */
  #answered = true;
  #sendsDescriptor = false;

  /** Takes over a descriptor. */
  constructor(sys: Sys, fd: number) {
    this.#sys = sys;
    this.fd = fd;
    this.#notif = sys.alloc(NOTIF.size);
    this.#response = sys.alloc(NOTIF_RESP.size);
    this.#addfd = sys.alloc(NOTIF_ADDFD.size);
    this.#arch = AUDIT_ARCH[sys.architecture];
    // Before 6.6 there is no such flag, and calls take longer.
    const flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
    sys.ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
  }

  /**
   * Takes the next call; false if there is none any more. To be called when
   * there is one: each waiting call is counted, so that this does not wait even
   * if the caller is killed meanwhile.
   */
  receive(): boolean {
    const { bytes, address } = this.#notif;
    bytes.fill(0);
    const result = this.#sys
      .ioctl(this.fd, SECCOMP_IOCTL_NOTIF_RECV, address);
    this.#answered = result < 0;
    this.#sendsDescriptor = false;
    return result === 0;
  }

  /** The thread that makes the call. */
  get tid(): number {
    return this.#notif.view.getUint32(NOTIF.pid, true);
  }

  /** The call's number. */
  get nr(): number {
    return this.#notif.view.getInt32(NOTIF.nr, true);
  }

  /** Whether the call is of a program for this architecture. */
  get isNative(): boolean {
    return this.#notif.view.getUint32(NOTIF.arch, true) === this.#arch;
  }

  /** An argument without a sign, exact below 2^53. */
  arg(index: number): number {
    const { view } = this.#notif;
    const at = NOTIF.args + 8 * index;
    return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  }

  /** The lower half of an argument, with its sign. */
  int(index: number): number {
    return this.#notif.view.getInt32(NOTIF.args + 8 * index, true);
  }

  /** All 64 bits of an argument. */
  arg64(index: number): bigint {
    return this.#notif.view.getBigUint64(NOTIF.args + 8 * index, true);
  }

  /** Whether the caller still waits. */
  get waits(): boolean {
    const at = this.#notif.address + NOTIF.id;
    return this.#sys.ioctl(this.fd, SECCOMP_IOCTL_NOTIF_ID_VALID, at) === 0;
  }

  /** Answers with a result, unless there is an answer. A caller that is gone needs none. */
  answer(result: number): void {
    if (this.#answered) return;
    const { view } = this.#response;
    view.setUint32(NOTIF_RESP.flags, 0, true);
    const value = Math.max(result, 0);
    view.setUint32(NOTIF_RESP.val, value, true);
    view.setUint32(NOTIF_RESP.val + 4, value / 2 ** 32, true);
    view.setInt32(NOTIF_RESP.error, Math.min(result, 0), true);
    this.#send();
  }

  /** Has the host's kernel make the call, unless there is an answer. */
  continue(): void {
    if (this.#answered) return;
    const { view } = this.#response;
    const flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    view.setUint32(NOTIF_RESP.flags, flags, true);
    view.setUint32(NOTIF_RESP.val, 0, true);
    view.setUint32(NOTIF_RESP.val + 4, 0, true);
    view.setInt32(NOTIF_RESP.error, 0, true);
    this.#send();
  }

  /** The next descriptor that is added is the answer. */
  answerWithDescriptor(): void {
    this.#sendsDescriptor = true;
  }

  /** Gives the caller a descriptor; returns its number, or a negative errno. */
  addDescriptor(fd: number, closeOnExec: boolean): number {
    const { view, address } = this.#addfd;
    const flags = this.#sendsDescriptor ? SECCOMP_ADDFD_FLAG_SEND : 0;
    this.#copyId(view);
    view.setUint32(NOTIF_ADDFD.flags, flags, true);
    view.setUint32(NOTIF_ADDFD.srcfd, fd, true);
    view.setUint32(NOTIF_ADDFD.newfdFlags, closeOnExec ? O_CLOEXEC : 0, true);
    const result = this.#sys
      .ioctl(this.fd, SECCOMP_IOCTL_NOTIF_ADDFD, address);
    if (result >= 0 && this.#sendsDescriptor) this.#answered = true;
    return result;
  }

  /** Closes it: calls that wait fail. */
  close(): void {
    this.#sys.close(this.fd);
  }

  #send(): void {
    this.#answered = true;
    this.#copyId(this.#response.view);
    const { address } = this.#response;
    this.#sys.ioctl(this.fd, SECCOMP_IOCTL_NOTIF_SEND, address);
  }

  /** The number of the call, which both structs begin with. */
  #copyId(to: DataView): void {
    const { view } = this.#notif;
    to.setUint32(0, view.getUint32(NOTIF.id, true), true);
    to.setUint32(4, view.getUint32(NOTIF.id + 4, true), true);
  }
}

/** Names of calls by number. */
export function namesOf(sys: Sys): ReadonlyMap<number, SyscallName> {
  const entries = Object.entries(sys.nr) as [SyscallName, number][];
  return new Map(entries.map(([name, nr]) => [nr, name]));
}
