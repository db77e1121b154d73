import { isTerminal, type PREDICTION_STATUSES, type PRIORITIES, type PredictionState } from '@inferql/queue/contract';
import { ERRORS, type ErrorCode } from '@inferql/queue/errors';
import { builder } from './builder.ts';
import { ErrorInterface } from './errors.ts';
import { type PredictionNode, stateForField, viewPrediction } from './prediction-node.ts';
import { selectsPosition } from './response-plan.ts';
import { PredictionResult } from './result.ts';

export const PriorityEnum = builder.enumType('Priority', {
  description: 'How urgent a prediction is. Lower ones get their share of the work while higher ones wait, too.',
  values: {
    HIGH: { description: 'Before the others: someone waits for it.' },
    NORMAL: { description: 'The default.' },
    LOW: { description: 'After the others: bulk work.' },
  } satisfies Record<(typeof PRIORITIES)[number], object>,
});

const PredictionStatusEnum = builder.enumType('PredictionStatus', {
  description:
    'Where a prediction stands. It begins as QUEUED, becomes PROCESSING, and ends in exactly one of the other four, which never changes again.',
  values: {
    QUEUED: { description: 'It waits for a worker: see `queuePosition`.' },
    PROCESSING: { description: 'A worker has begun. After a lost worker or a failed attempt it is begun again.' },
    SUCCEEDED: { description: 'It ended with a `result`.' },
    FAILED: { description: 'It ended without a result, after all its attempts: see `error`.' },
    CANCELED: { description: 'It was cancelled by `cancelPrediction`, or its caller left before it began.' },
    EXPIRED: { description: 'Its `timeoutMs` passed before it ended.' },
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

const Timings = builder.objectRef<PredictionState>('Timings').implement({
  description: 'Where the time of an ended prediction went, in milliseconds.',
  fields: (t) => ({
    queueMs: t.float({
      nullable: true,
      description: 'From its acceptance to the (last) start of the work. Null where the work never started.',
      resolve: ({ startedAtMs, createdAtMs }) =>
        startedAtMs === undefined ? null : Math.max(0, startedAtMs - createdAtMs),
    }),
    inferenceMs: t.float({
      nullable: true,
      description: 'The run of the model that gave the result, for its whole batch. Null without a result.',
      resolve: ({ inferenceMs }) => inferenceMs ?? null,
    }),
    totalMs: t.float({
      nullable: true,
      description: 'From its acceptance to its end.',
      resolve: ({ finishedAtMs, createdAtMs }) =>
        finishedAtMs === undefined ? null : Math.max(0, finishedAtMs - createdAtMs),
    }),
  }),
});

export const Prediction = builder.objectRef<PredictionNode>('Prediction').implement({
  description:
    'One image on its way through one model. It is kept for a while after its end (an hour unless the model says otherwise), and any server can answer for it. `result`, `error`, `timings` and `finishedAt` belong to the end: a mutation that selects one of them (outside of `@defer`) answers when the prediction has ended, at most 60 seconds later; one that selects none answers as soon as it is queued.',
  fields: (t) => ({
    id: t.id({
      description:
        'Unguessable. It is known to its tenant only; if the server does not ask who calls, who knows it may read and cancel the prediction.',
      resolve: ({ state }) => state.id,
    }),
    status: t.field({
      type: PredictionStatusEnum,
      description: 'Where it stands.',
      resolve: async (node, _args, _context, info) => (await stateForField(node, info)).status,
    }),
    queuePosition: t.int({
      nullable: true,
      description: 'Its place in the queue: 1 is next. Null once it no longer waits.',
      resolve: async (node, _args, { services }, info) => {
        const state = await stateForField(node, info);
        if (state.status !== 'QUEUED') return null;
        return node.position ?? (await services.findPosition(state)) ?? null;
      },
    }),
    estimatedStartMs: t.int({
      nullable: true,
      description:
        'In how many milliseconds from now its work begins, from the measured rate of the workers. Null once it no longer waits, and while no rate is known.',
      resolve: async (node, _args, { services }, info) => {
        const state = await stateForField(node, info);
        if (state.status !== 'QUEUED') return null;
        const position = node.position ?? (await services.findPosition(state));
        return position === undefined ? null : ((await services.estimateStartMs(state.model, position)) ?? null);
      },
    }),
    model: t.string({ description: 'The name of its model.', resolve: ({ state }) => state.model }),
    modelVersion: t.string({
      description: 'The version of the model that its image was prepared for: a digest of weights and specification.',
      resolve: ({ state }) => state.version,
    }),
    priority: t.field({ type: PriorityEnum, description: 'How urgent it is.', resolve: ({ state }) => state.priority }),
    result: t.field({
      type: PredictionResult,
      nullable: true,
      description: 'What the model says. Null unless the status is SUCCEEDED.',
      resolve: async (node, _args, _context, info) => {
        const { result } = await stateForField(node, info);
        return result ? { result, topK: node.topK } : null;
      },
    }),
    error: t.field({
      type: PredictionError,
      nullable: true,
      description: 'Why there is no result. Null while it has not ended, and when it succeeded or was cancelled.',
      resolve: async (node, _args, _context, info) => {
        const { errorCode, status } = await stateForField(node, info);
        const code =
          errorCode ?? (status === 'EXPIRED' ? 'DEADLINE_EXCEEDED' : status === 'FAILED' ? 'MODEL_FAILED' : undefined);
        return code ? { code, message: ERRORS[code].message } : null;
      },
    }),
    attempts: t.int({
      description: 'How often its work was started. More than 1 after a lost worker or a failed attempt.',
      resolve: async (node, _args, _context, info) => (await stateForField(node, info)).attempts,
    }),
    cached: t.boolean({
      description:
        'True where the result was not computed for this prediction alone: shared with an equal one, or from the cache.',
      resolve: async (node, _args, _context, info) => (await stateForField(node, info)).cached,
    }),
    timings: t.field({
      type: Timings,
      nullable: true,
      description: 'Where the time went. Null until it has ended.',
      resolve: async (node, _args, _context, info) => {
        const state = await stateForField(node, info);
        return isTerminal(state.status) ? state : null;
      },
    }),
    batchSize: t.int({
      nullable: true,
      description: 'How many images the model ran at once when it gave this result. Null until then.',
      resolve: async (node, _args, _context, info) => (await stateForField(node, info)).batchSize ?? null,
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it was accepted.',
      resolve: ({ state }) => state.createdAtMs,
    }),
    startedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When its work was (last) started.',
      resolve: async (node, _args, _context, info) => (await stateForField(node, info)).startedAtMs ?? null,
    }),
    finishedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it ended. Null until then.',
      resolve: async (node, _args, _context, info) => (await stateForField(node, info)).finishedAtMs ?? null,
    }),
    deadlineAt: t.field({
      type: 'DateTime',
      description: 'When it expires unless it has ended: acceptance plus timeoutMs.',
      resolve: ({ state }) => state.deadlineMs,
    }),
    retryOf: t.id({
      nullable: true,
      description: 'The failed prediction that this one tries again, where an operator asked for that.',
      resolve: ({ state }) => state.retryOf ?? null,
    }),
  }),
});

