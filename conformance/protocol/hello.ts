// SPDX-License-Identifier: GPL-2.0-only

/**
 * The greeting of the adapter protocol (protocol.md): what an adapter says
 * about itself.
 *
 * @module
 */

import { TEST_OPS } from "../../impl/uapi/ioctls.ts";
import { isRevisionName, REVISION_NAMES } from "../../impl/uapi/revision.ts";
import type { TargetInfo } from "../../selftests/target/target.ts";
import { suggestion } from "../lib/usage_error.ts";
import type { Words } from "./codec.ts";

/** The version of the protocol that is spoken here. */
export const PROTOCOL_VERSION = 1;

/** The keys that `hello` must answer with. */
export const HELLO_KEYS = [
  "protocol",
  "name",
  "version",
  "uapi",
  "page",
  "hugepage",
  "capabilities",
] as const;

type Hello =
  & Readonly<Record<typeof HELLO_KEYS[number], string>>
  & { readonly testops?: string };

/** The operations of the test ioctl, as reports call them. */
export const TEST_OP_NAMES: readonly string[] = TEST_OPS.map(({ op }) =>
  op.name.replace("IOMMU_TEST_OP_", "")
);

/** The values of the reply to `hello`. */
export function formatHello(info: TargetInfo): string {
  const { name, version, uapi, pageSize, hugePageSize, capabilities } = info;
  return [
    `protocol=${PROTOCOL_VERSION}`,
    `name=${asName(name)}`,
    `version=${asName(version)}`,
    `uapi=${uapi}`,
    `page=${pageSize}`,
    `hugepage=${hugePageSize}`,
    `capabilities=${capabilities.map(asName).join(",")}`,
    ...info.testOps ? [`testops=${info.testOps.join(",")}`] : [],
  ].join(" ");
}

/** A text in the characters that a name may have. */
function asName(text: string): string {
  return text.replace(/[^\w.-]/g, "-");
}

/** Reads the values of the reply to `hello`. Throws {@link ProtocolError}. */
export function parseHello(words: Words): TargetInfo {
  const hello = parsePairs(words);
  if (hello.protocol !== String(PROTOCOL_VERSION)) {
    words.refuse(
      `its protocol is ${hello.protocol}, and ${PROTOCOL_VERSION} is spoken here`,
    );
  }
  if (!isRevisionName(hello.uapi)) {
    words.refuse(
      `its uapi is ${hello.uapi}, and only ${
        REVISION_NAMES.join(", ")
      } are known.${suggestion(hello.uapi, REVISION_NAMES)}`,
    );
  }
  const pageSize = parseSize(hello.page, "page", words);
  const hugePageSize = parseSize(hello.hugepage, "hugepage", words);
  if (hugePageSize < pageSize) {
    words.refuse("hugepage is smaller than page");
  }
  const capabilities = parseNames(hello.capabilities, "a capability", words);
  const { name, version, uapi, testops } = hello;
  const info = { name, version, uapi, pageSize, hugePageSize, capabilities };
  if (testops === undefined) return info;
  const testOps = parseNames(testops, "a test operation", words);
  const unknown = testOps.find((name) => !TEST_OP_NAMES.includes(name));
  if (unknown !== undefined) {
    words.refuse(
      `there is no test operation ${unknown}.${
        suggestion(unknown, TEST_OP_NAMES)
      }`,
    );
  }
  return { ...info, testOps };
}

/** Names that are joined by commas, each once. */
function parseNames(text: string, what: string, words: Words): string[] {
  const names = text === "" ? [] : text.split(",");
  if (new Set(names).size < names.length) {
    words.refuse(`${what} is named twice`);
  }
  if (names.includes("")) words.refuse(`${what} has no name`);
  return names;
}

/** `KEY=NAME…` with all the keys there must be; others are left alone. */
function parsePairs(words: Words): Hello {
  const pairs = new Map<string, string>();
  while (words.left > 0) {
    const word = words.name("KEY=NAME");
    const equals = word.indexOf("=");
    if (equals <= 0) words.refuse(`"${word}" is not of the form KEY=NAME`);
    const key = word.slice(0, equals);
    if (pairs.has(key)) words.refuse(`${key} is told twice`);
    pairs.set(key, word.slice(equals + 1));
  }
  for (const key of HELLO_KEYS) {
    if (!pairs.has(key)) words.refuse(`${key} is missing`);
    if (pairs.get(key) === "" && key !== "capabilities") {
      words.refuse(`${key} is empty`);
    }
  }
  return Object.fromEntries(pairs) as Hello;
}

/** A power of two. */
function parseSize(word: string, what: string, words: Words): number {
  const size = Number(word);
  if (!/^\d+$/.test(word) || size < 1 || !Number.isInteger(Math.log2(size))) {
    words.refuse(`${what} is no power of two: ${word}`);
  }
  return size;
}
