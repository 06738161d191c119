// SPDX-License-Identifier: GPL-2.0-only

/**
 * A device that moves: its state, and the file that it moves through.
 *
 * Linux: what a driver of the device's own does, such as mlx5vf_pci_step_device_state_locked.
 *
 * @module
 */

import type { File } from "../../kernel/files/file.ts";
import type { Migration } from "../../pci/migration.ts";
import {
  VFIO_DEVICE_STATE_ERROR,
  VFIO_DEVICE_STATE_RESUMING,
  VFIO_DEVICE_STATE_RUNNING,
  VFIO_MIGRATION_PRE_COPY,
  VFIO_MIGRATION_STOP_COPY,
} from "../../uapi/vfio/migration.ts";
import { ResumingFile, SavingFile } from "./data_files.ts";
import { isPreCopy, isRunning, isSaving, nextState } from "./next_state.ts";

/** An open device that can move. */
export class DeviceMigration {
  /** What it can do, `VFIO_MIGRATION_*`. */
  readonly flags: number = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY;
  /** Its user knows the flags of what is left (Linux: precopy_info_v2). */
  knowsFlags = false;
  readonly #strategy: Migration;
  #state = VFIO_DEVICE_STATE_RUNNING;
  #file: SavingFile | ResumingFile | undefined;

  /** It runs. */
  constructor(strategy: Migration) {
    this.#strategy = strategy;
  }

  /** Its state, `VFIO_DEVICE_STATE_*`. */
  get state(): number {
    return this.#state;
  }

  /** Bytes that it has to move once it has stopped. */
  get dataSize(): number {
    return this.#strategy.save().length;
  }

  /**
   * Goes to a state step by step. Returns the file that it moves through from
   * now on, if that is a new one: the caller takes over a reference. Throws
   * EINVAL where no way leads there, and for what was written that is no state.
   */
  setState(state: number): File | undefined {
    let file: File | undefined;
    while (this.#state !== state) {
      const next = nextState(this.flags, this.#state, state);
      file = this.#step(this.#state, next);
      this.#state = next;
    }
    return file;
  }

  /** It runs, as after a reset: what was moved is given up. */
  reset(): void {
    this.#endFile();
    if (!isRunning(this.#state)) this.#strategy.run(true);
    this.#state = VFIO_DEVICE_STATE_RUNNING;
  }

  #step(from: number, to: number): File | undefined {
    if (from === VFIO_DEVICE_STATE_RESUMING) this.#resume();
    if (isSaving(from) && !isSaving(to)) this.#endFile();
    if (isRunning(from) !== isRunning(to)) this.#strategy.run(isRunning(to));
    if (isPreCopy(from) && isSaving(to) && !isPreCopy(to)) {
      (this.#file as SavingFile).stop();
    }
    if (to === VFIO_DEVICE_STATE_RESUMING) {
      return this.#begin(new ResumingFile());
    }
    if (!isSaving(to) || isSaving(from)) return undefined;
    const file = new SavingFile(
      () => this.#strategy.save(),
      () => this.knowsFlags,
    );
    if (!isPreCopy(to)) file.stop();
    return this.#begin(file);
  }

  /** The device and its user have a reference to a file each. */
  #begin(file: SavingFile | ResumingFile): File {
    this.#file = file;
    return file.get();
  }

  /** What was written is what the device is; if it cannot be, only a reset helps. */
  #resume(): void {
    try {
      this.#strategy.load((this.#file as ResumingFile).state());
    } catch (error) {
      this.#state = VFIO_DEVICE_STATE_ERROR;
      throw error;
    } finally {
      this.#endFile();
    }
  }

  #endFile(): void {
    this.#file?.end();
    this.#file = undefined;
  }
}
