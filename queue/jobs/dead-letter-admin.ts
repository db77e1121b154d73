/** For operators: lists dead letters, which are jobs that failed for good, retries and drops them. lua/shared/dead-letter-retention.lua keeps them. */
import * as z from 'zod';
import { ANONYMOUS_TENANT, newPredictionId, Priority } from '../contract.ts';
import { ERROR_CODES, InferqlError } from '../error-codes.ts';
import { runStep } from '../lua/lua-steps.ts';
import { Registry } from '../models/registry.ts';
import { type AdmitOutcome, Producer } from '../predictions/producer.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { callRedis } from '../redis/errors.ts';
import { modelKeys } from '../redis/keys.ts';
import { type Entry, OptionsText, readFields } from './stream-entry.ts';

const DeadFields = z.object({
  predictions: z.string().transform((ids) => ids.split(' ').filter(Boolean)),
  errorCode: z.enum(ERROR_CODES),
  attempts: z.coerce.number().int(),
  version: z.string(),
  /** The tenant that it belongs to; a retry belongs to the same tenant. */
  tenant: z.string().default(ANONYMOUS_TENANT),
  priority: Priority,
  options: OptionsText,
});

interface DeadEntry {
  /** Identifies it in retry and drop. Ids sort by time. */
  entryId: string;
  /** When it became a dead letter, in Unix milliseconds. */
  buriedAtMs: number;
  imageBytes: number;
}

export interface DeadLetter extends DeadEntry, z.infer<typeof DeadFields> {
  unreadable?: undefined;
}

/** A dead letter that another release or program wrote, or that is damaged. It can only be dropped. */
export interface UnreadableDeadLetter extends DeadEntry {
  /** What this release cannot read. */
  unreadable: string;
}

export type DeadLetters = ReturnType<typeof createDeadLetters>;

function readLetter([id, fields]: Entry): { letter: DeadLetter | UnreadableDeadLetter; image: Buffer } {
  const values = readFields(fields);
  const image = values.get('image') ?? Buffer.alloc(0);
  values.delete('image');
  const entryId = id.toString();
  const entry = { entryId, buriedAtMs: Number(entryId.split('-')[0]), imageBytes: image.length };
  const parsed = DeadFields.safeParse(Object.fromEntries([...values].map(([name, value]) => [name, value.toString()])));
  if (parsed.success) return { letter: { ...parsed.data, ...entry }, image };
  const unreadable = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  return { letter: { ...entry, unreadable }, image };
}

/** Every call rejects with InferqlError UNAVAILABLE while Redis cannot serve it. */
export function createDeadLetters(redis: RedisConnection, { prefix }: { prefix: string }) {
  const producer = new Producer(redis, { prefix });
  const registry = new Registry(redis, { prefix });
  async function readEntries(model: string, from: string, to: string, count: number) {
    const reply = await callRedis(() => redis.xrangeBuffer(modelKeys(prefix, model).dead, from, to, 'COUNT', count));
    return (reply as unknown as Entry[]).map(readLetter);
  }

  return {
    /** A page of dead letters, oldest first. @param after the last entry id of the previous page */
    async list(
      model: string,
      { count = 100, after }: { count?: number; after?: string } = {},
    ): Promise<(DeadLetter | UnreadableDeadLetter)[]> {
      return (await readEntries(model, after === undefined ? '-' : `(${after}`, '+', count)).map(
        ({ letter }) => letter,
      );
    },

    /**
     * Queues a dead letter again, as a new prediction that refers to the old one in `retryOf`, and removes it. If two operators
     * retry the same dead letter, both get the same prediction.
     * @throws InferqlError NOT_FOUND if there is no such entry or model; INVALID_INPUT if this release cannot read it, or the model's
     *   version has changed, since the pixels were prepared for the old one
     */
    async retry(model: string, entryId: string): Promise<AdmitOutcome> {
      const [dead] = await readEntries(model, entryId, entryId, 1);
      const served = (await registry.models()).find(({ name }) => name === model);
      if (!dead || !served)
        throw new InferqlError('NOT_FOUND', { message: `Model ${model} has no dead letter ${entryId}.` });
      const { letter } = dead;
      if (letter.unreadable !== undefined) {
        throw new InferqlError('INVALID_INPUT', {
          message: `This release cannot read the dead letter: ${letter.unreadable}`,
        });
      }
      if (served.version !== letter.version) {
        throw new InferqlError('INVALID_INPUT', {
          message: `The image was prepared for version ${letter.version}, but version ${served.version} is now served. Send the image again.`,
        });
      }
      const outcome = await producer.admit({
        id: newPredictionId(model),
        model: served,
        image: dead.image,
        options: letter.options,
        priority: letter.priority,
        timeoutMs: served.queue.defaultTimeoutMs,
        caller: { tenant: letter.tenant, keyId: undefined, weight: 1 },
        byOperator: true,
        idempotencyKey: `dead ${entryId}`,
        share: false,
        cacheTtlMs: 0,
        retryOf: letter.predictions[0],
      });
      if (outcome.kind === 'admitted') await this.drop(model, [entryId]);
      return outcome;
    },

    /** Deletes entries. Returns how many existed. */
    async drop(model: string, entryIds: string[]): Promise<number> {
      return (await callRedis(() =>
        runStep(redis, 'delete-dead-letters', modelKeys(prefix, model), entryIds),
      )) as number;
    },
  };
}
