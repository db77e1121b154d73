/** The type `Queue`, its query and its subscription. */
import type { WorkerRecord } from '@inferql/queue/contract';
import type { QueueStats, TenantCounts } from '../predictions/queue-stats.ts';
import { builder } from './builder.ts';

const Worker = builder.objectRef<WorkerRecord>('Worker').implement({
  description: 'A running worker that serves a model.',
  fields: (t) => ({
    id: t.exposeID('worker', { description: 'Its unique name.' }),
    version: t.exposeString('version', { description: 'The version of the model that it serves.' }),
    engine: t.exposeString('engine', { description: 'The engine that runs the model.' }),
    imageMs: t.float({
      nullable: true,
      description: 'Milliseconds per image, as a moving average. Null before its first batch.',
      resolve: ({ imageMs }) => imageMs ?? null,
    }),
    startedAt: t.field({
      type: 'DateTime',
      description: 'When it started.',
      resolve: ({ startedAtMs }) => startedAtMs,
    }),
  }),
});

const EndedCounts = builder.objectRef<NonNullable<QueueStats['ended']>>('EndedCounts').implement({
  description: 'How many predictions have ended, by status, since the model was first registered.',
  fields: (t) => ({
    succeeded: t.exposeFloat('SUCCEEDED', { description: 'Ended with a result.' }),
    failed: t.exposeFloat('FAILED', { description: 'Ended without a result, after all attempts.' }),
    canceled: t.exposeFloat('CANCELED', { description: 'Canceled.' }),
    expired: t.exposeFloat('EXPIRED', { description: 'Did not end within their timeoutMs.' }),
  }),
});

const TenantQueue = builder.objectRef<TenantCounts>('TenantQueue').implement({
  description: "One tenant's part of a queue.",
  fields: (t) => ({
    tenant: t.exposeString('tenant', { description: 'The tenant; `anonymous` for callers that are not identified.' }),
    waiting: t.exposeInt('waiting', { description: 'Its predictions that are waiting for a worker.' }),
    processing: t.exposeInt('processing', { description: 'Its predictions that workers have started.' }),
  }),
});

export const Queue = builder.objectRef<QueueStats>('Queue').implement({
  description:
    "The queue of one model, at one point in time. Without the scope `operate`, counts and bytes are those of the caller's tenant.",
  fields: (t) => ({
    model: t.exposeString('model', { description: 'The name of the model.' }),
    waiting: t.exposeInt('waiting', { description: 'Predictions that are waiting for a worker.' }),
    processing: t.exposeInt('processing', { description: 'Predictions that workers have started.' }),
    maxQueueSize: t.exposeInt('maxQueueSize', { description: 'Maximum number of waiting predictions.' }),
    queuedBytes: t.exposeFloat('queuedBytes', { description: 'Bytes of prepared images in Redis.' }),
    ratePerSecond: t.float({
      nullable: true,
      description:
        'Predictions of all tenants that succeeded per second, over the last few seconds. Null until measured, and without the scope `operate`.',
      resolve: ({ ratePerSecond }) => ratePerSecond ?? null,
    }),
    capacityPerSecond: t.float({
      nullable: true,
      description:
        'Predictions per second that all running workers can process together, from their measured time per image. Null before the first batch.',
      resolve: ({ capacityPerSecond }) => capacityPerSecond ?? null,
    }),
    latencyMs: t.float({
      nullable: true,
      description:
        'The median time from acceptance to success of recent predictions of all tenants, in milliseconds. Null until one has succeeded.',
      resolve: ({ latencyMs }) => latencyMs ?? null,
    }),
    workers: t.expose('workers', { type: [Worker], description: 'The running workers.' }),
    tenants: t.field({
      type: [TenantQueue],
      nullable: true,
      description:
        'The tenants that have predictions in this queue, at most 1000, those with the most waiting predictions first. Null without the scope `operate`.',
      resolve: ({ tenants }) => tenants ?? null,
    }),
    ended: t.field({
      type: EndedCounts,
      nullable: true,
      description: 'How many predictions of all tenants have ended, by status. Null without the scope `operate`.',
      resolve: ({ ended }) => ended ?? null,
    }),
    deadLetters: t.int({
      nullable: true,
      description:
        'Number of failed jobs that are kept for an operator to inspect, retry or delete. Null without the scope `operate`.',
      resolve: ({ deadLetters }) => deadLetters ?? null,
    }),
  }),
});

builder.queryField('queue', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: Queue,
    nullable: true,
    description: 'The current queue of a model, also of one that has no worker now. Null if there is no such model.',
    args: { model: t.arg.string({ description: 'The name of the model. Default: the default model.' }) },
    resolve: (_root, { model }, { caller, services }) => services.viewQueue(caller, model ?? undefined),
  }),
);

builder.subscriptionField('queue', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: Queue,
    description:
      'The queue of a model: its current state immediately, then its state after changes, about once per second. If it cannot be read for some seconds, the stream ends with an error UNAVAILABLE: subscribe again. If the model is removed, it ends with MODEL_NOT_FOUND.',
    args: { model: t.arg.string({ description: 'The name of the model. Default: the default model.' }) },
    subscribe: (_root, { model }, { caller, services }) => services.watchQueue(caller, model ?? undefined),
    resolve: (view) => view,
  }),
);