builder.queryField('prediction', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: Prediction,
    nullable: true,
    description:
      'A prediction as it is at this moment. Null where the id is unknown or of another tenant, or the prediction ended long ago.',
    args: { id: t.arg.id({ required: true, description: 'The `id` that the mutation gave.' }) },
    resolve: async (_root, { id }, { caller, services }) => viewPrediction(await services.readPrediction(caller, id)),
  }),
);

builder.mutationField('cancelPrediction', (t) =>
  t.field({
    extensions: { scope: 'infer' },
    type: Prediction,
    nullable: true,
    description:
      'Takes a waiting prediction off the queue, or drops the result of a running one. Gives the state after it: CANCELED, or the end that came first. Null where the id is unknown.',
    args: { id: t.arg.id({ required: true, description: 'The `id` that the mutation gave.' }) },
    resolve: async (_root, { id }, { caller, services }) => viewPrediction(await services.cancelPrediction(caller, id)),
  }),
);

builder.subscriptionField('prediction', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: Prediction,
    nullable: true,
    description:
      'A prediction as it goes: the present state at once, then its changes in order (place in the queue included, at a bounded rate), and always the last one, after which the stream ends. Can begin at any time, on any server. An unknown id is an error NOT_FOUND. A server that shuts down ends the stream with an error UNAVAILABLE: subscribe again.',
    args: { id: t.arg.id({ required: true, description: 'The `id` that the mutation gave.' }) },
    subscribe: (_root, { id }, { caller, services }, info) =>
      services.watchPrediction(caller, id, selectsPosition(info)),
    resolve: (view) => viewPrediction(view),
  }),
);
