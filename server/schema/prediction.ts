/** The type `Prediction`, its queries, mutation and subscription. */
import { isTerminal, type PREDICTION_STATUSES, type PRIORITIES } from '@inferql/queue/contract';
import { ERRORS, type ErrorCode } from '@inferql/queue/error-codes';
import { errorOf } from '../predictions/prediction-error.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-types.ts';
import { fromState, type PredictionNode, viewPrediction } from './prediction-node.ts';
import { selectsPosition } from './response-plan.ts';
import { PredictionResult } from './result.ts';
import { Timings } from './timings.ts';

export const PriorityEnum = builder.enumType('Priority', {
  description:
    'The urgency of a prediction. Lower priorities still get a share of the work while higher ones are waiting.',
  values: {
    HIGH: { description: 'Before the others: for work that someone is waiting for.' },
    NORMAL: { description: 'The default.' },
    LOW: { description: 'After the others: for bulk work.' },
  } satisfies Record<(typeof PRIORITIES)[number], object>,
});

const PredictionStatusEnum = builder.enumType('PredictionStatus', {
  description:
    'The status of a prediction. It starts as QUEUED, becomes PROCESSING, and ends as exactly one of the other four, which is final.',
  values: {
    QUEUED: { description: 'Waiting for a worker: see `queuePosition`.' },
    PROCESSING: {
      description: 'A worker has started it. If the worker is lost or the attempt fails, another attempt starts.',
    },
    SUCCEEDED: { description: 'Ended with a `result`.' },
    FAILED: { description: 'Ended without a result, after all attempts: see `error`.' },
    CANCELED: { description: 'Canceled by `cancelPrediction`, or because its caller disconnected before it started.' },
    EXPIRED: { description: 'Did not end within its `timeoutMs`.' },
  } satisfies Record<(typeof PREDICTION_STATUSES)[number], object>,
});

const PredictionError = builder.objectRef<{ code: ErrorCode; message: string }>('PredictionError').implement({
  description: 'Why a prediction ended without a result.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    retryable: t.boolean({
      description: 'Whether sending the same image again can help.',
      resolve: ({ code }) => ERRORS[code].retryable,
    }),
  }),
});

export const Prediction = builder.objectRef<PredictionNode>('Prediction').implement({
  description:
    'One image to be classified by one model. It can be read on any server, for a while after it has ended (an hour by default). `result`, `error`, `timings` and `finishedAt` are set when it ends. A mutation that selects one of them outside `@defer` waits for the end, at most 60 seconds. A mutation that selects none of them responds as soon as the image is queued.',
  fields: (t) => ({
    id: t.id({
      description:
        'Unguessable, and valid only for its tenant. If the server does not authenticate callers, anyone who knows the id may read and cancel the prediction.',
      resolve: ({ state }) => state.id,
    }),
    status: t.field({
      type: PredictionStatusEnum,
      description: 'Its status.',
      resolve: fromState(({ status }) => status),
    }),
    queuePosition: t.int({
      nullable: true,
      description: 'Its position in the queue; 1 is next. Null unless the status is QUEUED.',
      resolve: fromState((state, { position }, { services }) => {
        if (state.status !== 'QUEUED') return null;
        return position ?? services.findPosition(state);
      }),
    }),
    estimatedStartMs: t.int({
      nullable: true,
      description:
        'Estimated milliseconds until processing starts, from measured worker throughput. Null unless the status is QUEUED, or if no throughput has been measured yet.',
      resolve: fromState(async (state, node, { services }) => {
        if (state.status !== 'QUEUED') return null;
        const position = node.position ?? (await services.findPosition(state));
        return position === undefined ? null : ((await services.estimateStartMs(state.model, position)) ?? null);
      }),
    }),
    model: t.string({ description: 'The name of its model.', resolve: ({ state }) => state.model }),
    modelVersion: t.string({
      description: 'The version of the model that its image was prepared for: a digest of weights and specification.',
      resolve: ({ state }) => state.version,
    }),
    priority: t.field({ type: PriorityEnum, description: 'Its urgency.', resolve: ({ state }) => state.priority }),
    result: t.field({
      type: PredictionResult,
      nullable: true,
      description: "The model's output. Null unless the status is SUCCEEDED.",
      resolve: fromState(({ result }, { topK }) => (result ? { result, topK } : null)),
    }),
    error: t.field({
      type: PredictionError,
      nullable: true,
      description: 'Why there is no result. Null until the prediction has ended, and if it succeeded or was canceled.',
      resolve: fromState((state) => errorOf(state) ?? null),
    }),
  }),
});

