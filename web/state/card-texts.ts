import type { Prediction } from '@inferql/client';
import type { Card } from './card.ts';
import { formatLabel, formatSeconds } from './format.ts';
import type { Problem } from './request-problem.ts';

/** A card's text: one line, and a second one if it helps. */
export interface CardText {
  title: string;
  detail?: string;
  tone: 'quiet' | 'busy' | 'good' | 'bad';
}

/** The card's state in plain words. */
export function describeCard(card: Card): CardText {
  const { phase, prediction } = card;
  switch (phase.kind) {
    case 'in-line':
      return { title: 'Waiting to be sent', tone: 'quiet' };
    case 'uploading':
      return phase.sent < 1
        ? { title: `Uploading, ${Math.floor(phase.sent * 100)}%`, tone: 'busy' }
        : { title: 'Uploaded. Checking the file', tone: 'busy' };
    case 'delayed':
      return { ...describeProblem(phase.problem), tone: 'quiet' };
    case 'refused':
      return { ...describeProblem(phase.problem), tone: 'bad' };
    case 'withdrawn':
      return { title: 'Canceled', detail: 'It was not sent.', tone: 'quiet' };
    case 'accepted':
      return prediction ? describePrediction(prediction) : { title: 'Loading', tone: 'quiet' };
    default:
      return phase satisfies never;
  }
}

function describePrediction(prediction: Prediction): CardText {
  const { status, queuePosition, estimatedStartMs, attempts, error } = prediction;
  switch (status) {
    case 'QUEUED': {
      const title = queuePosition ? describePosition(queuePosition) : 'In the queue';
      return estimatedStartMs
        ? { title, detail: describeStart(estimatedStartMs), tone: 'busy' }
        : { title, tone: 'busy' };
    }
    case 'PROCESSING':
      return attempts > 1
        ? { title: 'Analyzing', detail: `Attempt ${attempts}`, tone: 'busy' }
        : { title: 'Analyzing', tone: 'busy' };
    case 'SUCCEEDED':
      return describeSuccess(prediction.result?.labels[0]?.name);
    case 'CANCELED':
      return { title: 'Canceled', detail: 'It was removed from the queue.', tone: 'quiet' };
    case 'EXPIRED':
      return { title: 'It took too long', detail: 'Its deadline passed before it was finished.', tone: 'bad' };
    case 'FAILED':
      return { ...describeProblem(error ?? { code: 'MODEL_FAILED', message: '' }), tone: 'bad' };
    default:
      return status satisfies never;
  }
}

/** A model may have no labels, or find none likely enough. */
function describeSuccess(best: string | undefined): CardText {
  if (best !== undefined) return { title: formatLabel(best), tone: 'good' };
  return { title: 'Done', detail: 'The model found no label for this photo.', tone: 'good' };
}

function describePosition(position: number): string {
  return position === 1 ? 'Next in line' : `Number ${position} in line`;
}

function describeStart(startMs: number): string {
  return startMs < 1_000 ? 'Starts in less than a second' : `Starts in about ${formatSeconds(startMs)}`;
}

/** An error code of the API, or the page's own UNREACHABLE, in plain words. */
export function describeProblem({ code, message }: Problem): { title: string; detail?: string } {
  switch (code) {
    case 'UNREACHABLE':
      return { title: 'The server is not responding', detail: 'Retrying for a few minutes.' };
    case 'GATEWAY':
      return { title: 'The server cannot be reached', detail: 'A proxy responded instead. Retrying.' };
    case 'FOREIGN_ANSWER':
      return {
        title: 'Unexpected response',
        detail: 'It may come from a sign-in page of your network. Retrying.',
      };
    case 'UNREACHABLE_FOR_LONG':
    case 'GATEWAY_FOR_LONG':
    case 'FOREIGN_ANSWER_FOR_LONG':
    case 'UNAVAILABLE_FOR_LONG':
      return { title: 'It could not be sent', detail: 'The server was unavailable for several minutes. Try again.' };
    case 'SIGN_IN':
      return { title: 'Sign in first', detail: `${message} Reload the page to sign in.` };
    case 'BLOCKED':
      return { title: 'The request was blocked', detail: message };
    case 'UNAUTHENTICATED':
      return { title: 'The key is not valid', detail: message };
    case 'FORBIDDEN':
      return { title: 'Your key may not do this', detail: message };
    case 'FILE_CHANGED':
      return {
        title: 'The file has changed',
        detail: 'It was changed, moved or deleted after you chose it. Add it again.',
      };
    case 'UNAVAILABLE':
      return { title: 'The service is not ready', detail: 'Retrying in a moment.' };
    case 'QUEUE_FULL':
      return { title: 'The queue is full', detail: 'It will be sent as soon as there is space.' };
    case 'DEADLINE_UNREACHABLE':
      return { title: 'The queue is too long', detail: 'Retrying in a moment.' };
    case 'RATE_LIMITED':
      return { title: 'Too many requests', detail: 'Retrying in a moment.' };
    case 'EMPTY':
      return { title: 'This file is empty', detail: 'Choose another one.' };
    case 'TOO_LARGE':
      return { title: 'This file is too large', detail: message || 'Choose a smaller one.' };
    case 'TOO_MANY_PIXELS':
      return { title: 'This photo has too many pixels', detail: message || 'Make it smaller and try again.' };
    case 'TOO_COMPLEX':
      return {
        title: 'This photo is too complex to open',
        detail: 'Save it again as a plain JPEG or PNG, and add that file.',
      };
    case 'UNSUPPORTED_FORMAT':
      return {
        title: 'This is not a photo we can read',
        detail: message || 'Use JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP or ICO.',
      };
    case 'CORRUPT':
      return { title: 'This file is damaged', detail: 'Part of the photo is missing or broken.' };
    case 'MODEL_NOT_FOUND':
      return {
        title: 'This model is not available',
        detail: 'Choose another one and add the photo again, or try again in a moment.',
      };
    case 'NOT_FOUND':
      return { title: 'Prediction not found', detail: 'The server keeps predictions only for a while.' };
    case 'WORKER_LOST':
    case 'ENGINE_CRASHED':
      return { title: 'The model crashed on this photo', detail: 'Several attempts failed.' };
    case 'ENGINE_TIMEOUT':
      return { title: 'The model took too long', detail: 'Several attempts failed.' };
    case 'UNREADABLE_JOB':
      return { title: 'The photo could not be read from the queue' };
    case 'MODEL_FAILED':
      return { title: 'The model returned no result', detail: 'You can try again.' };
    case 'VERSION_RETIRED':
      return { title: 'The model was replaced', detail: 'Send the photo again.' };
    case 'REQUEST_TIMEOUT':
      return { title: 'The connection is too slow', detail: 'Retrying for a few minutes.' };
    case 'REQUEST_TIMEOUT_FOR_LONG':
      return { title: 'The connection was too slow', detail: 'Try again, or add a smaller photo.' };
    case 'REQUEST_TOO_LARGE':
      return { title: 'This upload is too large for the server', detail: 'Add a smaller photo.' };
    case 'INTERNAL_SERVER_ERROR':
      return { title: 'Something went wrong on the server', detail: 'You can try again.' };
    default:
      return { title: 'Something went wrong', ...(message && { detail: message }) };
  }
}
