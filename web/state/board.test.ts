import { InferqlError, type Prediction } from '@inferql/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Api } from './api.ts';
import { Board } from './board.ts';
import { hasEnded } from './card.ts';
import { describeCard } from './card-texts.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A server that reports the state of a prediction only when the test says so. */
function serve() {
  let report = (_state: Partial<Prediction>) => {};
  const state = new Promise<Prediction>((resolve) => {
    report = (fields) => resolve(fields as Prediction);
  });
  const client = {
    async *watch() {
      yield await state;
    },
    cancel: vi.fn(async () => null),
    submit: () => new Promise(() => {}),
    limits: () => new Promise(() => {}),
  };
  const copy = { shown: new Blob(['small']), kept: 'data:image/webp,' };
  const board = new Board({ client } as unknown as Api, async () => copy);
  return { board, cancel: client.cancel, report };
}

test('an opened prediction is canceled on the server before its first state has arrived', async () => {
  const { board, cancel, report } = serve();
  board.open('resnet50.a', 'cat.jpg');
  board.cancel('resnet50.a');
  expect(cancel).toHaveBeenCalledWith('resnet50.a', expect.anything());
  expect(board.getCards()[0]).toMatchObject({ phase: { kind: 'accepted' }, isCanceling: true });
  report({ id: 'resnet50.a', status: 'CANCELED' });
  await vi.advanceTimersByTimeAsync(0);
  expect(board.getCards()[0]).toMatchObject({ prediction: { status: 'CANCELED' }, isCanceling: false });
});

test("an image's URL is valid until its cards show the one that replaces it", async () => {
  const { board } = serve();
  const shown = () => board.getCards()[0]?.photoUrl;
  const events: string[] = [];
  vi.spyOn(URL, 'revokeObjectURL').mockImplementation((url) => void events.push(`revoke ${url}`));
  board.onChange(() => events.push(`show ${shown()}`));
  board.add([new File(['photo'], 'cat.jpg')], undefined);
  const first = shown();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(shown()).not.toBe(first);
  expect(events.indexOf(`revoke ${first}`)).toBeGreaterThan(events.indexOf(`show ${shown()}`));
  expect(events).not.toContain(`revoke ${shown()}`);
});

test('with another key, what the previous one was refused for goes on, and nothing else', async () => {
  const refusal = new InferqlError('UNAUTHENTICATED', 'The API key was revoked.');
  let isAccepted = false;
  const state = (id: string) => ({ id, status: 'QUEUED' }) as Prediction;
  const client = {
    async *watch(id: string) {
      yield state(id);
      if (!isAccepted) throw refusal;
      await new Promise(() => {});
    },
    async submit(image: File) {
      if (image.name === 'text.png') throw new InferqlError('UNSUPPORTED_FORMAT', 'no');
      if (!isAccepted) throw refusal;
      return state('resnet50.b');
    },
    limits: () => new Promise(() => {}),
  };
  const board = new Board({ client } as unknown as Api, async () => undefined);
  board.open('resnet50.a', 'a.png');
  board.add([new File(['photo'], 'b.png'), new File(['text'], 'text.png')], undefined);
  const read = () => board.getCards().map(({ name, phase, prediction }) => [name, phase.kind, prediction?.id]);
  await vi.waitFor(() =>
    expect(read()).toEqual([
      ['b.png', 'refused', undefined],
      ['text.png', 'refused', undefined],
      ['a.png', 'refused', 'resnet50.a'],
    ]),
  );
  isAccepted = true;
  board.resume();
  await vi.waitFor(() =>
    expect(read()).toEqual([
      ['b.png', 'accepted', 'resnet50.b'],
      ['text.png', 'refused', undefined],
      ['a.png', 'accepted', 'resnet50.a'],
    ]),
  );
});

test('with another key, running predictions are followed again, after all subscriptions with the previous one have ended', async () => {
  const events: string[] = [];
  const client = {
    async *watch(id: string, { signal }: { signal: AbortSignal }) {
      events.push(`follow ${id}`);
      signal.addEventListener('abort', () => events.push(`end ${id}`));
      yield { id, status: id === 'resnet50.done' ? 'SUCCEEDED' : 'QUEUED' } as Prediction;
      await new Promise(() => {});
    },
  };
  const board = new Board({ client } as unknown as Api, async () => undefined);
  for (const id of ['resnet50.done', 'resnet50.a', 'resnet50.b']) board.open(id);
  await vi.waitFor(() => expect(board.getCards().every(({ prediction }) => prediction)).toBe(true));
  events.length = 0;
  board.resume();
  expect(events).toEqual(['end resnet50.a', 'end resnet50.b', 'follow resnet50.a', 'follow resnet50.b']);
});

test('an image that is refused after the key was replaced is sent with the new one', async () => {
  let refuse = () => {};
  const refusal = new Promise<never>((_resolve, reject) => {
    refuse = () => reject(new InferqlError('UNAUTHENTICATED', 'The API key was revoked.'));
  });
  const submit = vi.fn(async () => ({ id: 'resnet50.a', status: 'QUEUED' }) as Prediction);
  submit.mockImplementationOnce(() => refusal);
  const client = {
    submit,
    watch: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
  };
  const board = new Board({ client } as unknown as Api, async () => undefined);
  board.add([new File(['photo'], 'a.png')], undefined);
  await vi.waitFor(() => expect(submit).toHaveBeenCalledTimes(1));
  board.resume();
  refuse();
  await vi.waitFor(() => expect(board.getCards()).toMatchObject([{ prediction: { id: 'resnet50.a' } }]));
});

test('a shared result that has not arrived yet does not count as a result without labels', async () => {
  const client = {
    watch: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
    submit: async () => ({ id: 'resnet50.a', status: 'SUCCEEDED', attempts: 1 }),
  };
  const board = new Board({ client } as unknown as Api, async () => undefined);
  board.add([new File(['photo'], 'a.png')], undefined);
  await vi.waitFor(() => expect(board.getCards()[0]).toMatchObject({ phase: { kind: 'accepted' } }));
  const card = board.getCards()[0]!;
  expect(describeCard(card)).toEqual({ title: 'Analyzing', tone: 'busy' });
  expect(hasEnded(card)).toBe(false);
});
