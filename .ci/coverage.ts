// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks how much of the model the tests cover, folder by folder, from the
 * report that `deno task cov` leaves. Exits with 1 where it is too little.
 *
 * @module
 */

/** What share of each folder in impl/ must be covered, in percent. */
const WANTED: Readonly<Record<Metric, number>> = { lines: 98, branches: 98 };

/** The records of lcov that count each metric: found, hit. */
const RECORDS = {
  lines: ["LF", "LH"],
  branches: ["BRF", "BRH"],
} as const;

type Metric = keyof typeof RECORDS;

/** How much of one file is covered. */
interface FileCoverage {
  readonly path: string;
  /** Counts by the name of the record. */
  readonly counts: ReadonlyMap<string, number>;
}

/** The files of an lcov report. */
function filesOf(lcov: string): FileCoverage[] {
  return lcov.split("end_of_record").slice(0, -1).map((record) => ({
    path: /^SF:(.*)$/m.exec(record)![1]!.replaceAll("\\", "/"),
    counts: new Map(
      [...record.matchAll(/^([A-Z]+):(\d+)$/gm)].map((
        [, name, count],
      ) => [name!, Number(count)]),
    ),
  }));
}

/** The folders in impl/, each of which must be covered by itself. */
function folders(): string[] {
  return [...Deno.readDirSync("impl")]
    .filter((entry) => entry.isDirectory)
    .map(({ name }) => `impl/${name}`)
    .sort();
}

/** The covered share of files, in percent; NaN where there is nothing to cover. */
function share(files: readonly FileCoverage[], metric: Metric): number {
  function sum(name: string): number {
    return files.reduce((n, { counts }) => n + (counts.get(name) ?? 0), 0);
  }
  const [found, hit] = RECORDS[metric];
  return 100 * sum(hit) / sum(found);
}

/** Says how a folder does; returns whether that is enough. */
function check(folder: string, all: readonly FileCoverage[]): boolean {
  const files = all.filter(({ path }) =>
    path.includes(`/${folder}/`) && !path.includes("/testing/")
  );
  let enough = true;
  for (const metric of Object.keys(RECORDS) as Metric[]) {
    const percent = share(files, metric);
    const good = percent >= WANTED[metric];
    enough &&= good;
    console.log(
      `${good ? "ok" : "TOO LOW"}: ${folder} ${
        percent.toFixed(1)
      }% of ${metric}, ${WANTED[metric]}% wanted`,
    );
    if (good) continue;
    const worst = files.filter((file) => share([file], metric) < WANTED[metric])
      .sort((a, b) => share([a], metric) - share([b], metric));
    for (const file of worst) {
      const percent = share([file], metric).toFixed(1);
      console.log(`    ${percent}% ${file.path}`);
    }
  }
  return enough;
}

const [path = "coverage/lcov.info"] = Deno.args;
const files = filesOf(Deno.readTextFileSync(path));
const results = folders().map((folder) => check(folder, files));
if (!results.every(Boolean)) Deno.exit(1);
