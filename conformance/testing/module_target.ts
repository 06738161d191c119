// SPDX-License-Identifier: GPL-2.0-only

/**
 * A module as `module:` takes it.
 *
 * @module
 */

import type { Target } from "../../selftests/target/target.ts";
import { FakeTarget } from "./fake_target.ts";

/** The target. */
export function target(): Promise<Target> {
  return Promise.resolve(new FakeTarget({ uapi: "v3" }));
}
