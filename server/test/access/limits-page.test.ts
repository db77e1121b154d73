import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_LABELS, STORED_LABELS } from '@inferql/queue/contract';
import { MAX_OUTPUT_BYTES, MAX_OUTPUTS, MAX_RESULT_LENGTH } from '@inferql/queue/outputs';
import type { Setting } from '@inferql/settings/define-settings';
import { formatBytes } from '@inferql/settings/format-bytes';
import { settings } from '@inferql/settings/settings';
import { expect, test } from 'vitest';
import { MAX_SMALL_CHUNKS, MIN_CHUNK_BYTES } from '../../http/connections/chunk-limit.ts';
import { MAX_PIPELINED_REQUESTS } from '../../http/connections/pipelining.ts';
import { BODY_SILENCE_MS, BODY_WINDOW_MS, MIN_BODY_BYTES_PER_SECOND } from '../../http/connections/slow-bodies.ts';
import { DOCUMENT_CACHE_BYTES, MAX_DOCUMENT_BYTES } from '../../http/operations/document-cache.ts';
import { MAX_MESSAGES_AT_ONCE, MAX_UNSENT_BYTES } from '../../http/web-socket/web-socket-limits.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/limits.md'), 'utf8');

function rowOf(what: string): string {
  const row = page.split('\n').find((line) => line.startsWith(`| ${what} |`));
  if (!row) throw new Error(`no row '${what}'`);
  return row;
}

test('docs/limits.md gives the defaults of the settings that it names', () => {
  const named = [...page.matchAll(/([\d.,]*\d(?: \w+)?) \(`(INFERQL_[A-Z_]+)`\)/g)];
  expect(named.length).toBeGreaterThan(10);
  for (const [, amount, name] of named) {
    const setting = Object.values<Setting>(settings).find((each) => each.name === name);
    const value = setting?.default as number;
    const text = setting?.unit === 'bytes' ? formatBytes(value) : value.toLocaleString('en-US');
    expect([name, amount]).toEqual([name, text]);
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
    `at least ${formatBytes(MIN_BODY_BYTES_PER_SECOND)} per second, over ${BODY_WINDOW_MS === 60_000 ? 'a minute' : '?'}; no limit on the total`,
  ],
  [
    'chunks of a chunked body',
    `${MAX_SMALL_CHUNKS.toLocaleString('en-US')}, or any number of at least ${MIN_CHUNK_BYTES} bytes on average`,
  ],
  ['messages of one WebSocket that are handled at once, without open subscriptions', `${MAX_MESSAGES_AT_ONCE}`],
  ['unsent answers on one WebSocket', formatBytes(MAX_UNSENT_BYTES)],
  [
    'cached parsed documents',
    `${formatBytes(DOCUMENT_CACHE_BYTES)} together, ${formatBytes(MAX_DOCUMENT_BYTES)} each, 1,000`,
  ],
  [
    'labels',
    `${STORED_LABELS}, or as many as its request asks for, at most ${MAX_LABELS.toLocaleString('en-US')}; as many per head`,
  ],
  ['outputs besides labels', `${MAX_OUTPUTS}`],
  ['embeddings and tensors together', `${formatBytes(MAX_OUTPUT_BYTES)}, a third more as base64`],
  ['a result with outputs or `extra`', `${formatBytes(MAX_RESULT_LENGTH)} of JSON`],
])('docs/limits.md gives the bound of %s', (what, bound) => {
  expect(rowOf(what).split(' | ')[1]).toBe(bound);
});
