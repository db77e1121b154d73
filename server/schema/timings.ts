/** The type `Timings`. */
import type { PredictionState } from '@inferql/queue/contract';
import { builder } from './builder.ts';

export const Timings = builder.objectRef<PredictionState>('Timings').implement({
  description: 'Durations of an ended prediction, in milliseconds.',
  fields: (t) => ({
    queueMs: t.float({
      nullable: true,
      description: 'From acceptance to the start of processing (of the last attempt). Null if it never started.',
      resolve: ({ startedAtMs, createdAtMs }) =>
        startedAtMs === undefined ? null : Math.max(0, startedAtMs - createdAtMs),
    }),
    inferenceMs: t.float({
      nullable: true,
      description: 'Duration of the model run that produced the result, for the whole batch. Null without a result.',
      resolve: ({ inferenceMs }) => inferenceMs ?? null,
    }),
    totalMs: t.float({
      nullable: true,
      description: 'From acceptance to the end.',
      resolve: ({ finishedAtMs, createdAtMs }) =>
        finishedAtMs === undefined ? null : Math.max(0, finishedAtMs - createdAtMs),
    }),
  }),
});
