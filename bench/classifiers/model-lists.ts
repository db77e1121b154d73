import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import * as z from 'zod';
import type { Framework } from './framework.ts';

const listSchema = z.object({ versions: z.string(), forms: z.array(z.string()), models: z.array(z.string()) });

/** The models of a framework's version, from small to large, and the forms that its exporters write; measured or not. */
export type ModelList = z.infer<typeof listSchema>;

/** Lists of a file, a line of JSON each; none if there is no such file. */
export function readLists(file: string): ModelList[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => listSchema.parse(JSON.parse(line)));
}

/** Keeps what a framework lists. */
export function listModels(file: string, { versions, forms, models }: Framework): void {
  const others = readLists(file).filter((list) => list.versions !== versions);
  const lists = [...others, { versions, forms, models: models.map(({ name }) => name) }];
  lists.sort((a, b) => a.versions.localeCompare(b.versions, 'en'));
  writeFileSync(file, lists.map((list) => `${JSON.stringify(list)}\n`).join(''));
}
