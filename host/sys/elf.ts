// SPDX-License-Identifier: GPL-2.0-only

/**
 * A shared object in ELF's format, made from the code of its functions: as
 * little as a dynamic linker accepts, no sections.
 *
 * | file                                     | mapped                 |
 * | ---------------------------------------- | ---------------------- |
 * | headers, symbols, names, hash table, code | to be read and executed |
 * | the dynamic table                        | to be read and written |
 *
 * Both are parts of one page of the file, which is mapped twice, an alignment
 * apart: the linker writes to the dynamic table.
 *
 * @module
 */

/** Bytes of the file's header. */
const EHDR_SIZE = 64;
/** Bytes of one program header. */
const PHDR_SIZE = 56;
/** Bytes of one symbol. */
const SYM_SIZE = 24;
/** The largest page that an architecture has: what is mapped apart is this far apart. */
const MAX_PAGE = 0x10000;

const ET_DYN = 3;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_GNU_STACK = 0x6474e551;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;
const DT_NULL = 0;
const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_STRSZ = 10;
const DT_SYMENT = 11;
const DT_FLAGS_1 = 0x6ffffffb;
/** Never unloaded: a child that shares this memory may still run in it when the runtime ends. */
const DF_1_NODELETE = 8;
/** A global function. */
const STB_GLOBAL_STT_FUNC = 0x12;

/** Where the parts of the file are, in bytes. */
interface Layout {
  readonly symbols: number;
  readonly names: number;
  readonly hash: number;
  readonly code: readonly number[];
  readonly dynamic: number;
  readonly end: number;
}

/** Makes an object for a machine (`EM_*`) with functions by name. */
export function sharedObject(
  machine: number,
  functions: Readonly<Record<string, Uint8Array>>,
): Uint8Array<ArrayBuffer> {
  const names = Object.keys(functions);
  const code = Object.values(functions);
  const strings = new TextEncoder().encode(`\0${names.join("\0")}\0`);
  const layout = layOut(strings.length, code);
  const file = new Uint8Array(layout.end);
  const view = new DataView(file.buffer);
  putHeader(view, machine);
  putProgramHeaders(view, layout);
  putSymbols(view, layout, names, code);
  file.set(strings, layout.names);
  putHash(view, layout.hash, names.length);
  code.forEach((bytes, i) => file.set(bytes, layout.code[i]!));
  putDynamic(view, layout, strings.length);
  return file;
}

const PROGRAM_HEADERS = 4;
const DYNAMIC_ENTRIES = 7;

function layOut(strings: number, code: readonly Uint8Array[]): Layout {
  let end = EHDR_SIZE + PROGRAM_HEADERS * PHDR_SIZE;
  const take = (bytes: number) => {
    const at = end;
    end = (end + bytes + 15) & ~15;
    return at;
  };
  const symbols = take((code.length + 1) * SYM_SIZE);
  const names = take(strings);
  const hash = take(4 * (2 + 1 + code.length + 1));
  const places = code.map((bytes) => take(bytes.length));
  const dynamic = take(DYNAMIC_ENTRIES * 16);
  return { symbols, names, hash, code: places, dynamic, end };
}

function putHeader(view: DataView, machine: number): void {
  view.setUint32(0, 0x7f454c46); // \x7fELF
  view.setUint8(4, 2); // 64 bits
  view.setUint8(5, 1); // little endian
  view.setUint8(6, 1); // version
  view.setUint16(16, ET_DYN, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  put64(view, 32, EHDR_SIZE); // where the program headers are
  view.setUint16(52, EHDR_SIZE, true);
  view.setUint16(54, PHDR_SIZE, true);
  view.setUint16(56, PROGRAM_HEADERS, true);
  view.setUint16(58, 64, true); // bytes of a section header, of which there are none
}

function putProgramHeaders(view: DataView, layout: Layout): void {
  const { dynamic, end } = layout;
  const size = end - dynamic;
  const table = MAX_PAGE + dynamic;
  const rows = [
    // type, flags, offset, address, bytes, alignment
    [PT_LOAD, PF_R | PF_X, 0, 0, dynamic, MAX_PAGE],
    [PT_LOAD, PF_R | PF_W, dynamic, table, size, MAX_PAGE],
    [PT_DYNAMIC, PF_R | PF_W, dynamic, table, size, 8],
    [PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 16],
  ] as const;
  for (const [i, row] of rows.entries()) {
    const at = EHDR_SIZE + i * PHDR_SIZE;
    const [type, flags, offset, address, bytes, alignment] = row;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    put64(view, at + 8, offset);
    put64(view, at + 16, address);
    put64(view, at + 24, address);
    put64(view, at + 32, bytes);
    put64(view, at + 40, bytes);
    put64(view, at + 48, alignment);
  }
}

function putSymbols(
  view: DataView,
  layout: Layout,
  names: readonly string[],
  code: readonly Uint8Array[],
): void {
  let name = 1;
  for (let i = 0; i < names.length; i++) {
    // The first symbol is none.
    const at = layout.symbols + (i + 1) * SYM_SIZE;
    view.setUint32(at, name, true);
    view.setUint8(at + 4, STB_GLOBAL_STT_FUNC);
    view.setUint16(at + 6, 1, true); // defined, in whatever section
    put64(view, at + 8, layout.code[i]!);
    put64(view, at + 16, code[i]!.length);
    name += names[i]!.length + 1;
  }
}

/** A hash table with one bucket: every symbol is in its chain. */
function putHash(view: DataView, at: number, symbols: number): void {
  const chains = symbols + 1;
  const table = [1, chains, symbols];
  for (let i = 0; i < chains; i++) table.push(Math.max(i - 1, 0));
  table.forEach((word, i) => view.setUint32(at + 4 * i, word, true));
}

function putDynamic(view: DataView, layout: Layout, strings: number): void {
  const entries = [
    [DT_HASH, layout.hash],
    [DT_STRTAB, layout.names],
    [DT_SYMTAB, layout.symbols],
    [DT_STRSZ, strings],
    [DT_SYMENT, SYM_SIZE],
    [DT_FLAGS_1, DF_1_NODELETE],
    [DT_NULL, 0],
  ] as const;
  for (const [i, [tag, value]] of entries.entries()) {
    put64(view, layout.dynamic + 16 * i, tag);
    put64(view, layout.dynamic + 16 * i + 8, value);
  }
}

function put64(view: DataView, at: number, value: number): void {
  view.setBigUint64(at, BigInt(value), true);
}
