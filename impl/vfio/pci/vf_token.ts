// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tokens: who has a device and who has its virtual functions trust each other,
 * and show that by a number that both know.
 *
 * Linux: struct vfio_pci_vf_token and vfio_pci_core_match_token_uuid of
 * drivers/vfio/pci/vfio_pci_core.c.
 *
 * @module
 */

import { EACCES, EINVAL } from "../../uapi/errno.ts";
import type { VfioPciDevice } from "./pci_device.ts";

/** Bytes of a token. */
export const TOKEN_SIZE = 16;

/** The token of a device that can have virtual functions. */
export class VfToken {
  /** Virtual functions that are open. */
  users = 0;
  /** What was set; at first a number that nobody knows. */
  #uuid: Uint8Array | undefined;

  /** Whether it is the given one. */
  equals(uuid: Uint8Array): boolean {
    return this.#uuid?.every((byte, i) => byte === uuid[i]) ?? false;
  }

  /** It is another one from now on. */
  set(uuid: Uint8Array): void {
    this.#uuid = uuid;
  }
}

/**
 * Whether a device may be opened with a token, or without one: a virtual
 * function of a device of VFIO's with that one's, the device itself with it
 * while one of them is open; before, what it is opened with becomes its token.
 * Throws EACCES, EINVAL for a token that is of no use.
 */
export function matchToken(
  { pci, vfToken, physFn }: VfioPciDevice,
  uuid: Uint8Array | undefined,
): void {
  if (pci.physFn !== undefined && physFn === undefined) {
    if (uuid === undefined) return;
    throw EINVAL.because(
      "the virtual function is of a device that VFIO has not",
    );
  }
  const token = physFn?.vfToken ?? vfToken;
  if (token === undefined) {
    if (uuid === undefined) return;
    throw EINVAL.because("the device has no virtual functions");
  }
  if (physFn !== undefined || token.users > 0) {
    if (uuid === undefined) throw EACCES.because("a token is needed");
    if (!token.equals(uuid)) throw EACCES.because("the token is another one");
  } else if (uuid !== undefined) token.set(uuid);
}
