import { type AcceptedPrediction, type Client, InferqlError, type Limits } from '@inferql/client';
import { type FittedImage, fitImage, isHeic } from './browser-images.ts';
import { formatBytes } from './format.ts';
import { isPassing, isQueueing, type Problem, readProblem } from './request-problem.ts';

export type UploadOutcome =
  | { kind: 'accepted'; prediction: AcceptedPrediction }
  | { kind: 'refused'; problem: Problem };

interface UploadListeners {
  /** The share of the file that was sent, 0 to 1, from 0 again for each attempt. */
  onProgress(share: number): void;
  /** The image could not be sent for now and is retried. */
  onDelay(problem: Problem): void;
  /** The browser made another file of it, which is sent in its place. */
  onFitted(change: FittedImage['change']): void;
}

/** After this long without a server's answer the page stops retrying; a button retries. */
const GIVE_UP_AFTER_MS = 180_000;
/** Hardly any server accepts less: a smaller file is sent without asking for the limits. */
const ASK_FROM_BYTES = 1_000_000;
const TOO_BIG = ['TOO_LARGE', 'TOO_MANY_PIXELS'];

/**
 * Sends an image until it is accepted or refused for good. Waits for a full queue as long as it takes; silence and answers of proxies
 * have a limit. An image that is larger than the server accepts is sent smaller, and HEIC as JPEG, if this browser can read it.
 * @throws the signal's reason when it is aborted
 */
export async function uploadImage(
  client: Client,
  { file, model }: { file: File; model: string | undefined },
  { onProgress, onDelay, onFitted }: UploadListeners,
  signal: AbortSignal,
): Promise<UploadOutcome> {
  const submit = async (image: Blob): Promise<UploadOutcome> => {
    try {
      const prediction = await client.submit(image, {
        model,
        heatmap: true,
        signal,
        onUploadProgress: onProgress,
        onRetry: (error) => onDelay(readProblem(error)),
        retryForMs: patienceWith,
      });
      return { kind: 'accepted', prediction };
    } catch (error) {
      if (!(error instanceof InferqlError)) throw error;
      const problem = readProblem(error);
      return {
        kind: 'refused',
        problem: isPassing(problem) ? { ...problem, code: `${problem.code}_FOR_LONG` } : problem,
      };
    }
  };
  const fit = async () => {
    const fitted = await fitImage(file, await readLimits(client), signal).catch(() => undefined);
    signal.throwIfAborted();
    if (fitted) onFitted(fitted.change);
    return fitted?.image;
  };

  const maxBytes = file.size > ASK_FROM_BYTES ? (await readLimits(client))?.maxUploadBytes : undefined;
  const isTooLarge = maxBytes !== undefined && file.size > maxBytes;
  const fitted = isTooLarge || (await isHeic(file)) ? await fit() : undefined;
  signal.throwIfAborted();
  if (isTooLarge && !fitted) {
    // The server may have other limits after a restart.
    limits = undefined;
    const message = `The server accepts files of up to ${formatBytes(maxBytes)}. Choose a smaller one.`;
    return { kind: 'refused', problem: { code: 'TOO_LARGE', message } };
  }
  const outcome = await submit(fitted ?? file);
  // Only the server reads the size in pixels of every format.
  if (outcome.kind === 'accepted' || fitted || !TOO_BIG.includes(outcome.problem.code)) return outcome;
  const smaller = await fit();
  return smaller ? submit(smaller) : outcome;
}

function patienceWith(error: InferqlError): number {
  const problem = readProblem(error);
  if (isQueueing(problem)) return Number.POSITIVE_INFINITY;
  return isPassing(problem) ? GIVE_UP_AFTER_MS : 0;
}

let limits: Promise<Limits | undefined> | undefined;

/** The server's limits, asked for once; undefined if it does not answer: the upload then reports why. */
function readLimits(client: Client): Promise<Limits | undefined> {
  limits ??= client.limits({ retryForMs: 0 }).catch(() => {
    limits = undefined;
    return undefined;
  });
  return limits;
}
