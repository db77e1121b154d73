import type { Prediction } from '@inferql/client';
import type { FittedImage } from './browser-images.ts';
import type { Problem } from './request-problem.ts';

/** A card's activity. Once the server has accepted the image, `prediction` has the details. */
export type Phase =
  | { kind: 'in-line' }
  | { kind: 'uploading'; sent: number }
  | { kind: 'delayed'; problem: Problem }
  | { kind: 'accepted' }
  | { kind: 'refused'; problem: Problem }
  | { kind: 'withdrawn' };

/** The heatmap of one label, or that it is loading, or why there is none. */
export type CardHeatmap =
  | { kind: 'loading'; index: number }
  | { kind: 'shown'; index: number; image: string }
  | { kind: 'unavailable'; index: number; message: string };

export interface Card {
  key: string;
  /** The file's name, or undefined for a prediction that was opened by a link from elsewhere. */
  name: string | undefined;
  /** The image's URL in this browser; undefined if this browser never had the image. */
  photoUrl: string | undefined;
  /** Whether a small copy of the image is being made for display. */
  isPhotoComing: boolean;
  /** The model's name; undefined means the default one. */
  model: string | undefined;
  phase: Phase;
  /** What was done to the image before it was sent. */
  change: FittedImage['change'] | undefined;
  prediction: Prediction | undefined;
  heatmap: CardHeatmap | undefined;
  /** Whether the page still has the file, to send it again. */
  hasFile: boolean;
  /** When the card was created, by this machine's clock. */
  addedAtMs: number;
  /** When this page learned of its end, by this machine's clock. */
  endedAtMs: number | undefined;
  /** Whether the server has been asked to cancel it, and has not answered yet. */
  isCanceling: boolean;
}

/** A card at its beginning. */
export function makeCard(known: Pick<Card, 'key' | 'name' | 'photoUrl' | 'model' | 'hasFile'>): Card {
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

const IMAGE_CODES = [
  'EMPTY',
  'TOO_LARGE',
  'TOO_MANY_PIXELS',
  'TOO_COMPLEX',
  'UNSUPPORTED_FORMAT',
  'CORRUPT',
  'FILE_CHANGED',
];

/** Whether the server did not accept the key of the page's last request for the card. */
export function isRefusedByKey({ phase }: Card): boolean {
  return phase.kind === 'refused' && ['UNAUTHENTICATED', 'FORBIDDEN'].includes(phase.problem.code);
}

/** Whether sending the same file again could end differently. */
export function canRetry({ hasFile, phase, prediction }: Card): boolean {
  if (!hasFile || prediction?.status === 'SUCCEEDED') return false;
  if (phase.kind === 'refused') return !IMAGE_CODES.includes(phase.problem.code);
  return prediction?.error?.retryable ?? true;
}

/**
 * The id of the card's prediction, once the server has accepted the image. A card that was opened by an id has it as its key, unless the
 * server has no such prediction.
 */
export function predictionIdOf({ key, hasFile, phase, prediction }: Card): string | undefined {
  const isUnknown = phase.kind === 'refused' && phase.problem.code === 'NOT_FOUND';
  return prediction?.id ?? (hasFile || isUnknown ? undefined : key);
}

/** Whether the card will no longer change without an action. */
export function hasEnded(card: Card): boolean {
  const { kind } = card.phase;
  if (kind === 'refused' || kind === 'withdrawn') return true;
  return card.prediction !== undefined && isTerminal(card.prediction.status);
}

/** The card with the time of its end, if it has ended. */
export function stampEnd(card: Card): Card {
  if (!hasEnded(card)) return { ...card, endedAtMs: undefined };
  return { ...card, endedAtMs: card.endedAtMs ?? Date.now(), isCanceling: false };
}

/** Whether the status never changes again. */
export function isTerminal(status: Prediction['status']): boolean {
  switch (status) {
    case 'QUEUED':
    case 'PROCESSING':
      return false;
    case 'SUCCEEDED':
    case 'FAILED':
    case 'CANCELED':
    case 'EXPIRED':
      return true;
    default:
      return status satisfies never;
  }
}
