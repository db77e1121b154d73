import { randomBytes } from 'node:crypto';
import { accessSync, constants, openSync, readSync, unlinkSync, writevSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An unnamed file: in memory if there is /dev/shm, else in the temporary folder. It is freed with its last open descriptor. */
export function openSharedMemory(): number {
  const name = `inferql-${process.pid}-${randomBytes(6).toString('hex')}`;
  let folder = '/dev/shm';
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    folder = tmpdir();
  }
  const path = join(folder, name);
  const fd = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  return fd;
}

/** Writes the images one after the other, from the beginning. */
export function writeImages(fd: number, images: readonly Uint8Array[]): void {
  let rest = images.map((image) => Buffer.from(image.buffer, image.byteOffset, image.byteLength));
  for (let at = 0; rest.length > 0; ) {
    let written = writevSync(fd, rest, at);
    at += written;
    while (rest.length > 0 && written >= rest[0]!.length) {
      written -= rest[0]!.length;
      rest = rest.slice(1);
    }
    if (written > 0) rest[0] = rest[0]!.subarray(written);
  }
}

/** Reads `length` float32 values. @throws if the file is shorter. */
export function readFloats(fd: number, length: number, position: number): Float32Array {
  return new Float32Array(readBytes(fd, length * 4, position));
}

/** @throws if the file is shorter. */
export function readBytes(fd: number, length: number, position: number): ArrayBuffer {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < bytes.length; ) {
    const read = readSync(fd, bytes, at, bytes.length - at, position + at);
    if (read === 0) throw new Error('the engine wrote less than it said');
    at += read;
  }
  return bytes.buffer;
}
