import { afterEach, expect, test, vi } from 'vitest';
import type { Api } from './api.ts';
import { Board } from './board.ts';
import { keepSession } from './session.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

test('a prediction is opened again after reloads, even if the page is left before its first state arrives', () => {
  const kept = new Map([['inferql.session', JSON.stringify([{ id: 'resnet50.a', name: 'cat.jpg' }])]]);
  vi.stubGlobal('sessionStorage', {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
  });
  const listeners: Record<string, () => void> = {};
  vi.stubGlobal('addEventListener', (name: string, listener: () => void) => {
    listeners[name] = listener;
  });
  const client = { watch: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }) };
  for (let i = 0; i < 2; i++) {
    const board = new Board({ client } as unknown as Api);
    expect(keepSession(board)).toEqual([]);
    expect(board.getCards()).toMatchObject([{ key: 'resnet50.a', name: 'cat.jpg' }]);
    listeners.pagehide!();
  }
});
