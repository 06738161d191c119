// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a run reached, measured by the table of what there is.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { FILES, type FileWithIoctls, type Reached } from "./coverage.ts";
import type { Means, Pair } from "./pairs.ts";
import { pairsIn } from "./reachable.ts";

/** A pair by name: `iommufd IOMMU_IOAS_MAP EINVAL`. */
export function pairName(
  { file, name, result }: Pick<Pair, "file" | "name" | "result">,
): string {
  return `${file} ${name} ${result}`;
}

/** The pairs that were reached. */
export function pairsReached(
  reached: readonly Reached[],
): Pick<Pair, "file" | "name" | "result">[] {
  return reached.flatMap(({ file, name, results }) =>
    [...results.keys()].map((result) => ({ file, name, result }))
  );
}

/** What was reached of a file. */
export interface Measured {
  /** The file. */
  readonly file: FileWithIoctls;
  /** Pairs that calls alone bring about, and how many of them were reached. */
  readonly byCalls: { readonly all: number; readonly reached: number };
  /** Pairs of all kinds that were not reached. */
  readonly missing: readonly Pair[];
}

/** Measures what was reached in a revision, file by file. */
export function measure(
  uapi: RevisionName,
  reached: readonly Reached[],
): Measured[] {
  const names = new Set(pairsReached(reached).map(pairName));
  const pairs = Map.groupBy(pairsIn(uapi), ({ file }) => file);
  return FILES.map((file) => {
    const all = pairs.get(file)!;
    const missing = all.filter((pair) => !names.has(pairName(pair)));
    const by = (pairs: readonly Pair[], means: Means) =>
      pairs.filter(({ by }) => by === means).length;
    const count = by(all, "caller");
    return {
      file,
      byCalls: { all: count, reached: count - by(missing, "caller") },
      missing,
    };
  });
}

/** Pairs that were reached and that the table lacks: a sentence for each, since one of the two is wrong. */
export function unknownPairs(
  { spec, uapi, reached }: {
    readonly spec: string;
    readonly uapi: RevisionName;
    readonly reached?: readonly Reached[];
  },
): string[] {
  if (!reached) return [];
  const known = new Set(pairsIn(uapi).map(pairName));
  return pairsReached(reached).filter((pair) => !known.has(pairName(pair)))
    .map(({ file, name, result }) =>
      `${spec} ${uapi}: ${name} of ${file} came to ${result}, which is not in the table of what there is (conformance/api_coverage/reachable)`
    );
}
