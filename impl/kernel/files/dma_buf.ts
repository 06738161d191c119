// SPDX-License-Identifier: GPL-2.0-only

/**
 * DMA buffers: memory that one driver has and others may use, as an open file.
 *
 * Linux: drivers/dma-buf/dma-buf.c. Of the ways in which a buffer is handed
 * over there is the one that iommufd uses: its physical address.
 *
 * @module
 */

import { EINVAL, EOPNOTSUPP } from "../../uapi/errno.ts";
import { POLLIN, POLLOUT, SEEK_END, SEEK_SET } from "../../uapi/mman.ts";
import { File, type FileMapping } from "./file.ts";

const NO_RANGE = EOPNOTSUPP.because(
  "the driver of the buffer does not tell a physical address",
);

/** A range of physical addresses. */
export interface PhysicalRange {
  /** First address, a multiple of the page size; the number of no page in it has more than 31 bits. */
  readonly paddr: number;
  /** Bytes. */
  readonly length: number;
}

/** The driver's side of a buffer (Linux: struct dma_buf_ops and its private data). */
export interface DmaBufExporter {
  /** Bytes, whole pages. */
  readonly size: number;
  /**
   * Where it is; it stays there until {@link DmaBuf.invalidate}. Throws ENODEV
   * while it is taken back. A driver without this cannot share it with
   * iommufd. (Linux: vfio_pci_dma_buf_iommufd_map.)
   */
  physicalRange?(): PhysicalRange;
  /** Frees it: nobody uses it any more. */
  release(): void;
}

/** One who uses a buffer (Linux: struct dma_buf_attachment). */
export interface DmaBufImporter {
  /** Must not use it any more when this returns (Linux: invalidate_mappings). */
  invalidate(): void;
}

/** The open file of a buffer. */
export class DmaBuf extends File {
  /** The driver's side. */
  readonly exporter: DmaBufExporter;
  readonly #importers: Set<DmaBufImporter> = new Set();

  /** Shares what a driver has; `access` is how the file is opened (Linux: dma_buf_export). */
  constructor(exporter: DmaBufExporter, access: number) {
    super(access);
    this.exporter = exporter;
  }

  /**
   * Lets somebody use the buffer, which is at the addresses returned. Throws
   * EOPNOTSUPP if its driver does not tell them, and what the driver throws.
   * (Linux: dma_buf_dynamic_attach, dma_buf_pin.)
   */
  attach(importer: DmaBufImporter): PhysicalRange {
    const { exporter } = this;
    if (exporter.physicalRange === undefined) throw NO_RANGE;
    const range = exporter.physicalRange();
    this.#importers.add(importer);
    return range;
  }

  /** The end of an {@link attach} (Linux: dma_buf_detach). */
  detach(importer: DmaBufImporter): void {
    this.#importers.delete(importer);
  }

  /** Takes the buffer back from all who use it, for its driver (Linux: dma_buf_invalidate_mappings). */
  invalidate(): void {
    for (const importer of this.#importers) importer.invalidate();
  }

  /** Nobody writes it in the background. */
  override poll(): number {
    return POLLIN | POLLOUT;
  }

  /** Tells how long it is: its position is its beginning or its end. Throws EINVAL for another. (Linux: dma_buf_llseek.) */
  override seek(offset: number, whence: number): number {
    if (offset !== 0 || (whence !== SEEK_SET && whence !== SEEK_END)) {
      throw EINVAL;
    }
    return whence === SEEK_SET ? 0 : this.exporter.size;
  }

  /** The name of its kind. */
  override get label(): string {
    return "/dmabuf:";
  }

  /** No driver here lets it be mapped. */
  override mmap(): FileMapping {
    throw EINVAL;
  }

  /** Frees the buffer. */
  protected override release(): void {
    this.exporter.release();
  }
}
