// SPDX-License-Identifier: GPL-2.0-only

/**
 * The model in this process as a side.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import {
  type ImplOptions,
  Model,
} from "../../../selftests/target/impl_target.ts";
import { runOnModel } from "../../fuzz/run/on_model.ts";
import type { Side } from "../../fuzz/run/side.ts";

/** The model as what programs run on. */
export function modelSide(uapi: RevisionName, options: ImplOptions): Side {
  const model = new Model(uapi, { hasOnlyCard: true, ...options });
  return {
    name: "model",
    uapi,
    capabilities: model.info.capabilities,
    run: (program) => Promise.resolve(runOnModel(model, program)),
    close: () => Promise.resolve(),
  };
}
