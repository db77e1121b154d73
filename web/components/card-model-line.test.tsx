import { renderToStaticMarkup } from 'react-dom/server';
import { beforeEach, expect, test, vi } from 'vitest';
import type { Card } from '../state/card.ts';
import { describeProblem } from '../state/card-texts.ts';
import { CardModelLine } from './card-model-line.tsx';

// As in a page that is not secure.
beforeEach(() => void vi.stubGlobal('navigator', {}));

/** What a card's line about the model says, without its links. */
function lineOf(prediction: object | undefined): string {
  const card = { prediction: prediction && { id: 'resnet50.a', model: 'resnet50', ...prediction } } as Card;
  const html = renderToStaticMarkup(<CardModelLine card={card} model="resnet50" alone goTo={() => undefined} />);
  return /<p[^>]*>([^<]*)</.exec(html)![1]!;
}

test('a card names its model from the start, and says in plain words how it ran', () => {
  expect(lineOf(undefined)).toBe('resnet50');
  expect(lineOf({ status: 'QUEUED' })).toBe('resnet50');
  const done = { status: 'SUCCEEDED', timings: { totalMs: 1_500 }, cached: false };
  expect(lineOf({ ...done, batchSize: 1 })).toBe('resnet50 · in 1.5 s · not batched');
  expect(lineOf({ ...done, batchSize: 8 })).toBe('resnet50 · in 1.5 s · batch of 8');
  expect(lineOf({ ...done, cached: true })).toBe('resnet50 · shared result');
});

test('of a file that is too large, the card says which size is allowed', () => {
  const message = 'The file is larger than 10 MB.';
  expect(describeProblem({ code: 'TOO_LARGE', message })).toEqual({ title: 'This file is too large', detail: message });
});