/** How and when it was worked on. */
builder.objectFields(Prediction, (t) => ({
  attempts: t.int({
    description: 'How many times a worker has started it. More than 1 after a lost worker or a failed attempt.',
    resolve: fromState(({ attempts }) => attempts),
  }),
  cached: t.boolean({
    description:
      'True if the work was not done for this prediction alone, because it is shared with an identical request or comes from the cache.',
    resolve: fromState(({ cached }) => cached),
  }),
  timings: t.field({
    type: Timings,
    nullable: true,
    description: 'Its durations. Null until it has ended.',
    resolve: fromState((state) => (isTerminal(state.status) ? state : null)),
  }),
  batchSize: t.int({
    nullable: true,
    description: 'The size of the batch that produced the result. Null until then.',
    resolve: fromState(({ batchSize }) => batchSize ?? null),
  }),
  createdAt: t.field({
    type: 'DateTime',
    description: 'When it was accepted.',
    resolve: ({ state }) => state.createdAtMs,
  }),
  startedAt: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'When a worker started it (the last attempt), or when it joined work that had already started.',
    resolve: fromState(({ startedAtMs }) => startedAtMs ?? null),
  }),
  finishedAt: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'When it ended. Null until then.',
    resolve: fromState(({ finishedAtMs }) => finishedAtMs ?? null),
  }),
  deadlineAt: t.field({
    type: 'DateTime',
    description: 'When it expires: `createdAt` plus timeoutMs.',
    resolve: ({ state }) => state.deadlineMs,
  }),
  retryOf: t.id({
    nullable: true,
    description: 'The id of the failed prediction that an operator retried as this one.',
    resolve: ({ state }) => state.retryOf ?? null,
  }),
}));

builder.queryField('prediction', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: Prediction,
    nullable: true,
    description:
      'The current state of a prediction. Null if the id is unknown or belongs to another tenant, or if the prediction ended too long ago.',
    args: { id: t.arg.id({ required: true, description: 'The `id` that the mutation returned.' }) },
    resolve: async (_root, { id }, { caller, services }) => viewPrediction(await services.readPrediction(caller, id)),
  }),
);

builder.mutationField('cancelPrediction', (t) =>
  t.field({
    extensions: { scope: 'infer' },
    type: Prediction,
    nullable: true,
    description:
      'Removes a waiting prediction from the queue, or discards the result of a running one. Returns the resulting state: CANCELED, or the terminal state that it had already reached. Null if the id is unknown.',
    args: { id: t.arg.id({ required: true, description: 'The `id` that the mutation returned.' }) },
    resolve: async (_root, { id }, { caller, services }) => viewPrediction(await services.cancelPrediction(caller, id)),
  }),
);

builder.subscriptionField('prediction', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: Prediction,
    nullable: true,
    description:
      'The states of a prediction: the current one immediately, then each change in order (queue positions at a bounded rate), and always the terminal one, which ends the stream. You can subscribe at any time, on any server. An unknown id is an error NOT_FOUND. A server that shuts down ends the stream with an error UNAVAILABLE: subscribe again.',
    args: { id: t.arg.id({ required: true, description: 'The `id` that the mutation returned.' }) },
    subscribe: (_root, { id }, { caller, services }, info) =>
      services.watchPrediction(caller, id, selectsPosition(info)),
    resolve: (view) => viewPrediction(view),
  }),
);
