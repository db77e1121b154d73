import type { PredictionState } from '@inferql/queue/contract';

/** Someone who waits for a prediction. */
export interface PredictionListener {
  /** Whether changed queue positions are reported. */
  wantsPositions: boolean;
  /** A newer state, or the same one at another queue position. Never an older one. */
  onState(state: PredictionState, position: number | undefined): void;
  /** Redis no longer knows it. */
  onLost(): void;
  /** The server shuts down. */
  onDrain(): void;
}
