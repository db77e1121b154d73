import { InferqlError } from '@inferql/client';
import { afterEach, expect, test, vi } from 'vitest';
import type { Api } from './api.ts';
import { Board } from './board.ts';
import { keepSession } from './session.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

type Listeners = Record<string, (event: { preventDefault(): void }) => void>;

/** A tab whose storage has these predictions. Returns the page's listeners by event. */
function openTab(predictions: readonly { id: string; name: string }[] = []): Listeners {
  const kept = new Map([['inferql.session', JSON.stringify(predictions)]]);
  vi.stubGlobal('sessionStorage', {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
  });
  const listeners: Listeners = {};
  vi.stubGlobal('addEventListener', (name: string, listener: () => void) => {
    listeners[name] = listener;
  });
  return listeners;
}

const leave = { preventDefault: () => undefined };

test('a prediction is opened again after reloads, even if the page is left before its first state arrives', () => {
  const listeners = openTab([{ id: 'resnet50.a', name: 'cat.jpg' }]);
  const client = { watch: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }) };
  for (let i = 0; i < 2; i++) {
    const board = new Board({ client } as unknown as Api);
    expect(keepSession(board)).toEqual([]);
    expect(board.getCards()).toMatchObject([{ key: 'resnet50.a', name: 'cat.jpg' }]);
    listeners.pagehide!(leave);
  }
});

test.each([
  ['UNAUTHENTICATED', ['resnet50.a']],
  ['NOT_FOUND', []],
] as const)(
  'after a reload, a prediction that ended with %s before its first state is on the board as %j',
  async (code, ids) => {
    const listeners = openTab([{ id: 'resnet50.a', name: 'cat.jpg' }]);
    const refuse = async () => {
      throw new InferqlError(code, 'no');
    };
    const client = { watch: () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }) };
    const board = new Board({ client } as unknown as Api);
    keepSession(board);
    await vi.waitFor(() => expect(board.getCards()).toMatchObject([{ phase: { kind: 'refused' } }]));
    listeners.pagehide!(leave);
    const next = new Board({ client } as unknown as Api);
    keepSession(next);
    expect(next.getCards().map(({ key }) => key)).toEqual(ids);
  },
);

test('an image that was refused because of the key is named after a reload, because it was not sent', async () => {
  const listeners = openTab();
  const submit = async (image: File) => {
    throw new InferqlError(image.name === 'a.png' ? 'UNAUTHENTICATED' : 'CORRUPT', 'no');
  };
  const board = new Board({ client: { submit } } as unknown as Api, async () => undefined);
  keepSession(board);
  board.add([new File(['photo'], 'a.png'), new File(['photo'], 'b.png')], undefined);
  await vi.waitFor(() => expect(board.getCards().every(({ phase }) => phase.kind === 'refused')).toBe(true));
  const event = { preventDefault: vi.fn() };
  listeners.beforeunload!(event);
  expect(event.preventDefault).toHaveBeenCalled();
  listeners.pagehide!(event);
  expect(keepSession(new Board({ client: { submit } } as unknown as Api))).toEqual(['a.png']);
});
