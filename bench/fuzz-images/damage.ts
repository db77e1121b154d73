/** Ways in which files are damaged, in transit or on purpose. */

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @param other another file, parts of which may be spliced in */
export function damage(file: Buffer, other: Buffer, random: () => number): { file: Buffer; how: string } {
  const at = (length: number) => Math.floor(random() * length);
  // Headers contain the numbers.
  const place = (length: number) => (random() < 0.4 ? at(Math.min(length, 300)) : at(length));
  const ways: Record<string, () => Buffer> = {
    cut: () => file.subarray(0, 1 + at(file.length)),
    'cut at the end': () => file.subarray(0, Math.max(1, file.length - 1 - at(40))),
    'bits flipped': () => {
      const copy = Buffer.from(file);
      for (let left = 1 + at(8); left > 0; left--) copy[place(copy.length)]! ^= 1 << at(8);
      return copy;
    },
    'bytes replaced': () => {
      const copy = Buffer.from(file);
      for (let left = 1 + at(16); left > 0; left--) copy[place(copy.length)] = [0, 255, 127, 128, at(256)][at(5)]!;
      return copy;
    },
    'a number replaced': () => {
      const copy = Buffer.from(file);
      const numbers = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 65_535, 65_536, at(2 ** 32)];
      const offset = Math.min(place(copy.length), copy.length - 4);
      if (random() < 0.5) copy.writeUInt32LE(numbers[at(8)]!, offset);
      else copy.writeUInt32BE(numbers[at(8)]!, offset);
      return copy;
    },
    'a part zeroed': () => {
      const copy = Buffer.from(file);
      const from = at(copy.length);
      return copy.fill(0, from, Math.min(copy.length, from + at(2_000)));
    },
    'a part removed': () => {
      const from = at(file.length);
      return Buffer.concat([file.subarray(0, from), file.subarray(from + 1 + at(2_000))]);
    },
    'a part repeated': () => {
      const from = at(file.length);
      const until = from + 1 + at(2_000);
      return Buffer.concat([file.subarray(0, until), file.subarray(from)]);
    },
    'another file inside': () => {
      const from = at(file.length);
      return Buffer.concat([file.subarray(0, from), other.subarray(at(other.length)), file.subarray(from)]);
    },
    "another file's end": () => Buffer.concat([file.subarray(0, at(file.length)), other.subarray(at(other.length))]),
  };
  const names = Object.keys(ways);
  const how = names[at(names.length)]!;
  return { file: ways[how]!(), how };
}
