/**
 * The ledger: a separate process that records every id that a client was given and every state that a client saw, and in the
 * end asks each server for each id. It shares no code with what it judges.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createLedger } from './ledger.ts';
import type { LedgerRequest, Sighting } from './protocol.ts';

/** Below the servers' limit of aliases in a query. */
const IDS_AT_ONCE = 25;

const book = createLedger();

interface Answer {
  id: string;
  status: string;
  attempts: number;
  error: { code: string } | null;
  result: { labels: { index: number }[] } | null;
}

async function ask(url: string, ids: string[], key: string | undefined): Promise<void> {
  const fields = 'id status attempts error { code } result { labels(topK: 1) { index } }';
  const parameters = ids.map((_, i) => `$i${i}: ID!`).join(', ');
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}) },
    body: JSON.stringify({
      query: `query (${parameters}) { ${ids.map((_, i) => `p${i}: prediction(id: $i${i}) { ${fields} }`).join(' ')} }`,
      variables: Object.fromEntries(ids.map((id, i) => [`i${i}`, id])),
    }),
    signal: AbortSignal.timeout(10_000),
  });
  const { data } = (await response.json()) as { data?: Record<string, Answer | null> | null };
  ids.forEach((id, i) => {
    const answer = data?.[`p${i}`];
    const sighting: Sighting | null = answer
      ? {
          id,
          status: answer.status,
          attempts: answer.attempts,
          best: answer.result?.labels[0]?.index,
          errorCode: answer.error?.code,
        }
      : null;
    book.confirm(url, id, sighting);
  });
}

async function askAll(url: string, deadlineMs: number, keys: (string | undefined)[]): Promise<void> {
  for (let turn = 0; ; turn++) {
    const open = book.unconfirmed(url);
    if (open.length === 0 || Date.now() > deadlineMs) return;
    for (let from = 0; from < open.length; from += IDS_AT_ONCE) {
      // A server that does not answer is asked again, until the deadline.
      await ask(url, open.slice(from, from + IDS_AT_ONCE), keys[turn % keys.length]).catch(() => undefined);
    }
    await delay(100);
  }
}

process.on('message', async (request: LedgerRequest) => {
  switch (request.type) {
    case 'answered':
      return book.answer(request.id, request.expected);
    case 'seen':
      return book.see(request.watch, request);
    case 'completed':
      return book.complete(request.watch);
    case 'judge': {
      const deadlineMs = Date.now() + request.timeoutMs;
      const keys = request.keys.length > 0 ? request.keys : [undefined];
      await Promise.all(request.urls.map((url) => askAll(url, deadlineMs, keys)));
      process.send!(book.judge(request.urls));
      return;
    }
    default:
      return request satisfies never;
  }
});
process.once('disconnect', () => process.exit(0));
process.send!({ type: 'ready' });
