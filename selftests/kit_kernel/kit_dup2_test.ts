// SPDX-License-Identifier: GPL-2.0-only

import { denoTests } from "../testing/deno_tests.ts";

await denoTests("kit_dup2");
