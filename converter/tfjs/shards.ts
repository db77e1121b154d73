import { type FileHandle, open } from 'node:fs/promises';
import { ModelError } from '../errors.ts';

interface Shard {
  /** As the manifest names it. */
  name: string;
  path: string;
  bytes: number;
}

/** Reads the bytes of several files as if they were one, from its start to its end. */
export class ShardReader {
  readonly #shards: readonly Shard[];
  #at = 0;
  #offset = 0;
  #open: FileHandle | undefined;

  constructor(shards: readonly Shard[]) {
    this.#shards = shards;
  }

  /** @throws ModelError WEIGHTS_INVALID if a file cannot be read, or all have ended */
  async read(length: number): Promise<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const shard = this.#shards[this.#at];
      if (!shard) throw new ModelError('WEIGHTS_INVALID', 'the weight files end too early');
      if (this.#offset === shard.bytes) {
        await this.close();
        this.#at++;
        this.#offset = 0;
        continue;
      }
      const wanted = Math.min(length - done, shard.bytes - this.#offset);
      const read = await this.#readSome(shard, bytes, done, wanted);
      done += read;
      this.#offset += read;
    }
    return bytes.buffer;
  }

  async #readSome(shard: Shard, bytes: Uint8Array, at: number, length: number): Promise<number> {
    try {
      this.#open ??= await open(shard.path, 'r');
      const { bytesRead } = await this.#open.read(bytes, at, length, this.#offset);
      if (bytesRead > 0) return bytesRead;
    } catch (cause) {
      throw unreadable(shard.name, cause);
    }
    throw unreadable(shard.name, undefined);
  }

  async close(): Promise<void> {
    await this.#open?.close();
    this.#open = undefined;
  }
}

/** The error of a weight file that is not there. */
export function unreadable(shard: string, cause: unknown): ModelError {
  return new ModelError('WEIGHTS_INVALID', `weight file ${shard} is missing or cannot be read`, { cause });
}
