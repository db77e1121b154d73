import { CancelPredictionDocument, FollowPredictionDocument, HeatmapOfLabelDocument } from '../generated/graphql.ts';
import type { Transport } from '../transport/client.ts';
import { followSubscription } from '../transport/follow.ts';
import { isPassing, readProblem } from '../transport/problem.ts';
import { type Card, hasEnded, isTerminal, type Prediction } from './card.ts';
import { createPlaces } from './places.ts';
import { sendPhotograph } from './send.ts';
import type { SmallCopy } from './shrink.worker.ts';
import { createThrottle } from './throttle.ts';
import { keepThumbnail, makeSmallCopy, readThumbnail } from './thumbnails.ts';

/** The images on the page: their states, and the actions on them. */
export interface Board {
  getCards(): readonly Card[];
  /** Calls back after each change. Returns a function that stops that. */
  onChange(listener: () => void): () => void;
  /** Creates a card for each file at once and sends the files, a few at a time. */
  add(files: readonly File[], model: string | undefined): void;
  /**
   * Opens a prediction by its id, from any server. Does nothing if it is already on the board.
   * @param name the file's name, if known
   */
  open(id: string, name?: string): void;
  /** Stops sending, or cancels the prediction. */
  cancel(key: string): void;
  /** Sends the same image again, as a new prediction. */
  retry(key: string): void;
  remove(key: string): void;
  removeEnded(): void;
  /** Shows a label's heatmap over the image, or hides it. */
  toggleHeatmap(key: string, index: number): void;
}

/** A browser opens six connections per site over HTTP/1.1; some are left for the rest of the page. */
const UPLOADS_AT_ONCE = 4;
/** When the queue moves, each of hundreds of cards gets an event: they are rendered together. */
const MIN_NOTIFY_INTERVAL_MS = 40;
const CANCEL_RETRY_MS = 1_000;

/** Larger files are shown only as small copies: many phone photos fill a browser's memory, and scroll slowly. */
const MAX_SHOWN_BYTES = 500_000;

interface Source {
  file: File | undefined;
  /** Ends the current attempt to send it, and its subscription. */
  stop: AbortController;
  /** The card is gone. */
  removed: AbortController;
  copy: Promise<SmallCopy | undefined>;
}

