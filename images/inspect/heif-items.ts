/** The items of a HEIF file (ISO/IEC 23008-12): which one is the picture, where its bytes are, and its properties. */
import { type Box, createReader, findBox, isPrintable, listBoxes } from './iso-boxes.ts';
import { refuseDamage, refuseWork } from './refusals.ts';

/** Tiles of a phone's picture are 48 to 200. */
const MAX_ITEMS = 4_000;
/** Of all items together. */
const MAX_PARTS = 16_000;
const DERIVED = ['grid', 'iovl', 'iden'];

export interface HeifPicture {
  /** Four letters: av01, hvc1, grid, ... */
  itemType: string;
  /** The codec of the tiles if the picture is a grid of them. */
  codec: string;
  width: number;
  height: number;
  /** The file's bytes of the picture, or of its first tile. */
  firstBytes: Buffer | undefined;
  /** Properties of the picture and of its first tile by their type. */
  properties: Map<string, Buffer>;
  /** The picture, or the tiles that it is made from. */
  tiles: HeifTile[];
}

interface HeifTile {
  itemType: string;
  bytes: Buffer | undefined;
  properties: Map<string, Buffer>;
}

/**
 * @returns the primary picture; undefined if the file has none
 * @throws InferqlError CORRUPT or TOO_COMPLEX; RangeError if a box is truncated
 */
export function readHeifPicture(file: Buffer): HeifPicture | undefined {
  const top = listBoxes(file, 0, file.length);
  const meta = top.find(({ type }) => type === 'meta');
  if (!meta) return undefined;
  const boxes = listBoxes(file, meta.start + 4, meta.end);
  const primary = boxes.find(({ type }) => type === 'pitm');
  if (!primary) return undefined;
  const pitm = createReader(file, primary.start, primary.end);
  const id = pitm.read(4) >>> 24 === 0 ? pitm.read(2) : pitm.read(4);
  const types = readItemTypes(file, boxes);
  checkReferences(file, boxes, types);
  const itemType = types.get(id) ?? '';
  const from = DERIVED.includes(itemType) ? findReferenced(file, boxes, id) : [];
  const tileIds = from.length > 0 ? from : [id];
  const properties = readProperties(file, boxes, new Set([id, ...tileIds]));
  const own = properties.get(id) ?? new Map<string, Buffer>();
  const size = own.get('ispe');
  if (!size || size.length < 12) throw refuseDamage();
  const contents = readContents(file, boxes);
  const tiles = tileIds.map((tile) => ({
    itemType: types.get(tile) ?? '',
    bytes: joinParts(contents.get(tile), file.length),
    properties: properties.get(tile) ?? new Map<string, Buffer>(),
  }));
  return {
    itemType,
    codec: tiles[0]!.itemType,
    width: size.readUInt32BE(4),
    height: size.readUInt32BE(8),
    firstBytes: tiles[0]!.bytes,
    properties: new Map([...tiles[0]!.properties, ...own]),
    tiles,
  };
}

function readItemTypes(file: Buffer, boxes: readonly Box[]): Map<number, string> {
  const types = new Map<number, string>();
  const info = boxes.find(({ type }) => type === 'iinf');
  if (!info) return types;
  const isShort = file[info.start] === 0;
  const entries = listBoxes(file, info.start + (isShort ? 6 : 8), info.end);
  for (const { type, start, end } of entries) {
    if (type !== 'infe') continue;
    const version = file[start]!;
    if (version < 2) continue;
    const reader = createReader(file, start + 4, end);
    const id = reader.read(version === 2 ? 2 : 4);
    reader.skip(2);
    const code = Buffer.alloc(4);
    code.writeUInt32BE(reader.read(4));
    if (!isPrintable(code.toString('latin1'))) throw refuseDamage();
    types.set(id, code.toString('latin1'));
  }
  return types;
}

/** A decoder would ignore an item that is named but does not exist: a picture's alpha, or tiles. */
function checkReferences(file: Buffer, boxes: readonly Box[], types: Map<number, string>): void {
  const references = boxes.find(({ type }) => type === 'iref');
  if (!references) return;
  const idBytes = file[references.start] === 0 ? 2 : 4;
  for (const { start, end } of listBoxes(file, references.start + 4, references.end)) {
    const reader = createReader(file, start, end);
    const ids = [reader.read(idBytes)];
    const count = reader.read(2);
    if (count > MAX_ITEMS) throw refuseWork(`more than ${MAX_ITEMS} tiles`);
    for (let left = count; left > 0; left--) ids.push(reader.read(idBytes));
    if (ids.some((id) => !types.has(id))) throw refuseDamage();
  }
}

/** The items that a derived one, as a grid, is made from. */
function findReferenced(file: Buffer, boxes: readonly Box[], from: number): number[] {
  const references = boxes.find(({ type }) => type === 'iref');
  if (!references) return [];
  const idBytes = file[references.start] === 0 ? 2 : 4;
  for (const { type, start, end } of listBoxes(file, references.start + 4, references.end)) {
    const reader = createReader(file, start, end);
    if (type !== 'dimg' || reader.read(idBytes) !== from) continue;
    const count = reader.read(2);
    if (count > MAX_ITEMS) throw refuseWork(`more than ${MAX_ITEMS} tiles`);
    return Array.from({ length: count }, () => reader.read(idBytes));
  }
  return [];
}

