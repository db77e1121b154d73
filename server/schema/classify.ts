import { ERRORS, InferqlError } from '@inferql/queue/errors';
import type { GraphQLResolveInfo } from 'graphql';
import { InvalidArgumentError } from '../predictions/submit-request.ts';
import type { UploadedFile } from '../uploads/uploaded-file.ts';
import { builder } from './builder.ts';
import type { ServerContext } from './context.ts';
import { type CallerError, InvalidImageError, InvalidInputError, ModelNotFoundError } from './errors.ts';
import { Prediction, PriorityEnum } from './prediction.ts';
import type { PredictionNode } from './prediction-node.ts';
import { planResponse, type ResponsePlan } from './response-plan.ts';

const ClassifyImageResult = builder.unionType('ClassifyImageResult', {
  description:
    'An accepted prediction, or an error that the caller can fix. What only time can fix (`QUEUE_FULL`, `UNAVAILABLE`) comes as a GraphQL error with `extensions.code` and `extensions.retryAfterMs`.',
  types: [Prediction, InvalidImageError, ModelNotFoundError, InvalidInputError],
  resolveType: (value) => ('type' in value ? value.type : 'Prediction'),
});

interface ClassifyArguments {
  model?: string | null | undefined;
  topK?: number | null | undefined;
  priority?: 'HIGH' | 'NORMAL' | 'LOW' | null | undefined;
  timeoutMs?: number | null | undefined;
  idempotencyKey?: string | null | undefined;
  heatmap?: boolean | null | undefined;
}

const KEY_DESCRIPTION =
  'Your own name for this request, 1 to 200 characters. Sent again with the same image and options it gives the same prediction instead of a second one; after FAILED or EXPIRED it begins a new one.';

const options = (keyDescription = KEY_DESCRIPTION) =>
  builder.args((t) => ({
    model: t.string({ description: 'The name of a model from `models`. Left out: the default model.' }),
    topK: t.int({
      defaultValue: 5,
      description:
        'How many labels `labels` gives in this answer, 1 to 1000. More than 20 are kept only if they are asked for here.',
    }),
    priority: t.field({ type: PriorityEnum, defaultValue: 'NORMAL', description: 'How urgent it is.' }),
    timeoutMs: t.int({
      description:
        'How long the work may take from its acceptance, in milliseconds: past it a prediction ends EXPIRED, whether it waits or runs. 1 to 86,400,000. Left out: what the model says (300,000 unless set otherwise). A mutation that waits for the end waits this long, but never more than 60 seconds; its prediction goes on.',
    }),
    idempotencyKey: t.string({ description: keyDescription }),
    heatmap: t.boolean({
      defaultValue: false,
      description:
        'Also compute heatmaps, for those who read them later. Selecting `heatmap` in this mutation does the same.',
    }),
  }));

builder.mutationField('classifyImage', (t) =>
  t.field({
    extensions: { scope: 'infer' },
    type: ClassifyImageResult,
    description:
      'Classifies a photograph (JPEG, PNG, WebP, AVIF, TIFF, BMP, ICO, or the first frame of a GIF). What you select decides when it answers: with `result`, once there is one; with `id` and `status` only, as soon as it is queued, to be followed by the subscription `prediction`; with `result` inside `@defer`, both on one response.',
    args: {
      image: t.arg({
        type: 'Upload',
        required: true,
        description: 'The photograph, at most 10 MB (unless the server is set otherwise).',
      }),
      ...options(),
    },
    resolve: (_root, { image, ...args }, context, info) => classify(image, args, context, planResponse(info)),
  }),
);

builder.mutationField('classifyImages', (t) =>
  t.field({
    extensions: { scope: 'infer' },
    type: [ClassifyImageResult],
    nullable: { list: false, items: true },
    description:
      'Classifies several photographs, each a prediction of its own: a bad one does not harm its neighbours. Answers in the order of the files. An item that had no place in the queue is null, with its error and path in `errors`.',
    args: {
      images: t.arg({
        type: ['Upload'],
        required: true,
        description: 'The photographs, at most 32, each at most 10 MB (unless the server is set otherwise).',
      }),
      ...options(`${KEY_DESCRIPTION} It counts for each file by its place in the list.`),
    },
    resolve: (_root, { images, ...args }, context, info) => classifyAll(images, args, context, info),
  }),
);

async function classifyAll(
  images: UploadedFile[],
  args: ClassifyArguments,
  context: ServerContext,
  info: GraphQLResolveInfo,
): Promise<Promise<PredictionNode | CallerError>[]> {
  const { maxImages } = context.services.limits;
  if (images.length > maxImages) {
    throw new InferqlError('INVALID_INPUT', {
      message: `images has more than the ${maxImages} files that one request may carry.`,
    });
  }
  const plan = planResponse(info);
  return images.map((image, place) => classify(image, args, context, plan, place));
}

async function classify(
  image: UploadedFile,
  args: ClassifyArguments,
  { caller, services, signal }: ServerContext,
  plan: ResponsePlan,
  place?: number,
): Promise<PredictionNode | CallerError> {
  try {
    const topK = args.topK ?? 5;
    const view = await services.submit({
      image,
      model: args.model ?? undefined,
      topK,
      priority: args.priority ?? 'NORMAL',
      timeoutMs: args.timeoutMs ?? undefined,
      idempotencyKey: args.idempotencyKey ?? undefined,
      place,
      heatmap: args.heatmap || plan.heatmap,
      labels: Math.max(topK, plan.labels),
      wait: plan.wait,
      caller,
      signal,
    });
    const deferred = view.end && { fields: plan.deferredFields, end: view.end };
    return { state: view.state, position: view.position, topK, deferred };
  } catch (error) {
    if (error instanceof InferqlError && ERRORS[error.code].tier === 'caller') return describeRefusal(error);
    throw error;
  }
}

function describeRefusal(error: InferqlError): CallerError {
  const { code, message } = error;
  switch (code) {
    case 'MODEL_NOT_FOUND':
      return { type: 'ModelNotFoundError', code, message };
    case 'INVALID_INPUT':
      return {
        type: 'InvalidInputError',
        code,
        message,
        argument: error instanceof InvalidArgumentError ? error.argument : undefined,
      };
    case 'IDEMPOTENCY_KEY_REUSED':
      return { type: 'InvalidInputError', code, message, argument: 'idempotencyKey' };
    default:
      return { type: 'InvalidImageError', code, message };
  }
}
