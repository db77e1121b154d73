/** A state file with finished images, so that a run over many images can be interrupted and resumed. */
import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Embedding, HeadOf, Tensor } from '@inferql/client';
import * as z from 'zod';
import { CommandFailure, EXIT } from './exit-codes.ts';
import type { ImageSource } from './image-sources.ts';
import type { ImageRecord } from './output-formats.ts';

const Head = z.object({ inferql: z.literal(1), run: z.uuid(), model: z.string().nullable() });

const HEAD_START = '{"inferql":1';
const CHUNK_BYTES = 1_048_576;

const Millis = z.number().nullable();

const Line = z.object({
  path: z.string(),
  size: z.number(),
  mtimeMs: z.number(),
  record: z.object({
    file: z.string(),
    ok: z.literal(true),
    id: z.string(),
    model: z.string(),
    modelVersion: z.string(),
    labels: z.array(z.object({ name: z.string(), index: z.number(), score: z.number() })),
    outputs: z
      .object({
        heads: z.array(z.custom<HeadOf>((head) => typeof head === 'object')),
        embeddings: z.array(z.custom<Embedding>((embedding) => typeof embedding === 'object')),
        tensors: z.array(z.custom<Tensor>((tensor) => typeof tensor === 'object')),
        extra: z.unknown(),
      })
      .optional(),
    cached: z.boolean(),
    batchSize: z.number().nullable(),
    timings: z.object({ queueMs: Millis, inferenceMs: Millis, totalMs: Millis }).nullable(),
  }),
});
type Line = z.infer<typeof Line>;

export interface Memory {
  /**
   * The stored record of an image that has not changed since.
   * @param withOutputs whether the record must have its outputs; otherwise they are left out
   */
  recall(image: ImageSource, withOutputs: boolean): ImageRecord | undefined;
  /** Stores a success; failures are retried the next time. */
  keep(image: ImageSource, record: ImageRecord): Promise<void>;
  /** The idempotency key of an image, equal in each run with this file: an upload whose response was lost is not computed twice. */
  idempotencyKey(image: ImageSource): string;
  close(): Promise<void>;
}

/**
 * Opens or creates a state file: JSON lines, one per image. A line that a crash truncated is dropped.
 * @throws CommandFailure if it is not a state file, belongs to another model, or cannot be written
 */
export async function openMemory(path: string, model: string | undefined): Promise<Memory> {
  const file = await open(path, 'a+').catch((error: NodeJS.ErrnoException) => {
    throw new CommandFailure(EXIT.usage, `Cannot open the state file: ${error.message}`);
  });
  try {
    const { head, lines } = await readLines(file, path, model ?? null);
    const known = new Map(lines.map((line) => [line.path, line]));
    return {
      recall({ name, content, size, mtimeMs }, withOutputs) {
        const line = typeof content === 'string' ? known.get(content) : undefined;
        if (!line || line.size !== size || line.mtimeMs !== mtimeMs) return undefined;
        const { outputs, ...record } = line.record;
        if (withOutputs && !outputs) return undefined;
        return { ...record, ...(withOutputs && { outputs }), file: name };
      },
      async keep({ content, size, mtimeMs }, record) {
        if (!record.ok || typeof content !== 'string' || size === undefined || mtimeMs === undefined) return;
        await file.appendFile(`${JSON.stringify({ path: content, size, mtimeMs, record } satisfies Line)}\n`);
      },
      idempotencyKey: ({ content, size, mtimeMs }) =>
        typeof content === 'string'
          ? createHash('sha256')
              .update(JSON.stringify([head.run, content, size, mtimeMs]))
              .digest('hex')
          : randomUUID(),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readLines(file: FileHandle, path: string, model: string | null) {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(HEAD_START.length), 0, HEAD_START.length, 0);
  // Never change a file that is not a state file.
  if (bytesRead > 0 && buffer.toString('latin1', 0, bytesRead) !== HEAD_START) throw notOurs(path);
  let head: z.infer<typeof Head> | undefined;
  const lines: Line[] = [];
  let wholeBytes = 0;
  for await (const line of splitLines(file)) {
    wholeBytes += line.length + 1;
    const value = parseJson(line.toString());
    if (!head) head = checkHead(value, path, model);
    else {
      const parsed = Line.safeParse(value);
      if (parsed.success) lines.push(parsed.data);
    }
  }
  if (wholeBytes < (await file.stat()).size) await file.truncate(wholeBytes);
  if (head) return { head, lines };
  const fresh = { inferql: 1 as const, run: randomUUID(), model };
  await file.appendFile(`${JSON.stringify(fresh)}\n`);
  return { head: fresh, lines };
}

/** The lines that have an end, without it. One at a time: the file of a large archive is longer than a string can be. */
async function* splitLines(file: FileHandle): AsyncGenerator<Buffer, void, undefined> {
  let parts: Buffer[] = [];
  for await (const chunk of file.createReadStream({ autoClose: false, start: 0, highWaterMark: CHUNK_BYTES })) {
    let from = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, end)]);
      parts = [];
      from = end + 1;
    }
    parts.push(chunk.subarray(from));
  }
}

function checkHead(value: unknown, path: string, model: string | null) {
  const { data: head } = Head.safeParse(value);
  if (!head) throw notOurs(path);
  if (head.model === model) return head;
  const name = head.model ?? 'the default model';
  throw new CommandFailure(
    EXIT.usage,
    `${path} belongs to a run with ${name}. Use the same model or another state file.`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function notOurs(path: string): CommandFailure {
  return new CommandFailure(EXIT.usage, `${path} is not an inferql state file; it was left unchanged.`);
}
