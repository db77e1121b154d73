import { InferqlError } from '../errors.ts';
import { type Answer, parseAnswer, readData, readError } from '../requests/graphql-answer.ts';
import type { Transport } from '../requests/transport.ts';
import type { Sink, SubscriptionRequest } from './subscriber.ts';

/** Whether the server answered. */
export interface PollReports {
  onAnswer(): void;
  onBreak(): void;
}

interface Polled {
  request: SubscriptionRequest;
  sink: Sink;
  stop: AbortController;
  shown: string;
  /** Until it is due again. */
  pause?: ReturnType<typeof setTimeout>;
}

const INTERVAL_MS = 1_000;
/** A browser opens six connections per server over HTTP/1.1; the others are for uploads and event streams. */
const REQUESTS_AT_ONCE = 2;
/** The server bounds the aliases of a query. */
const PREDICTIONS_PER_REQUEST = 10;

/**
 * Queries each subscription once per second. Ten predictions share a request if their variables differ only in the id, so that
 * hundreds of them do not wait for each other.
 */
export class Poller {
  readonly #transport: Transport;
  readonly #reports: PollReports;
  readonly #due: Polled[] = [];
  #batchSize = PREDICTIONS_PER_REQUEST;
  #running = 0;
  #isScheduled = false;

  constructor(transport: Transport, reports: PollReports) {
    this.#transport = transport;
    this.#reports = reports;
  }

  /** @returns a function that stops; nothing is reported after that */
  add(request: SubscriptionRequest, sink: Sink): () => void {
    const stop = new AbortController();
    const polled: Polled = { request, sink, stop, shown: '' };
    this.#enter(polled);
    return () => {
      stop.abort();
      clearTimeout(polled.pause);
    };
  }

  #enter(polled: Polled): void {
    if (polled.stop.signal.aborted) return;
    this.#due.push(polled);
    // Those that are due in the same moment share requests.
    if (!this.#isScheduled) setTimeout(() => this.#advance());
    this.#isScheduled = true;
  }

  #advance(): void {
    this.#isScheduled = false;
    while (this.#running < REQUESTS_AT_ONCE && this.#due.length > 0) {
      const batch = this.#takeBatch();
      if (batch.length === 0) continue;
      this.#running++;
      void this.#ask(batch).finally(() => {
        this.#running--;
        this.#advance();
      });
    }
  }

  #takeBatch(): Polled[] {
    const due = this.#due;
    const first = due.shift()!;
    if (first.stop.signal.aborted) return [];
    const batch = [first];
    for (let i = 0; i < due.length && batch.length < this.#batchSize && 'id' in first.request.variables; ) {
      if (due[i]!.stop.signal.aborted) due.splice(i, 1);
      else if (isAlike(first.request, due[i]!.request)) batch.push(...due.splice(i, 1));
      else i++;
    }
    return batch;
  }

  async #ask(batch: Polled[]): Promise<void> {
    try {
      const { query, variables } = batch.length === 1 ? writeSingle(batch[0]!) : writeBatch(batch);
      const { text, response } = await this.#transport.ask(query, variables);
      const answer = parseAnswer(text);
      // Throws if nothing in it is of the API.
      if (!answer?.errors) readData(answer, response);
      if (answer?.errors && !answer.data && batch.length > 1 && isRefused(answer)) {
        // The operator allows fewer aliases.
        this.#batchSize = 1;
        for (const polled of batch) this.#enter(polled);
        return;
      }
      this.#reports.onAnswer();
      for (const [index, polled] of batch.entries())
        this.#settle(polled, () => readPart(answer!, index, batch.length, response));
    } catch (error) {
      this.#fail(batch, error);
    }
  }

  #fail(batch: Polled[], error: unknown): void {
    const open = batch.filter(({ stop }) => !stop.signal.aborted);
    if (open.length > 0) this.#reports.onBreak();
    for (const polled of open) {
      this.#settle(polled, () => {
        throw error;
      });
    }
  }

  #settle(polled: Polled, read: () => unknown): void {
    const { sink, stop } = polled;
    if (stop.signal.aborted) return;
    try {
      const data = read();
      const text = JSON.stringify(data);
      const isNews = text !== polled.shown;
      polled.shown = text;
      if (isNews) sink.next(data);
      if (!stop.signal.aborted) polled.pause = setTimeout(() => this.#enter(polled), INTERVAL_MS);
    } catch (error) {
      stop.abort();
      sink.error(error);
    }
  }
}

function isAlike(a: SubscriptionRequest, b: SubscriptionRequest): boolean {
  const others = ({ variables }: SubscriptionRequest) => JSON.stringify({ ...variables, id: undefined });
  return a.query === b.query && others(a) === others(b);
}

function writeSingle({ request }: Polled): { query: string; variables: object } {
  return { query: request.query.toString(), variables: request.variables };
}

/**
 * One query for several predictions: `query Read($id: ID!, …) { prediction(id: $id) {…} }` becomes
 * `query Read($id0: ID!, $id1: ID!, …) { p0: prediction(id: $id0) {…} p1: prediction(id: $id1) {…} }`.
 */
function writeBatch(batch: Polled[]): { query: string; variables: object } {
  const { query, variables } = batch[0]!.request;
  const text = query.toString();
  const [, head, others, body, rest] = /^(\s*query \w+\()\$id: ID!([^)]*)\) \{\n([\s\S]*?)\n\}([\s\S]*)$/.exec(text)!;
  const ids = batch.map((_, i) => `$id${i}: ID!`).join(', ');
  const fields = batch.map((_, i) => `p${i}: ${body!.trim().replace('$id', `$id${i}`)}`).join('\n');
  const { id: _, ...shared } = variables as { id: string };
  const byName = batch.map(({ request }, i) => [`id${i}`, (request.variables as { id: string }).id]);
  return {
    query: `${head}${ids}${others}) {\n${fields}\n}${rest}`,
    variables: { ...shared, ...Object.fromEntries(byName) },
  };
}

/** The server refuses the document itself, not one of its fields. */
function isRefused({ errors }: Answer): boolean {
  return errors!.every((error) => !error?.path) && readError(errors![0]!).code === 'BAD_REQUEST';
}

/** The data of one subscription, as its event has it. */
function readPart(answer: Answer, index: number, count: number, response: Response): unknown {
  const data = answer.data as Record<string, unknown> | null | undefined;
  const name = count === 1 ? Object.keys(data ?? {})[0] : `p${index}`;
  const error = answer.errors?.find(({ path }) => !Array.isArray(path) || path[0] === name);
  if (error) throw readError(error, response);
  const value = name === undefined ? undefined : data?.[name];
  // A subscription reports an error if a query returns null.
  if (value === null || value === undefined) throw notFound(name);
  return { [count === 1 ? name! : 'prediction']: value };
}

/** With the codes and texts of the server's subscriptions. */
function notFound(field: string | undefined): InferqlError {
  return field === 'queue'
    ? new InferqlError('MODEL_NOT_FOUND', 'There is no model with that name.')
    : new InferqlError('NOT_FOUND', 'There is no prediction with that id, or it ended long ago.');
}
