// SPDX-License-Identifier: GPL-2.0-only

/**
 * The model as it is, and a mutant beside it.
 *
 * @module
 */

import type { Need } from "../../../selftests/target/capabilities.ts";
import * as impl from "../../../selftests/target/impl_target.ts";
import { runOnModel } from "../../fuzz/run/on_model.ts";
import type { Side } from "../../fuzz/run/side.ts";
import type { Suspect } from "./events.ts";

/** How much memory a machine has, and in what order it hands out frames. */
export type Memory = Pick<impl.ImplOptions, "memory" | "frameOrder">;

/** Both, on machines that are the same. */
export interface Pair {
  readonly model: impl.Model;
  readonly side: Side;
}

/** The needs of who uses the card: it is there from the beginning then. */
export const OF_THE_CARD: readonly Need[] = ["vfio_device", "vfio_sriov"];

/** A model with a machine that has what is needed, and memory as it is said. */
export function machineOf(
  { Model }: typeof impl,
  { uapi, needs }: Suspect,
  memory: Memory,
): impl.Model {
  class Machine extends Model {
    override spawn(): number {
      return super.spawn(needs);
    }
  }
  const hasCard = OF_THE_CARD.some((need) => needs.includes(need));
  return new Machine(uapi, { ...memory, ...hasCard && { device: "card" } });
}

/** Both with the same memory. The mutant is loaded. */
export async function pairOf(suspect: Suspect, memory: Memory): Promise<Pair> {
  const url = new URL("selftests/target/impl_target.ts", suspect.root);
  const mutant = machineOf(await import(url.href), suspect, memory);
  return {
    model: machineOf(impl, suspect, memory),
    side: {
      name: "mutant",
      uapi: suspect.uapi,
      capabilities: mutant.info.capabilities,
      run(program) {
        const ran = runOnModel(mutant, program);
        // Its own machine found itself in a state that cannot be.
        const isBroken = ran.outcomes.length < program.length;
        return Promise.resolve(
          isBroken ? { failed: "error", message: ran.problems.join() } : ran,
        );
      },
      close: () => Promise.resolve(),
    },
  };
}