/** The properties of some items, by their type. */
function readProperties(file: Buffer, boxes: readonly Box[], wanted: Set<number>): Map<number, Map<string, Buffer>> {
  const container = findBox(file, boxes, 'iprp/ipco');
  const association = findBox(file, boxes, 'iprp/ipma');
  const found = new Map<number, Map<string, Buffer>>();
  if (!container || !association) return found;
  const all = listBoxes(file, container.start, container.end);
  if (!all.every((box) => isSoundProperty(file, box))) throw refuseDamage();
  const reader = createReader(file, association.start, association.end);
  const head = reader.read(4);
  const isLongIndex = (head & 1) === 1;
  const entries = reader.read(4);
  if (entries > MAX_ITEMS) throw refuseWork(`more than ${MAX_ITEMS} items`);
  for (let entry = 0; entry < entries; entry++) {
    const item = reader.read(head >>> 24 === 0 ? 2 : 4);
    const properties = found.get(item) ?? new Map<string, Buffer>();
    if (wanted.has(item)) found.set(item, properties);
    for (let left = reader.read(1); left > 0; left--) {
      const index = isLongIndex ? reader.read(2) & 0x7fff : reader.read(1) & 0x7f;
      const box = all[index - 1];
      if (!wanted.has(item) || !box) continue;
      // A picture may have a profile and code points: both are kept.
      const name = box.type === 'colr' ? `colr/${file.toString('latin1', box.start, box.start + 4)}` : box.type;
      properties.set(name, file.subarray(box.start, box.end));
    }
  }
  return found;
}

/** Damage in properties that a decoder does not use, or not recognize, would make another picture of it. */
function isSoundProperty(file: Buffer, { type, start, end }: Box): boolean {
  if (type === 'auxC') return nameOf(file, start + 4, end).startsWith('urn:');
  const byte = (at: number) => (start + at < end ? file[start + at]! : 0xff);
  if (type === 'av1C') {
    // Marker and version; then reserved bits (AV1 in ISO base media files, 2.3.3).
    const hasDelay = (byte(3) & 0x10) !== 0;
    return byte(0) === 0x81 && (byte(3) & (hasDelay ? 0xe0 : 0xef)) === 0;
  }
  const isCoding = type === 'colr' && file.toString('latin1', start, start + 4) === 'nclx';
  return !isCoding || (byte(10) & 0x7f) === 0;
}

/** The parts of each item's bytes. */
function readContents(file: Buffer, boxes: readonly Box[]): Map<number, Buffer[]> {
  const contents = new Map<number, Buffer[]>();
  const locations = boxes.find(({ type }) => type === 'iloc');
  if (!locations) return contents;
  const reader = createReader(file, locations.start, locations.end);
  const version = reader.read(4) >>> 24;
  const sizes = reader.read(2);
  const [offsetBytes, lengthBytes] = [sizes >> 12, (sizes >> 8) & 15];
  const [baseBytes, indexBytes] = [(sizes >> 4) & 15, version === 0 ? 0 : sizes & 15];
  const data = boxes.find(({ type }) => type === 'idat');
  const items = reader.read(version < 2 ? 2 : 4);
  if (items > MAX_ITEMS) throw refuseWork(`more than ${MAX_ITEMS} items`);
  let partsLeft = MAX_PARTS;
  for (let item = 0; item < items; item++) {
    const id = reader.read(version < 2 ? 2 : 4);
    const method = version === 0 ? 0 : reader.read(2) & 15;
    reader.skip(2);
    const base = reader.read(baseBytes);
    const extents = reader.read(2);
    partsLeft -= extents;
    if (partsLeft < 0) throw refuseWork(`more than ${MAX_PARTS} parts of items`);
    const parts: Buffer[] = [];
    for (let extent = 0; extent < extents; extent++) {
      reader.skip(indexBytes);
      const start = base + reader.read(offsetBytes) + (method === 1 ? (data?.start ?? 0) : 0);
      const length = reader.read(lengthBytes);
      parts.push(file.subarray(start, length === 0 ? file.length : start + length));
    }
    if (method === 0 || (method === 1 && data)) contents.set(id, parts);
  }
  return contents;
}

/** @throws InferqlError CORRUPT if parts overlap, which would make much of a small file */
function joinParts(parts: Buffer[] | undefined, maxBytes: number): Buffer | undefined {
  if (!parts || parts.length <= 1) return parts?.[0];
  if (parts.reduce((sum, { length }) => sum + length, 0) > maxBytes) throw refuseDamage();
  return Buffer.concat(parts);
}

/** @returns offsets of the flags of each item but the primary one; flag 1 hides an item */
export function findOtherItemFlags(file: Buffer): number[] {
  const meta = listBoxes(file, 0, file.length).find(({ type }) => type === 'meta');
  const boxes = meta ? listBoxes(file, meta.start + 4, meta.end) : [];
  const primary = boxes.find(({ type }) => type === 'pitm');
  const info = boxes.find(({ type }) => type === 'iinf');
  if (!primary || !info) return [];
  const id = file[primary.start] === 0 ? file.readUInt16BE(primary.start + 4) : file.readUInt32BE(primary.start + 4);
  const entries = listBoxes(file, info.start + (file[info.start] === 0 ? 6 : 8), info.end);
  return entries
    .filter(({ type, start }) => type === 'infe' && file[start]! >= 2)
    .filter(({ start }) => id !== (file[start] === 2 ? file.readUInt16BE(start + 4) : file.readUInt32BE(start + 4)))
    .map(({ start }) => start + 3);
}

/** A text up to its end mark; damage makes it empty. */
function nameOf(file: Buffer, start: number, end: number): string {
  const text = file.toString('latin1', start, end).split('\0')[0] ?? '';
  return /^[ -~]*$/.test(text) ? text : '';
}