/** Makes an empty board. */
export function createBoard({ client }: Transport): Board {
  const listeners = new Set<() => void>();
  const sources = new Map<string, Source>();
  const places = createPlaces(UPLOADS_AT_ONCE);
  let cards: readonly Card[] = [];
  let count = 0;

  const notify = createThrottle(() => {
    for (const listener of listeners) listener();
  }, MIN_NOTIFY_INTERVAL_MS);
  const setCards = (next: readonly Card[]) => {
    cards = next;
    notify();
  };
  const update = (key: string, change: Partial<Card>) =>
    setCards(cards.map((card) => (card.key === key ? stampEnd({ ...card, ...change }) : card)));
  const find = (key: string) => cards.find((card) => card.key === key);
  const nextKey = () => `card-${++count}`;

  const follow = (key: string, id: string, signal: AbortSignal) => {
    const stop = followSubscription(
      client,
      FollowPredictionDocument,
      { id },
      {
        onData({ prediction }) {
          if (prediction) update(key, { prediction });
          return prediction ? isTerminal(prediction.status) : false;
        },
        onProblem: (problem) => update(key, { phase: { kind: 'refused', problem } }),
      },
    );
    signal.addEventListener('abort', stop, { once: true });
  };

  const send = async (key: string, file: File, model: string | undefined, signal: AbortSignal) => {
    // A request that is being given up may still report something.
    const setPhase = (phase: Card['phase']) => !signal.aborted && update(key, { phase });
    const outcome = await sendPhotograph(
      client,
      { file, model, idempotencyKey: makeIdempotencyKey() },
      {
        onProgress: (sent) => {
          // Each attempt reports 0 at its start and 1 at its end: only progress in between replaces the reason for the delay.
          if (find(key)?.phase.kind !== 'delayed' || (sent > 0 && sent < 1)) setPhase({ kind: 'uploading', sent });
        },
        onDelay: (problem) => setPhase({ kind: 'delayed', problem }),
      },
      places.take,
      signal,
    );
    if (signal.aborted) return;
    if (outcome.kind === 'refused') return update(key, { phase: { kind: 'refused', problem: outcome.problem } });
    const { prediction } = outcome;
    update(key, { phase: { kind: 'accepted' }, prediction: { ...prediction, ...NOT_ENDED } });
    follow(key, prediction.id, signal);
    void sources.get(key)?.copy.then((copy) => copy && keepThumbnail(prediction.id, copy.kept));
  };

  /** Shows the small copy, once there is one, instead of a large image. */
  const makeCopy = (key: string, file: File, signal: AbortSignal): Promise<SmallCopy | undefined> => {
    const copy = makeSmallCopy(file, signal).catch(() => undefined);
    void copy.then((made) => {
      const card = find(key);
      if (!card || (card.photoUrl && !made?.shown)) return;
      if (card.photoUrl) URL.revokeObjectURL(card.photoUrl);
      update(key, { photoUrl: URL.createObjectURL(made?.shown ?? file), isPhotoComing: false });
    });
    return copy;
  };

  const start = (key: string, file: File, model: string | undefined, stop: AbortController) => {
    send(key, file, model, stop.signal).catch((error: unknown) => {
      if (stop.signal.aborted) return;
      console.error(error);
      update(key, { phase: { kind: 'refused', problem: { code: 'INTERNAL_SERVER_ERROR', message: '' } } });
    });
  };

  /** Asks an unreachable server again, as long as there is something to cancel. */
  const cancelPrediction = async (key: string, id: string) => {
    const isWanted = () => {
      const card = find(key);
      return card?.prediction?.id === id && !hasEnded(card);
    };
    update(key, { isCanceling: true });
    while (isWanted()) {
      const { error } = await client.mutation(CancelPredictionDocument, { id }).toPromise();
      if (!error || !isPassing(readProblem(error))) break;
      await new Promise((resolve) => setTimeout(resolve, readProblem(error).retryAfterMs ?? CANCEL_RETRY_MS));
    }
    // The subscription reports the cancellation; if it was refused, it can be requested again.
    if (isWanted()) update(key, { isCanceling: false });
  };

  const drop = (gone: readonly Card[]) => {
    for (const { key, photoUrl } of gone) {
      sources.get(key)?.stop.abort();
      sources.get(key)?.removed.abort();
      sources.delete(key);
      if (photoUrl?.startsWith('blob:')) URL.revokeObjectURL(photoUrl);
    }
    setCards(cards.filter((card) => !gone.includes(card)));
  };

  return {
    getCards: () => cards,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    add(files, model) {
      const fresh = files.map((file) => {
        const photoUrl = file.size > MAX_SHOWN_BYTES ? undefined : URL.createObjectURL(file);
        const card = makeCard({ key: nextKey(), name: file.name, photoUrl, model, hasFile: true });
        return { file, card: { ...card, isPhotoComing: photoUrl === undefined } };
      });
      setCards([...fresh.map(({ card }) => card), ...cards]);
      for (const { file, card } of fresh) {
        const [stop, removed] = [new AbortController(), new AbortController()];
        sources.set(card.key, { file, stop, removed, copy: makeCopy(card.key, file, removed.signal) });
        start(card.key, file, model, stop);
      }
    },

    open(id, name) {
      if (cards.some(({ prediction, key }) => prediction?.id === id || key === id)) return;
      const [stop, removed] = [new AbortController(), new AbortController()];
      const photoUrl = readThumbnail(id);
      sources.set(id, { file: undefined, stop, removed, copy: Promise.resolve(undefined) });
      setCards([
        ...cards,
        { ...makeCard({ key: id, name, photoUrl, model: undefined, hasFile: false }), phase: { kind: 'accepted' } },
      ]);
      follow(id, id, stop.signal);
    },

    cancel(key) {
      const card = find(key);
      if (!card || hasEnded(card)) return;
      if (card.prediction) {
        if (!card.isCanceling) void cancelPrediction(key, card.prediction.id);
        return;
      }
      update(key, { phase: { kind: 'withdrawn' } });
      sources.get(key)?.stop.abort();
    },

    retry(key) {
      const source = sources.get(key);
      const card = find(key);
      if (!card || !source?.file) return;
      source.stop.abort();
      source.stop = new AbortController();
      update(key, { phase: { kind: 'in-line' }, prediction: undefined, heatmap: undefined, addedAtMs: Date.now() });
      start(key, source.file, card.model, source.stop);
    },

    remove(key) {
      drop(cards.filter((card) => card.key === key));
    },

    removeEnded() {
      drop(cards.filter(hasEnded));
    },

    toggleHeatmap(key, index) {
      const card = find(key);
      const id = card?.prediction?.id;
      if (!card || !id) return;
      if (card.heatmap?.index === index) return update(key, { heatmap: undefined });
      update(key, { heatmap: { kind: 'loading', index } });
      void client
        .query(HeatmapOfLabelDocument, { id, index })
        .toPromise()
        .then(({ data, error }) => {
          // Another label may have been chosen meanwhile.
          if (find(key)?.heatmap?.index !== index) return;
          const heatmap = data?.prediction?.result?.heatmap;
          if (heatmap?.__typename === 'Heatmap') {
            update(key, { heatmap: { kind: 'shown', index, image: heatmap.image } });
          } else {
            const message = heatmap?.message ?? (error && readProblem(error).message) ?? 'The server no longer has it.';
            update(key, { heatmap: { kind: 'unavailable', index, message } });
          }
        });
    },
  };
}

const NOT_ENDED: Pick<Prediction, 'finishedAt' | 'error' | 'timings' | 'result'> = {
  finishedAt: null,
  error: null,
  timings: null,
  result: null,
};

function makeCard(known: Pick<Card, 'key' | 'name' | 'photoUrl' | 'model' | 'hasFile'>): Card {
  return {
    ...known,
    isPhotoComing: false,
    phase: { kind: 'in-line' },
    prediction: undefined,
    heatmap: undefined,
    addedAtMs: Date.now(),
    endedAtMs: undefined,
    isCanceling: false,
  };
}

function stampEnd(card: Card): Card {
  if (!hasEnded(card)) return { ...card, endedAtMs: undefined };
  return { ...card, endedAtMs: card.endedAtMs ?? Date.now(), isCanceling: false };
}

/** `crypto.randomUUID` exists only on pages with a secure origin. */
function makeIdempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
