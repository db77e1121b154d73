import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Framework } from './framework.ts';

const listsSchema = z.record(z.string(), z.object({ models: z.array(z.string()), forms: z.array(z.string()) }));

/** The models and forms of each framework's version, measured or not. */
export type ModelLists = z.infer<typeof listsSchema>;

/** None if there is no such file. */
export function readLists(file: string): ModelLists {
  return existsSync(file) ? listsSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) : {};
}

/** Keeps what a framework lists, from small to large. */
export function listModels(file: string, { versions, models, forms }: Framework): void {
  const lists = { ...readLists(file), [versions]: { models: models.map(({ name }) => name), forms } };
  writeFileSync(file, `${JSON.stringify(lists, null, 2)}\n`);
}
