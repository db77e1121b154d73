/** The mutations `classifyImage` and `classifyImages`. */

import { DEFAULT_TOP_K } from '@inferql/queue/contract';
import { ERRORS, InferqlError } from '@inferql/queue/error-codes';
import type { GraphQLResolveInfo } from 'graphql';
import { InvalidArgumentError } from '../predictions/submit-request.ts';
import type { UploadedFile } from '../uploads/uploaded-file.ts';
import { builder } from './builder.ts';
import type { ServerContext } from './context.ts';
import {
  type CallerError,
  ImageUrlError,
  InvalidImageError,
  InvalidInputError,
  ModelNotFoundError,
} from './error-types.ts';
import { Prediction, PriorityEnum } from './prediction.ts';
import type { PredictionNode } from './prediction-node.ts';
import { planResponse, type ResponsePlan } from './response-plan.ts';

const ClassifyImageResult = builder.unionType('ClassifyImageResult', {
  description:
    'An accepted prediction, or an error that the caller can fix. Transient errors (`QUEUE_FULL`, `UNAVAILABLE`) are GraphQL errors with `extensions.code` and `extensions.retryAfterMs`.',
  types: [Prediction, InvalidImageError, ImageUrlError, ModelNotFoundError, InvalidInputError],
  resolveType: (value) => ('type' in value ? value.type : 'Prediction'),
});

const ImageInput = builder.inputType('ImageInput', {
  description: 'An image: exactly one of these.',
  isOneOf: true,
  fields: (t) => ({
    upload: t.field({ type: 'Upload', description: 'A file of a multipart request.' }),
    url: t.field({
      type: 'URL',
      description:
        'A URL from which the server reads the image, if its operator allows it (`INFERQL_IMAGE_URLS`). If it cannot or may not read it, the result is an `ImageUrlError`.',
    }),
    dataUrl: t.string({
      description:
        'The image itself, as `canvas.toDataURL()` returns it: `data:image/png;base64,…`. It is a third larger than an upload.',
    }),
  }),
});

interface ImageSources {
  upload?: UploadedFile | null | undefined;
  url?: string | null | undefined;
  dataUrl?: string | null | undefined;
}

interface ClassifyArguments {
  model?: string | null | undefined;
  topK?: number | null | undefined;
  priority?: 'HIGH' | 'NORMAL' | 'LOW' | null | undefined;
  timeoutMs?: number | null | undefined;
  idempotencyKey?: string | null | undefined;
  heatmap?: boolean | null | undefined;
}

const KEY_DESCRIPTION =
  'Identifies this request, 1 to 200 characters of your choice. A repeated request with the same image and options returns the same prediction instead of a second one. After FAILED, CANCELED or EXPIRED it starts a new one.';

const options = (keyDescription = KEY_DESCRIPTION) =>
  builder.args((t) => ({
    model: t.string({ description: 'The name of a model from `models`. Default: the default model.' }),
    topK: t.int({
      defaultValue: DEFAULT_TOP_K,
      description:
        'How many labels `labels` returns in this response, 1 to 1000. More than 20 are stored only if they are requested here.',
    }),
    priority: t.field({ type: PriorityEnum, defaultValue: 'NORMAL', description: 'Its urgency.' }),
    timeoutMs: t.int({
      description:
        "Time limit of the prediction, in milliseconds from its acceptance, 1 to 86,400,000. After that it ends EXPIRED, even if it is running. Default: the model's setting (300,000 by default). A mutation that waits for the result waits this long, but at most 60 seconds; the prediction continues.",
    }),
    idempotencyKey: t.string({ description: keyDescription }),
    heatmap: t.boolean({
      defaultValue: false,
      description:
        'Also compute heatmaps, so that they can be read later. Selecting `heatmap` in this mutation does the same.',
    }),
  }));

builder.mutationField('classifyImage', (t) =>
  t.field({
    extensions: { scope: 'infer' },
    type: ClassifyImageResult,
    description:
      'Classifies an image (JPEG, PNG, WebP, AVIF, TIFF, BMP, ICO, or the first frame of a GIF). Your selection decides when it responds. If you select `result`, it waits for the result. If you select only `id` and `status`, it responds as soon as the image is queued: watch it with the subscription `prediction`. If you select `result` inside `@defer`, one response delivers both.',
    args: {
      image: t.arg({
        type: 'Upload',
        description: 'The image as a file, by default at most 10 MiB. Pass either this or `source`.',
      }),
      source: t.arg({
        type: ImageInput,
        description: 'The image in one of several forms. Pass either this or `image`.',
      }),
      ...options(),
    },
    resolve: (_root, { image, source, ...args }, context, info) =>
      classify(() => openImage(image, source, context), args, context, planResponse(info)),
  }),
);

builder.mutationField('classifyImages', (t) =>
  t.field({
    extensions: { scope: 'infer' },
    type: [ClassifyImageResult],
    nullable: { list: false, items: true },
    description:
      'Classifies several images, each as a separate prediction: a bad file does not affect the others. The results are in the order of the files. If the queue refuses an image, its item is null, and `errors` has the error with its path.',
    args: {
      images: t.arg({
        type: ['Upload'],
        required: true,
        description: 'The images, by default at most 32, each at most 10 MiB.',
      }),
      ...options(`${KEY_DESCRIPTION} Each file in the list counts separately.`),
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
      message: `images has more files than one request may have (${maxImages}).`,
    });
  }
  const plan = planResponse(info);
  return images.map((image, place) => classify(() => image, args, context, plan, place));
}

/** @throws InferqlError INVALID_INPUT unless there is exactly one image */
function openImage(
  image: UploadedFile | null | undefined,
  source: ImageSources | null | undefined,
  { caller, services, signal }: ServerContext,
): UploadedFile {
  const { upload, url, dataUrl } = source ?? {};
  const file = image ?? upload;
  if (image && source) {
    for (const unused of [image, upload]) unused?.release();
    throw new InvalidArgumentError('source', 'Pass either image or source, not both.');
  }
  if (file) return file;
  if (url != null) return services.openSource({ url }, caller, signal);
  if (dataUrl != null) return services.openSource({ dataUrl }, caller, signal);
  throw new InvalidArgumentError('image', 'Pass an image or a source.');
}

async function classify(
  open: () => UploadedFile,
  args: ClassifyArguments,
  { caller, services, signal, onSubmitted }: ServerContext,
  plan: ResponsePlan,
  place?: number,
): Promise<PredictionNode | CallerError> {
  try {
    const topK = args.topK ?? DEFAULT_TOP_K;
    const view = await services.submit({
      image: open(),
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
    onSubmitted?.(view);
    const deferred = view.end && { fields: plan.deferredFields, end: view.end };
    return { state: view.state, position: view.position, topK, deferred };
  } catch (error) {
    if (error instanceof InferqlError && ERRORS[error.code].delivery === 'member') return describeRefusal(error);
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
    case 'IMAGE_URL_REFUSED':
    case 'IMAGE_URL_FAILED':
      return { type: 'ImageUrlError', code, message };
    case 'IDEMPOTENCY_KEY_REUSED':
      return { type: 'InvalidInputError', code, message, argument: 'idempotencyKey' };
    default:
      return { type: 'InvalidImageError', code, message };
  }
}
