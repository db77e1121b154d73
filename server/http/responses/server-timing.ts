/** The header `Server-Timing` on answers of mutations: where the time of an image went. Browsers show it next to the request. */
import { isTerminal } from '@inferql/queue/contract';
import type { Plugin } from 'graphql-yoga';
import type { PredictionView } from '../../predictions/predictions.ts';

/** The steps in their order, with the milliseconds that each took. */
type Durations = Partial<Record<'upload' | 'decode' | 'queue' | 'infer', number>>;

/** `upload` until the whole file was there, `decode` to its pixels, `queue` until the last attempt began, `infer` the engine's run. */
export function readDurations({ state, timings }: PredictionView): Durations {
  const { createdAtMs, startedAtMs, inferenceMs, cached, status } = state;
  const ranForIt = isTerminal(status) && !cached;
  return {
    ...(timings && { upload: timings.uploadMs, decode: timings.decodeMs }),
    ...(ranForIt && startedAtMs !== undefined && { queue: Math.max(0, startedAtMs - createdAtMs) }),
    ...(ranForIt && inferenceMs !== undefined && { infer: inferenceMs }),
  };
}

/** Of several images, which run at the same time, each step counts as long as its longest. */
export function formatServerTiming(views: readonly PredictionView[]): string {
  const longest: Durations = {};
  for (const view of views) {
    for (const [step, ms] of Object.entries(readDurations(view)) as [keyof Durations, number][]) {
      longest[step] = Math.max(longest[step] ?? 0, ms);
    }
  }
  return Object.entries(longest)
    .map(([step, ms]) => `${step};dur=${Math.round(ms * 10) / 10}`)
    .join(', ');
}

/** Collects what a request's mutations submitted. An answer that is sent in parts has the steps that were known before its first part. */
export function createServerTiming() {
  const submitted = new WeakMap<Request, PredictionView[]>();
  const plugin: Plugin = {
    onResponse({ request, response }) {
      const views = submitted.get(request);
      if (views) response.headers.set('server-timing', formatServerTiming(views));
    },
  };
  return {
    plugin,

    onSubmitted(request: Request, view: PredictionView): void {
      const views = submitted.get(request);
      if (views) views.push(view);
      else submitted.set(request, [view]);
    },
  };
}
