import type { Prediction } from '@inferql/client';
import type { Api } from './api.ts';
import { makeSmallCopy } from './browser-images.ts';
import { type Card, hasEnded, isRefusedByKey, isTerminal, makeCard, predictionIdOf, stampEnd } from './card.ts';
import { readProblem } from './request-problem.ts';
import type { SmallCopy } from './shrink-image.worker.ts';
import { createThrottle } from './throttle.ts';
import { keepThumbnail, readThumbnail } from './thumbnails.ts';
import { uploadImage } from './upload.ts';

/** When the queue moves, each of hundreds of cards gets an event: they are rendered together. */
const MIN_NOTIFY_INTERVAL_MS = 40;

/** Larger files are shown only as small copies: many phone photos fill a browser's memory, and scroll slowly. */
const MAX_SHOWN_BYTES = 500_000;

type MakeCopy = (file: File, signal: AbortSignal) => Promise<SmallCopy | undefined>;

interface Source {
  file: File | undefined;
  /** Ends the current attempt to send it, and its subscription. */
  stop: AbortController;
  /** The card is gone. */
  removed: AbortController;
  copy: Promise<SmallCopy | undefined>;
}

/** The images on the page: their states, and the actions on them. Begins empty. */
export class Board {
  readonly #client: Api['client'];
  readonly #makeCopy: MakeCopy;
  readonly #listeners = new Set<() => void>();
  readonly #sources = new Map<string, Source>();
  #cards: readonly Card[] = [];
  #count = 0;
  #keyChanges = 0;
  /** Still shown until the next notification. */
  readonly #replacedUrls: string[] = [];

  /** @param makeCopy makes the small copy of a file */
  constructor({ client }: Api, makeCopy: MakeCopy = makeSmallCopy) {
    this.#client = client;
    this.#makeCopy = makeCopy;
  }

  readonly getCards = (): readonly Card[] => this.#cards;

  /** Calls back after each change. Returns a function that stops that. */
  readonly onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Creates a card for each file at once and sends the files, a few at a time. */
  add(files: readonly File[], model: string | undefined): void {
    const fresh = files.map((file) => {
      const photoUrl = file.size > MAX_SHOWN_BYTES ? undefined : URL.createObjectURL(file);
      const card = makeCard({ key: `card-${++this.#count}`, name: file.name, photoUrl, model, hasFile: true });
      return { file, card: { ...card, isPhotoComing: photoUrl === undefined } };
    });
    this.#setCards([...fresh.map(({ card }) => card), ...this.#cards]);
    for (const { file, card } of fresh) {
      const [stop, removed] = [new AbortController(), new AbortController()];
      this.#sources.set(card.key, { file, stop, removed, copy: this.#showCopy(card.key, file, removed.signal) });
      this.#start(card.key, file, model, stop);
    }
  }

