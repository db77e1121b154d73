/** The context of resolvers: the caller, and the services that they use. */
import type { PredictionState, ServedModel } from '@inferql/queue/contract';
import type { LimitState } from '@inferql/queue/limits';
import type { Principal } from '../access/principal.ts';
import type { CreatedToken, TokenRequest } from '../access/tokens.ts';
import type { Config } from '../config.ts';
import type { PredictionView } from '../predictions/predictions.ts';
import type { QueueStats } from '../predictions/queue-stats.ts';
import type { SubmitRequest } from '../predictions/submit-request.ts';
import type { ImageSource } from '../sources/image-source.ts';
import type { UploadedFile } from '../uploads/uploaded-file.ts';

/** What a server accepts; sizes in bytes, times in milliseconds. */
export type ServerLimits = Pick<
  Config,
  | 'maxUploadBytes'
  | 'maxPixels'
  | 'maxImages'
  | 'maxBodyBytes'
  | 'maxQueryBytes'
  | 'maxWaitMs'
  | 'maxSubscriptionsPerConnection'
>;

/** What resolvers use from the rest of the server. */
export interface Services {
  /** Rejects with an InferqlError that is a union member or a GraphQL error. */
  submit(request: SubmitRequest): Promise<PredictionView>;
  /** The image at a URL or in a `data:` URL, as a file. Rejects, or throws, with an InferqlError. */
  openSource(source: ImageSource, caller: Principal, signal: AbortSignal | undefined): UploadedFile;
  /** Null if there is no such prediction, or if it is another tenant's. */
  readPrediction(caller: Principal, id: string): Promise<PredictionView | null>;
  /** Null as for readPrediction. */
  cancelPrediction(caller: Principal, id: string): Promise<PredictionView | null>;
  /**
   * The current state at once, then each later one; ends after the terminal one. Rejects with NOT_FOUND, also for another tenant's.
   * @param wantsPositions whether changes of the queue position count as states
   */
  watchPrediction(caller: Principal, id: string, wantsPositions: boolean): Promise<AsyncIterable<PredictionView>>;
  /** Rejects with INVALID_INPUT, or FORBIDDEN if it asks for more than the caller's key has. */
  createToken(caller: Principal, request: TokenRequest): Promise<CreatedToken>;
  /** What is left of each limit and quota of the caller. */
  readLimits(caller: Principal): Promise<LimitState[]>;
  /** The queue position from 1, or undefined if it does not wait. */
  findPosition(state: PredictionState): Promise<number | undefined>;
  /** Milliseconds until a prediction at this position starts, or undefined if no rate is known yet. */
  estimateStartMs(model: string, position: number): Promise<number | undefined>;
  /** Models that the caller may not use are hidden, here and below. */
  listModels(caller: Principal): Promise<ServedModel[]>;
  findModel(caller: Principal, name: string | undefined): Promise<ServedModel | undefined>;
  /** The class names of a version that the caller may use; null if no worker has registered them. */
  readClassNames(model: string, version: string): Promise<string[] | null>;
  /** As readClassNames, of further heads, by head. */
  readHeadLabels(model: string, version: string): Promise<Record<string, string[]> | null>;
  /** Null if no model of that name (or none at all) is known. */
  viewQueue(caller: Principal, model: string | undefined): Promise<QueueStats | null>;
  /** At once, then about once a second while it changes. Rejects with MODEL_NOT_FOUND. */
  watchQueue(caller: Principal, model: string | undefined): Promise<AsyncIterable<QueueStats>>;
  readonly limits: ServerLimits;
}

export interface ServerContext {
  caller: Principal;
  services: Services;
  /** Aborted when the client has gone; absent in subscriptions, which end through their iterator. */
  signal: AbortSignal | undefined;
  /** Takes the timings of submitted predictions, for a response header; absent on WebSockets. */
  onSubmitted?(view: PredictionView): void;
}
