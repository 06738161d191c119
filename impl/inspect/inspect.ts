// SPDX-License-Identifier: GPL-2.0-only

/**
 * Draws what a kernel's iommufd holds.
 *
 * @module
 */

import type { Kernel } from "../kernel.ts";
import { type Snapshot, snapshot } from "./snapshot.ts";
import { drawContext } from "./text/context.ts";
import { drawPci } from "./text/pci.ts";
import { count, grouped } from "./units.ts";

/**
 * Draws every context of a kernel as plain text, without a newline at its end:
 * for people, while they debug a client or a test. It changes nothing, and the
 * same state always gives the same text. Long lists show their ends and sum up
 * the middle.
 *
 * ```text
 * iommufd 7.3: 1 context, 17 frames in use
 *
 * context 1 (process 1 fd 3): 4 objects, pinned memory is charged to the user
 *
 *   id  object    users
 *    1  IOAS          2  1 area, HWPT 4
 *    2  selftest      1  made by MOCK_DOMAIN
 *    3  device        3  iommufd_mock0, group 0, attached to HWPT 4
 *    4  HWPT          2  IOAS 1, 2 KiB-64 GiB pages, IOVA 0x1000000-0x7fffffff, auto, iommufd_mock0
 *
 *   IOAS 1: IOVA is aligned to 2 KiB, large IO pages are on
 *
 *     IOVA                +--+      length  prot  pages    storage  accesses
 *     0x0000000000000000  |xx|      16 MiB  reserved by HWPT 4
 *     0x0000000001000000  |##|      64 KiB  rw    P1 0-15  HWPT 4
 *     0x0000000001010000  |  |   ~1.98 GiB
 *     0x0000000080000000  |xx|  ~15.99 EiB  reserved by HWPT 4
 *     0xffffffffffffffff  +--+
 *
 *   memory
 *
 *         page  pins  kept in  frames
 *     P1  16 pages of process 1 at 0x7ffff7fef000, writable, 16 pinned, charged to nobody
 *         0-15     1  HWPT 4   2-17
 *
 * process 1 (user 0): 0 pages locked, 16 pinned
 * user 0: 0 pages locked
 * ```
 *
 * The objects: their id; their kind; how many hold them, the context included
 * (1 means that user space may destroy them). Of a HWPT: its IOAS, its page
 * sizes, the IOVA that it can map; `auto` if the kernel made it for devices
 * that attached to the IOAS, `parent` if others may be nested on it, whether
 * dirty tracking is on if it can track writes, `coherent` if it enforces cache coherency; the fault
 * queue that its page faults go to, and the devices that are attached to it, or
 * their PASIDs, for which it was allocated then.
 *
 * The axis of an IOAS, lowest IOVA first, one line for each span: its first
 * IOVA; `##` for an area, `xx` for reserved IOVA, nothing where nothing is
 * mapped; its length, `~` for about; for areas whether a device may read and
 * write, which pages they map (`P1 0-15 +2048`: pages 0 to 15 of P1, from byte
 * 2048 of the first on), the HWPT whose IO page table is storage for the frame
 * numbers (`none` without HWPTs), and how many pins by accesses are on
 * it (`closing` while an unmap waits for them).
 *
 * The memory: for each range of user memory that was mapped its pages by
 * index; how often each frame is pinned, by whomever; where iommufd keeps the
 * frame numbers (`pinned_pfns` while an access uses them, a HWPT, or nowhere:
 * `user memory`, not pinned); the frame numbers themselves.
 *
 * The devices of VFIO, if there are: who has each, its BARs with the addresses
 * that DMA reaches them at (`off` while memory is disabled), the interrupts that
 * are connected, and what its DMA reaches, by PASID: ranges of IOVA, and the
 * frames or BARs behind them.
 *
 * At the end what is charged: VmLck and VmPin of each process and the locked
 * pages of its user, in pages of 4 KiB, and what the kernel warned about.
 */
export function inspect(kernel: Kernel): string {
  return draw(snapshot(kernel));
}

/** Draws what {@link inspect} would have drawn when a snapshot was taken. */
export function draw(shot: Snapshot): string {
  const lines = [
    `iommufd ${shot.revision}: ${count(shot.contexts.length, "context")}, ` +
    `${count(shot.framesUsed, "frame")} in use`,
  ];
  shot.contexts.forEach((ctx, i) => lines.push("", ...drawContext(ctx, i + 1)));
  lines.push(...shot.devices.flatMap((device) => ["", ...drawPci(device)]));
  lines.push("", ...drawAccounts(shot));
  for (const warning of shot.warnings) lines.push(`warning: ${warning}`);
  return lines.join("\n").trimEnd();
}

function drawAccounts({ processes, users }: Snapshot): string[] {
  return [
    ...processes.map(({ pid, uid, lockedVm, pinnedVm }) =>
      `process ${pid} (user ${uid}): ${count(lockedVm, "page")} locked, ${
        grouped(pinnedVm)
      } pinned`
    ),
    ...users.map(({ uid, lockedVm }) =>
      `user ${uid}: ${count(lockedVm, "page")} locked`
    ),
  ];
}