  /**
   * Opens a prediction by its id, from any server. Does nothing if it is already on the board.
   * @param name the file's name, if known
   */
  open(id: string, name?: string): void {
    if (this.#cards.some(({ prediction, key }) => prediction?.id === id || key === id)) return;
    const [stop, removed] = [new AbortController(), new AbortController()];
    const photoUrl = readThumbnail(id);
    this.#sources.set(id, { file: undefined, stop, removed, copy: Promise.resolve(undefined) });
    this.#setCards([
      ...this.#cards,
      { ...makeCard({ key: id, name, photoUrl, model: undefined, hasFile: false }), phase: { kind: 'accepted' } },
    ]);
    void this.#watch(id, id, stop.signal);
  }

  /** Stops sending, or cancels the prediction. */
  cancel(key: string): void {
    const card = this.#find(key);
    if (!card || hasEnded(card)) return;
    const id = predictionIdOf(card);
    if (id !== undefined) {
      if (!card.isCanceling) void this.#cancelPrediction(key, id);
      return;
    }
    this.#update(key, { phase: { kind: 'withdrawn' } });
    this.#sources.get(key)?.stop.abort();
  }

  /** Sends the same image again, as a new prediction. */
  retry(key: string): void {
    const source = this.#sources.get(key);
    const card = this.#find(key);
    if (!card || !source?.file) return;
    source.stop.abort();
    source.stop = new AbortController();
    this.#update(key, {
      phase: { kind: 'in-line' },
      change: undefined,
      prediction: undefined,
      heatmap: undefined,
      addedAtMs: Date.now(),
    });
    this.#start(key, source.file, card.model, source.stop);
  }

  /** With another key: sends the images that the server refused because of the previous one, and follows all predictions again. */
  resume(): void {
    this.#keyChanges++;
    const refused = this.#cards.filter(isRefusedByKey);
    const followed = this.#cards.filter((card) => card.phase.kind === 'accepted' && !hasEnded(card));
    // All end before the first begins: the connection keeps its key as long as something is subscribed.
    for (const { key } of followed) this.#sources.get(key)?.stop.abort();
    for (const card of [...refused, ...followed]) {
      const { key } = card;
      const id = predictionIdOf(card);
      const source = this.#sources.get(key);
      if (id === undefined) this.retry(key);
      else if (source) {
        source.stop = new AbortController();
        this.#update(key, { phase: { kind: 'accepted' } });
        void this.#watch(key, id, source.stop.signal);
      }
    }
  }

  remove(key: string): void {
    this.#drop(this.#cards.filter((card) => card.key === key));
  }

  removeEnded(): void {
    this.#drop(this.#cards.filter(hasEnded));
  }

  /** Reads all outputs of a result, which may be large: cards show their names. */
  readOutputs(key: string): void {
    const card = this.#find(key);
    if (card?.prediction?.status !== 'SUCCEEDED') return;
    void this.#client.prediction(card.prediction.id, { outputs: true }).then(
      (prediction) => prediction && this.#update(key, { prediction }),
      // The card shows what it has.
      () => undefined,
    );
  }

  /** Shows a label's heatmap over the image, or hides it. */
  toggleHeatmap(key: string, index: number): void {
    const card = this.#find(key);
    const id = card?.prediction?.id;
    if (!card || !id) return;
    if (card.heatmap?.index === index) {
      this.#update(key, { heatmap: undefined });
      return;
    }
    this.#update(key, { heatmap: { kind: 'loading', index } });
    void this.#readHeatmap(id, index).then((heatmap) => {
      // Another label may have been chosen meanwhile.
      if (this.#find(key)?.heatmap?.index === index) this.#update(key, { heatmap });
    });
  }

  #start(key: string, file: File, model: string | undefined, stop: AbortController): void {
    this.#send(key, file, model, stop.signal).catch((error: unknown) => {
      if (stop.signal.aborted) return;
      console.error(error);
      this.#update(key, { phase: { kind: 'refused', problem: { code: 'INTERNAL_SERVER_ERROR', message: '' } } });
    });
  }

  async #send(key: string, file: File, model: string | undefined, signal: AbortSignal): Promise<void> {
    const keyChanges = this.#keyChanges;
    // An aborted request may still report something.
    const change = (changed: Partial<Card>) => !signal.aborted && this.#update(key, changed);
    const outcome = await uploadImage(
      this.#client,
      { file, model },
      {
        onProgress: (sent) => {
          // Each attempt reports 0 at its start and 1 at its end: only progress in between replaces the reason for the delay.
          if (this.#find(key)?.phase.kind !== 'delayed' || (sent > 0 && sent < 1))
            change({ phase: { kind: 'uploading', sent } });
        },
        onDelay: (problem) => change({ phase: { kind: 'delayed', problem } }),
        onFitted: (fitted) => change({ change: fitted }),
      },
      signal,
    );
    if (signal.aborted) return;
    if (outcome.kind === 'refused') {
      this.#update(key, { phase: { kind: 'refused', problem: outcome.problem } });
      // It was on its way when the key was replaced.
      if (keyChanges !== this.#keyChanges && this.#cards.some((card) => card.key === key && isRefusedByKey(card)))
        this.retry(key);
      return;
    }
    const { prediction } = outcome;
    // The first event brings a result that was known already.
    const status = isTerminal(prediction.status) ? 'PROCESSING' : prediction.status;
    this.#update(key, { phase: { kind: 'accepted' }, prediction: { ...prediction, status, ...NOT_ENDED } });
    void this.#watch(key, prediction.id, signal);
    void this.#sources.get(key)?.copy.then((copy) => copy && keepThumbnail(prediction.id, copy.kept));
  }

  async #watch(key: string, id: string, signal: AbortSignal): Promise<void> {
    try {
      const states = this.#client.watch(id, { outputs: 'summary', signal });
      for await (const prediction of states) this.#update(key, { prediction });
    } catch (error) {
      if (!signal.aborted) this.#update(key, { phase: { kind: 'refused', problem: readProblem(error) } });
    }
  }

  /** Makes the small copy, and shows it instead of a large image once there is one. */
  #showCopy(key: string, file: File, signal: AbortSignal): Promise<SmallCopy | undefined> {
    const copy = this.#makeCopy(file, signal).catch(() => undefined);
    void copy.then((made) => {
      const card = this.#find(key);
      if (!card || (card.photoUrl && !made?.shown)) return;
      if (card.photoUrl) this.#replacedUrls.push(card.photoUrl);
      this.#update(key, { photoUrl: URL.createObjectURL(made?.shown ?? file), isPhotoComing: false });
    });
    return copy;
  }

  /** An unreachable server is asked again, as long as there is something to cancel. */
  async #cancelPrediction(key: string, id: string): Promise<void> {
    const isWanted = () => {
      const card = this.#find(key);
      return card !== undefined && predictionIdOf(card) === id && !hasEnded(card);
    };
    this.#update(key, { isCanceling: true });
    const unwanted = new AbortController();
    const stop = this.onChange(() => isWanted() || unwanted.abort());
    // The subscription reports the cancellation; if it was refused, it can be requested again.
    await this.#client.cancel(id, { signal: unwanted.signal }).catch(() => {});
    stop();
    if (isWanted()) this.#update(key, { isCanceling: false });
  }

  async #readHeatmap(id: string, index: number): Promise<Card['heatmap']> {
    try {
      const prediction = await this.#client.prediction(id, { heatmap: index, retryForMs: 0 });
      const heatmap = prediction?.result?.heatmap;
      if (heatmap?.__typename === 'Heatmap') return { kind: 'shown', index, image: heatmap.image };
      return { kind: 'unavailable', index, message: heatmap?.message ?? 'The server no longer has this heatmap.' };
    } catch (error) {
      return { kind: 'unavailable', index, message: readProblem(error).message };
    }
  }

  #drop(gone: readonly Card[]): void {
    for (const { key, photoUrl } of gone) {
      this.#sources.get(key)?.stop.abort();
      this.#sources.get(key)?.removed.abort();
      this.#sources.delete(key);
      if (photoUrl?.startsWith('blob:')) URL.revokeObjectURL(photoUrl);
    }
    this.#setCards(this.#cards.filter((card) => !gone.includes(card)));
  }

  #find(key: string): Card | undefined {
    return this.#cards.find((card) => card.key === key);
  }

  #update(key: string, change: Partial<Card>): void {
    this.#setCards(this.#cards.map((card) => (card.key === key ? stampEnd({ ...card, ...change }) : card)));
  }

  #setCards(cards: readonly Card[]): void {
    this.#cards = cards;
    this.#notify();
  }

  readonly #notify = createThrottle(() => {
    const replaced = this.#replacedUrls.splice(0);
    for (const listener of this.#listeners) listener();
    // The listeners render the cards before the next task.
    if (replaced.length > 0) setTimeout(() => replaced.map((url) => URL.revokeObjectURL(url)));
  }, MIN_NOTIFY_INTERVAL_MS);
}

const NOT_ENDED: Pick<Prediction, 'finishedAt' | 'error' | 'timings' | 'result'> = {
  finishedAt: null,
  error: null,
  timings: null,
  result: null,
};
