import type { PredictionState } from '@inferql/queue/contract';

/** A mutation or subscription that waits for a prediction. */
export interface PredictionListener {
  /** Whether changed queue positions are reported. */
  wantsPositions: boolean;
  /** A newer state, or the same one at another queue position. Never an older one. */
  onState(state: PredictionState, position: number | undefined): void;
  /** The prediction no longer exists in Redis. */
  onLost(): void;
  /** The server is shutting down. */
  onDrain(): void;
}
