import type { PredictionState, Priority } from '../queue/contract.ts';
import type { UploadedFile } from './uploaded-file.ts';

/** What a caller sends with an image. */
export interface SubmitRequest {
  image: UploadedFile;
  model: string | undefined;
  topK: number;
  priority: Priority;
  timeoutMs: number | undefined;
  idempotencyKey: string | undefined;
  heatmap: boolean;
  /** `end`: answer once it has ended; `later`: answer at once and give the end as a promise; `no`: answer at once. */
  wait: 'end' | 'later' | 'no';
  caller: string;
  /** Aborted when the caller has gone. */
  signal: AbortSignal;
}

/** A prediction at one moment. */
export interface PredictionView {
  state: PredictionState;
  /** Its place in the queue where that is known already: 1 is next. */
  position?: number | undefined;
  /** The last state, or the present one where the wait ended before the work. */
  end?: Promise<PredictionState> | undefined;
}
