import type { Prediction } from '@inferql/client';
import type { Card } from './card.ts';
import { formatLabel, formatSeconds } from './format.ts';
import type { Problem } from './problem.ts';

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
        : { title: 'Uploaded, being checked', tone: 'busy' };
    case 'delayed':
      return { ...describeProblem(phase.problem), tone: 'quiet' };
    case 'refused':
      return { ...describeProblem(phase.problem), tone: 'bad' };
    case 'withdrawn':
      return { title: 'Canceled', detail: 'It was not sent.', tone: 'quiet' };
    case 'accepted':
      return prediction ? describePrediction(prediction) : { title: 'Asking the server', tone: 'quiet' };
    default:
      return phase satisfies never;
  }
}

function describePrediction(prediction: Prediction): CardText {
  const { status, queuePosition, estimatedStartMs, attempts, error } = prediction;
  switch (status) {
    case 'QUEUED': {
      const title =
        attempts > 0 ? 'Waiting for another try' : queuePosition ? describePosition(queuePosition) : 'In the queue';
      return estimatedStartMs
        ? { title, detail: describeStart(estimatedStartMs), tone: 'busy' }
        : { title, tone: 'busy' };
    }
    case 'PROCESSING':
      return attempts > 1
        ? { title: 'The model is looking', detail: `Try number ${attempts}`, tone: 'busy' }
        : { title: 'The model is looking', tone: 'busy' };
    case 'SUCCEEDED':
      return describeSuccess(prediction.result?.labels[0]?.name);
    case 'CANCELED':
      return { title: 'Canceled', detail: 'Its place in the queue was given up.', tone: 'quiet' };
    case 'EXPIRED':
      return { title: 'It took too long', detail: 'The server gave up waiting for its turn.', tone: 'bad' };
    case 'FAILED':
      return { ...describeProblem(error ?? { code: 'MODEL_FAILED', message: '' }), tone: 'bad' };
    default:
      return status satisfies never;
  }
}

/** A model may have no labels, or find none likely enough. */
function describeSuccess(best: string | undefined): CardText {
  if (best !== undefined) return { title: formatLabel(best), tone: 'good' };
  return { title: 'Done', detail: 'The model gives no label for this photo.', tone: 'good' };
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
      return { title: 'The server does not answer', detail: 'It is tried again for some minutes.' };
    case 'GATEWAY':
      return { title: 'The server cannot be reached', detail: 'A proxy answers in its place. It is tried again.' };
    case 'FOREIGN_ANSWER':
      return {
        title: 'Something else answers here',
        detail: 'Perhaps a sign-in page of your network. It is tried again.',
      };
    case 'UNREACHABLE_FOR_LONG':
    case 'GATEWAY_FOR_LONG':
    case 'FOREIGN_ANSWER_FOR_LONG':
    case 'UNAVAILABLE_FOR_LONG':
      return { title: 'It could not be sent', detail: 'The server was not there for some minutes. Try again.' };
    case 'SIGN_IN':
      return { title: 'Sign in first', detail: `${message} Reload the page to sign in.` };
    case 'BLOCKED':
      return { title: 'It was not let through', detail: message };
    case 'FILE_CHANGED':
      return {
        title: 'The file has changed',
        detail: 'It was changed, moved or removed since you chose it. Add it again.',
      };
    case 'UNAVAILABLE':
      return { title: 'The service is not ready', detail: 'It is tried again in a moment.' };
    case 'QUEUE_FULL':
      return { title: 'The queue is full', detail: 'It is sent as soon as there is room.' };
    case 'DEADLINE_UNREACHABLE':
      return { title: 'The queue is too long now', detail: 'It is sent again in a moment.' };
    case 'RATE_LIMITED':
      return { title: 'Too many at once', detail: 'It is sent again in a moment.' };
    case 'EMPTY':
      return { title: 'This file is empty', detail: 'Choose another one.' };
    case 'TOO_LARGE':
      return { title: 'This file is too large', detail: message || 'Choose a smaller one.' };
    case 'TOO_MANY_PIXELS':
      return { title: 'This picture has too many pixels', detail: message || 'Make it smaller and try again.' };
    case 'TOO_COMPLEX':
      return {
        title: 'This picture takes too much work to open',
        detail: 'Save it again as a plain JPEG or PNG and try that.',
      };
    case 'UNSUPPORTED_FORMAT':
      return {
        title: 'This is not a photograph we can read',
        detail: message || 'JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP and ICO work.',
      };
    case 'CORRUPT':
      return { title: 'This file is damaged', detail: 'Part of the picture is missing or broken.' };
    case 'MODEL_NOT_FOUND':
      return {
        title: 'There is no such model now',
        detail: 'Choose another one and add the picture again, or try again in a moment.',
      };
    case 'NOT_FOUND':
      return { title: 'The server does not know it', detail: 'Predictions are kept for a while only.' };
    case 'WORKER_LOST':
    case 'ENGINE_CRASHED':
      return { title: 'The model broke down on this picture', detail: 'It was tried several times.' };
    case 'ENGINE_TIMEOUT':
      return { title: 'The model did not finish', detail: 'It was tried several times.' };
    case 'MODEL_FAILED':
    case 'UNREADABLE_JOB':
      return { title: 'The model had no answer', detail: 'You can try it once more.' };
    case 'VERSION_RETIRED':
      return { title: 'The model was replaced meanwhile', detail: 'Send the picture again.' };
    case 'REQUEST_TIMEOUT':
      return { title: 'The connection was too slow', detail: 'Try again, or add a smaller picture.' };
    case 'REQUEST_TOO_LARGE':
      return { title: 'The server does not take that much at once', detail: 'Add a smaller picture.' };
    case 'INTERNAL_SERVER_ERROR':
      return { title: 'Something went wrong on the server', detail: 'You can try it once more.' };
    default:
      return { title: 'It did not work', ...(message && { detail: message }) };
  }
}
