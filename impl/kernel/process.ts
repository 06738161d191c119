// SPDX-License-Identifier: GPL-2.0-only
import type { Mm } from "./mm.ts";
/** placeholder, to be replaced by the kernel helper */
export interface Process { readonly mm: Mm }
