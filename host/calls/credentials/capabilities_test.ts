// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EFAULT, EPERM } from "../../../impl/uapi/errno.ts";
import {
  CAP_IPC_LOCK,
  CAP_SYS_RAWIO,
  CAP_SYS_RESOURCE,
} from "../../../impl/uapi/mman.ts";
import { type Call, CONTINUE } from "../call.ts";
import { CAPABILITY_CALLS } from "./capabilities.ts";
import { ALL_CAPABILITIES, type Capabilities } from "./identity.ts";

const PID = 77;
const ROOT: Capabilities = {
  effective: ALL_CAPABILITIES,
  permitted: ALL_CAPABILITIES,
  inheritable: 0n,
};
const NOBODY: Capabilities = { effective: 0n, permitted: 0n, inheritable: 0n };
const HEADER = 0;
const DATA = 8;

/** A process of 32 bytes of memory. */
class Caller {
  readonly memory = new Uint8Array(32);
  readonly view = new DataView(this.memory.buffer);
  readonly process: {
    pid: number;
    identity: { capabilities: Capabilities | undefined; change(): void };
    mm: unknown;
  };

  constructor(pretended: Capabilities | undefined) {
    const { memory, view } = this;
    view.setUint32(HEADER, 0x20080522, true);
    const check = (address: number, { length }: Uint8Array) => {
      if (address + length > memory.length) throw EFAULT;
    };
    const mm = {
      getUser(to: Uint8Array, address: number) {
        check(address, to);
        to.set(memory.subarray(address, address + to.length));
      },
      putUser(address: number, from: Uint8Array) {
        check(address, from);
        memory.set(from, address);
      },
    };
    const identity = { capabilities: pretended, change() {} };
    this.process = { pid: PID, identity, mm };
  }

  call(name: "capget" | "capset", data = DATA) {
    const { process } = this;
    const args = [HEADER, data];
    const call = { process, tid: PID, arg: (index: number) => args[index] };
    return CAPABILITY_CALLS.find((each) => each.name === name)!
      .handle(call as unknown as Call);
  }

  /** Takes a bit out of the sets that capget wrote. */
  drop(capability: number, ...at: number[]) {
    const high = capability >= 32 ? 12 : 0;
    for (const set of at) {
      const field = DATA + high + set;
      const bits = this.view.getUint32(field, true) & ~(1 << capability % 32);
      this.view.setUint32(field, bits, true);
    }
  }

  has(capability: number): boolean {
    return (this.process.identity.capabilities!.effective >>
        BigInt(capability) & 1n) ===
      1n;
  }
}

const EFFECTIVE = 0;
const PERMITTED = 4;

describe("the capabilities of who is believed to be root", () => {
  it("are all there, and gone one by one when they are dropped", () => {
    const caller = new Caller(ROOT);
    assertEquals(caller.call("capget"), 0);
    caller.drop(CAP_IPC_LOCK, EFFECTIVE);
    caller.drop(CAP_SYS_RAWIO, EFFECTIVE, PERMITTED);
    assertEquals(caller.call("capset"), 0);
    const left = [CAP_IPC_LOCK, CAP_SYS_RAWIO, CAP_SYS_RESOURCE]
      .filter((each) => caller.has(each));
    assertEquals(left, [CAP_SYS_RESOURCE]);
  });

  it("come back as far as they are permitted", () => {
    const caller = new Caller(ROOT);
    caller.call("capget");
    const all = caller.memory.slice();
    caller.drop(CAP_IPC_LOCK, EFFECTIVE);
    assertEquals(caller.call("capset"), 0);
    caller.memory.set(all);
    assertEquals(caller.call("capset"), 0);
    caller.drop(CAP_IPC_LOCK, EFFECTIVE, PERMITTED);
    assertEquals(caller.call("capset"), 0);
    caller.memory.set(all);
    assertEquals(caller.call("capset"), -EPERM.code);
    assertEquals(caller.has(CAP_IPC_LOCK), false);
  });

  it("cannot be effective without being permitted", () => {
    const caller = new Caller(ROOT);
    caller.call("capget");
    caller.drop(CAP_IPC_LOCK, PERMITTED);
    assertEquals(caller.call("capset"), -EPERM.code);
  });
});

describe("the calls of capabilities", () => {
  it("are the host's where nothing is pretended, of others, and of another version", () => {
    assertEquals(new Caller(undefined).call("capget"), CONTINUE);
    const other = new Caller(ROOT);
    other.view.setInt32(4, PID + 1, true);
    assertEquals(other.call("capget"), CONTINUE);
    const old = new Caller(ROOT);
    old.view.setUint32(HEADER, 0x19980330, true);
    assertEquals(old.call("capset"), CONTINUE);
  });

  it("have none for an ordinary user", () => {
    const caller = new Caller(NOBODY);
    assertEquals(caller.call("capget"), 0);
    assertEquals(caller.memory.subarray(DATA), new Uint8Array(24));
  });

  it("are EFAULT where there is no memory", () => {
    const caller = new Caller(ROOT);
    assertEquals(caller.call("capget", 16), -EFAULT.code);
  });
});
