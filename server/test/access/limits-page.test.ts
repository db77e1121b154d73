import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_LABELS, STORED_LABELS } from '@inferql/queue/contract';
import { MAX_OUTPUT_BYTES, MAX_OUTPUTS, MAX_RESULT_LENGTH } from '@inferql/queue/outputs';
import type { Setting } from '@inferql/settings/define-settings';
import { settings } from '@inferql/settings/settings';
import { expect, test } from 'vitest';
import { MAX_SMALL_CHUNKS, MIN_CHUNK_BYTES } from '../../http/connections/chunk-limit.ts';
import { MAX_PIPELINED_REQUESTS } from '../../http/connections/pipelining.ts';
import { BODY_SILENCE_MS, BODY_WINDOW_MS, MIN_BODY_BYTES_PER_SECOND } from '../../http/connections/slow-bodies.ts';
import { DOCUMENT_CACHE_BYTES, MAX_DOCUMENT_BYTES } from '../../http/operations/document-cache.ts';
import { MAX_MESSAGES_AT_ONCE, MAX_UNSENT_BYTES } from '../../http/web-socket/web-socket-limits.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/limits.md'), 'utf8');
const UNITS = { '': 1, ' KB': 1024, ' MB': 1024 ** 2 };

function rowOf(what: string): string {
  const row = page.split('\n').find((line) => line.startsWith(`| ${what} |`));
  if (!row) throw new Error(`no row '${what}'`);
  return row;
}

test('docs/limits.md gives the defaults of the settings that it names', () => {
  const named = [...page.matchAll(/([\d.,]*\d)( KB| MB|) \(`(INFERQL_[A-Z_]+)`\)/g)];
  expect(named.length).toBeGreaterThan(8);
  for (const [, amount, unit, name] of named) {
    const setting = Object.values<Setting>(settings).find((each) => each.name === name);
    const value = Number(amount!.replaceAll(',', '')) * UNITS[unit as keyof typeof UNITS];
    expect([name, value]).toEqual([name, setting?.default]);
  }
  const { maxTokens, maxDepth, maxAliases, maxCost } = settings;
  const defaults = [maxTokens, maxDepth, maxAliases, maxCost].map((setting) => setting.default.toLocaleString('en-US'));
  expect(rowOf('tokens, nesting, aliases, cost')).toContain(`| ${defaults.join(', ')} (`);
});

test.each<[what: string, bound: string]>([
  ['requests that wait behind it (pipelining)', `${MAX_PIPELINED_REQUESTS}`],
  ['silence in a body', `${BODY_SILENCE_MS / 1000} s`],
  [
    'rate of a body',
    `at least ${MIN_BODY_BYTES_PER_SECOND / 1024} KB per second, over ${BODY_WINDOW_MS === 60_000 ? 'a minute' : '?'}; no limit on the total`,
  ],
  [
    'chunks of a chunked body',
    `${MAX_SMALL_CHUNKS.toLocaleString('en-US')}, or any number of at least ${MIN_CHUNK_BYTES} bytes on average`,
  ],
  ['messages of one WebSocket that are handled at once, without open subscriptions', `${MAX_MESSAGES_AT_ONCE}`],
  ['unsent answers on one WebSocket', `${MAX_UNSENT_BYTES / 1024 ** 2} MB`],
  [
    'cached parsed documents',
    `${DOCUMENT_CACHE_BYTES / 1024 ** 2} MB together, ${MAX_DOCUMENT_BYTES / 1024} KB each, 1,000`,
  ],
  [
    'labels',
    `${STORED_LABELS}, or as many as its request asks for, at most ${MAX_LABELS.toLocaleString('en-US')}; as many per head`,
  ],
  ['outputs besides labels', `${MAX_OUTPUTS}`],
  ['embeddings and tensors together', `${MAX_OUTPUT_BYTES / 1024} KB, a third more as base64`],
  ['a result with outputs or `extra`', `${MAX_RESULT_LENGTH / 1024} KB of JSON`],
])('docs/limits.md gives the bound of %s', (what, bound) => {
  expect(rowOf(what).split(' | ')[1]).toBe(bound);
});
