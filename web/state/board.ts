import type { Prediction } from '@inferql/client';
import type { Api } from './api.ts';
import { makeSmallCopy } from './browser-images.ts';
import { type Card, hasEnded } from './card.ts';
import type { SmallCopy } from './image.worker.ts';
import { readProblem } from './problem.ts';
import { createThrottle } from './throttle.ts';
import { keepThumbnail, readThumbnail } from './thumbnails.ts';
import { uploadImage } from './upload.ts';

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
  /** Reads all outputs of a result, which may be large: cards show their names. */
  readOutputs(key: string): void;
  /** Shows a label's heatmap over the image, or hides it. */
  toggleHeatmap(key: string, index: number): void;
}

/** When the queue moves, each of hundreds of cards gets an event: they are rendered together. */
const MIN_NOTIFY_INTERVAL_MS = 40;

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
export function createBoard({ client }: Api): Board {
  const listeners = new Set<() => void>();
  const sources = new Map<string, Source>();
  let cards: readonly Card[] = [];
  let count = 0;

  const notify = createThrottle(() => {
    for (const listener of listeners) listener();
  }, MIN_NOTIFY_INTERVAL_MS);
  const setCards = (next: readonly Card[]) => {
    cards = next;
    notify();
  };
  const onChange = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const update = (key: string, change: Partial<Card>) =>
    setCards(cards.map((card) => (card.key === key ? stampEnd({ ...card, ...change }) : card)));
  const find = (key: string) => cards.find((card) => card.key === key);
  const nextKey = () => `card-${++count}`;

  const watch = async (key: string, id: string, signal: AbortSignal) => {
    try {
      for await (const prediction of client.watch(id, { outputs: 'summary', signal })) update(key, { prediction });
    } catch (error) {
      if (!signal.aborted) update(key, { phase: { kind: 'refused', problem: readProblem(error) } });
    }
  };

  const send = async (key: string, file: File, model: string | undefined, signal: AbortSignal) => {
    // An aborted request may still report something.
    const change = (changed: Partial<Card>) => !signal.aborted && update(key, changed);
    const outcome = await uploadImage(
      client,
      { file, model },
      {
        onProgress: (sent) => {
          // Each attempt reports 0 at its start and 1 at its end: only progress in between replaces the reason for the delay.
          if (find(key)?.phase.kind !== 'delayed' || (sent > 0 && sent < 1))
            change({ phase: { kind: 'uploading', sent } });
        },
        onDelay: (problem) => change({ phase: { kind: 'delayed', problem } }),
        onFitted: (fitted) => change({ change: fitted }),
      },
      signal,
    );
    if (signal.aborted) return;
    if (outcome.kind === 'refused') return update(key, { phase: { kind: 'refused', problem: outcome.problem } });
    const { prediction } = outcome;
    update(key, { phase: { kind: 'accepted' }, prediction: { ...prediction, ...NOT_ENDED } });
    void watch(key, prediction.id, signal);
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

  /** An unreachable server is asked again, as long as there is something to cancel. */
  const cancelPrediction = async (key: string, id: string) => {
    const isWanted = () => {
      const card = find(key);
      return card?.prediction?.id === id && !hasEnded(card);
    };
    update(key, { isCanceling: true });
    const unwanted = new AbortController();
    const stop = onChange(() => isWanted() || unwanted.abort());
    // The subscription reports the cancellation; if it was refused, it can be requested again.
    await client.cancel(id, { signal: unwanted.signal }).catch(() => {});
    stop();
    if (isWanted()) update(key, { isCanceling: false });
  };

  const readHeatmap = async (id: string, index: number): Promise<Card['heatmap']> => {
    try {
      const prediction = await client.prediction(id, { heatmap: index, retryForMs: 0 });
      const heatmap = prediction?.result?.heatmap;
      if (heatmap?.__typename === 'Heatmap') return { kind: 'shown', index, image: heatmap.image };
      return { kind: 'unavailable', index, message: heatmap?.message ?? 'The server no longer has this heatmap.' };
    } catch (error) {
      return { kind: 'unavailable', index, message: readProblem(error).message };
    }
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
    onChange,

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
      void watch(id, id, stop.signal);
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
      update(key, {
        phase: { kind: 'in-line' },
        change: undefined,
        prediction: undefined,
        heatmap: undefined,
        addedAtMs: Date.now(),
      });
      start(key, source.file, card.model, source.stop);
    },

    remove(key) {
      drop(cards.filter((card) => card.key === key));
    },

    removeEnded() {
      drop(cards.filter(hasEnded));
    },

    readOutputs(key) {
      const card = find(key);
      if (card?.prediction?.status !== 'SUCCEEDED') return;
      void client.prediction(card.prediction.id, { outputs: true }).then(
        (prediction) => prediction && update(key, { prediction }),
        // The card shows what it has.
        () => undefined,
      );
    },

    toggleHeatmap(key, index) {
      const card = find(key);
      const id = card?.prediction?.id;
      if (!card || !id) return;
      if (card.heatmap?.index === index) return update(key, { heatmap: undefined });
      update(key, { heatmap: { kind: 'loading', index } });
      void readHeatmap(id, index).then((heatmap) => {
        // Another label may have been chosen meanwhile.
        if (find(key)?.heatmap?.index === index) update(key, { heatmap });
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
    change: undefined,
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
