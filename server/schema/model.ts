/** The type `Model` with its parts, and its queries. */
import { ignoresProfile, resizeOf } from '@inferql/images/render-input';
import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { dtypeOf, elementsOf, type ModelOutput } from '@inferql/queue/outputs';
import { builder } from './builder.ts';
import { TaskEnum, TensorTypeEnum } from './outputs.ts';
import { Queue } from './queue.ts';

const Precision = builder.enumType('Precision', {
  description: 'The numeric precision of a model.',
  values: {
    FLOAT32: { value: 'float32', description: '32-bit floating point, as trained.' },
    INT8: { value: 'int8', description: 'Quantized to 8-bit integers: faster, slightly less accurate.' },
  } as const,
});

const ModelInput = builder.objectRef<ServedModel['input']>('ModelInput').implement({
  description:
    'How images are prepared for a model: rotated upright, composited on white if transparent, cropped and resized. If `shortSide`, `stretchTo`, `cropFraction` and `padColor` are null and `cover` is false, the whole image is stretched.',
  fields: (t) => ({
    width: t.exposeInt('width', { description: 'Width in pixels.' }),
    height: t.exposeInt('height', { description: 'Height in pixels.' }),
    channels: t.exposeInt('channels', { description: '3 for color, 1 for gray, 4 for color with transparency.' }),
    resize: t.string({
      description:
        'The library whose resizing is reproduced, and its filter, such as `pillow-bilinear` or `tensorflow-area`.',
      resolve: resizeOf,
    }),
    shortSide: t.int({
      nullable: true,
      description: 'The short side is resized to this, then the center is cropped.',
      resolve: (input) => input.shortSide ?? null,
    }),
    stretchTo: t.int({
      nullable: true,
      description: 'The whole image is stretched to a square of this side, then the center is cropped.',
      resolve: (input) => input.stretchTo ?? null,
    }),
    cropFraction: t.float({
      nullable: true,
      description: 'This share of each side, around the center, is cropped out and stretched.',
      resolve: (input) => input.cropFraction ?? null,
    }),
    cover: t.boolean({
      description:
        'If true, the largest centered part with the proportions of width and height is cropped out and resized.',
      resolve: (input) => input.cover ?? false,
    }),
    padColor: t.string({
      nullable: true,
      description: 'The whole image is fitted in, and the rest is filled with this color, `#rrggbb`.',
      resolve: (input) => input.padColor ?? null,
    }),
    ignoresColorProfile: t.boolean({
      description:
        'If true, a color profile in the file is ignored, as in the libraries that train models. If false, colors are converted to sRGB.',
      resolve: ignoresProfile,
    }),
    kernel: t.exposeString('kernel', {
      deprecationReason: 'Use `resize`.',
      description: "sharp's kernel, if `resize` begins with `sharp-`: nearest, linear, cubic or lanczos3.",
    }),
  }),
});

const ModelHeatmap = builder.objectRef<ServedModel['heatmap']>('ModelHeatmap').implement({
  description: 'Whether a model can show where in the image it saw a class.',
  fields: (t) => ({
    available: t.exposeBoolean('available', { description: 'True if `heatmap` can be selected.' }),
    reason: t.string({
      nullable: true,
      description: 'Why it is not available.',
      resolve: ({ reason }) => reason ?? null,
    }),
  }),
});

const Batching = builder.objectRef<ServedModel['batching']>('Batching').implement({
  description: 'How a worker forms batches.',
  fields: (t) => ({
    maxBatchSize: t.exposeInt('maxBatchSize', { description: 'Maximum number of images per run.' }),
    maxQueueDelayMs: t.exposeFloat('maxQueueDelayMs', {
      description: 'How long an idle worker waits for more images, in milliseconds.',
    }),
  }),
});

const QueueLimits = builder.objectRef<ServedModel['queue']>('QueueLimits').implement({
  description: 'The limits of a queue and of the predictions in it.',
  fields: (t) => ({
    maxQueueSize: t.exposeInt('maxQueueSize', {
      description: 'Maximum number of waiting predictions; more are refused with QUEUE_FULL.',
    }),
    maxQueuedBytes: t.exposeFloat('maxQueuedBytes', {
      description: 'Maximum number of bytes of prepared images that wait or are being processed.',
    }),
    defaultTimeoutMs: t.exposeInt('defaultTimeoutMs', {
      description: 'The timeoutMs of predictions whose mutation does not set it.',
    }),
    resultTtlMs: t.exposeFloat('resultTtlMs', {
      description: 'How long a prediction can be read after it has ended, in milliseconds.',
    }),
    visibilityMs: t.exposeFloat('visibilityMs', {
      description:
        'The lease: a job whose worker does not extend it for this many milliseconds is reclaimed by another worker.',
    }),
    maxAttempts: t.exposeInt('maxAttempts', {
      description: 'Maximum number of attempts before a prediction ends FAILED.',
    }),
    fairShares: t.boolean({
      description:
        'If true, tenants share the work of a priority by their weights. If false, it is first come, first served.',
      resolve: ({ fairShares }) => fairShares ?? false,
    }),
    refuseUnreachableDeadlines: t.boolean({
      description:
        'Whether a request is refused with DEADLINE_UNREACHABLE if, at the measured rate, it cannot end before its deadline.',
      resolve: ({ refuseUnreachableDeadlines }) => refuseUnreachableDeadlines ?? false,
    }),
    graceMs: t.exposeFloat('graceMs', {
      description: 'How long a model without a worker still accepts predictions, in milliseconds.',
    }),
  }),
});

interface ClassName {
  index: number;
  name: string;
}

const ModelLabel = builder.objectRef<ClassName>('ModelLabel').implement({
  description: 'One class of a model.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: "Zero-based index of the class in the model's output: `Label.index`." }),
    name: t.exposeString('name', { description: 'Its name: `Label.name`.' }),
  }),
});

const MAX_PAGE = 1000;

const pageArguments = builder.args((t) => ({
  offset: t.int({ defaultValue: 0, description: 'The first index.' }),
  limit: t.int({ defaultValue: 100, description: `Maximum number of labels, 1 to ${MAX_PAGE}.` }),
}));

/** @throws InferqlError INVALID_INPUT if the page is out of its range */
function cutPage(
  names: readonly string[] | null | undefined,
  page: { offset?: number | null | undefined; limit?: number | null | undefined },
): ClassName[] | null {
  const from = page.offset ?? 0;
  const count = page.limit ?? 100;
  if (from < 0 || count < 1 || count > MAX_PAGE) {
    const message = `offset must be 0 or more, and limit between 1 and ${MAX_PAGE}.`;
    throw new InferqlError('INVALID_INPUT', { message });
  }
  return names?.slice(from, from + count).map((label, at) => ({ index: from + at, name: label })) ?? null;
}

interface OutputView {
  output: ModelOutput;
  model: { name: string; version: string };
}

const OutputTypeEnum = builder.enumType('OutputType', {
  description: "The type of a model's output.",
  values: {
    LABELS: { value: 'labels', description: 'A classification: `PredictionResult.head`.' },
    EMBEDDING: { value: 'embedding', description: 'A vector that describes the image: `PredictionResult.embedding`.' },
    TENSOR: { value: 'tensor', description: 'A raw output: `PredictionResult.tensor`.' },
  } as const satisfies Record<string, { value: ModelOutput['type']; description: string }>,
});

const ModelOutputRef = builder.objectRef<OutputView>('ModelOutput').implement({
  description: 'An output of a model besides its labels.',
  fields: (t) => ({
    name: t.string({ description: 'Its name.', resolve: ({ output }) => output.name }),
    type: t.field({ type: OutputTypeEnum, description: 'Its type.', resolve: ({ output }) => output.type }),
    classCount: t.int({
      nullable: true,
      description: 'The number of classes of a head.',
      resolve: ({ output }) => (output.type === 'labels' ? output.classCount : null),
    }),
    task: t.field({
      type: TaskEnum,
      nullable: true,
      description: 'Whether an image has one class of a head, or any number of them.',
      resolve: ({ output }) => (output.type === 'labels' ? output.task : null),
    }),
    threshold: t.float({
      nullable: true,
      description: 'Labels of a head with a lower score are omitted unless the caller passes another threshold.',
      resolve: ({ output }) => (output.type === 'labels' ? (output.threshold ?? null) : null),
    }),
    labels: t.field({
      type: [ModelLabel],
      nullable: true,
      description: 'A page of the classes of a head, by index. Null if no worker has registered their names.',
      args: pageArguments,
      resolve: async ({ output, model }, page, { services }) => {
        if (output.type !== 'labels') return null;
        const heads = await services.readHeadLabels(model.name, model.version);
        return cutPage(heads?.[output.name], page);
      },
    }),
    dtype: t.field({
      type: TensorTypeEnum,
      description: 'The type of its elements.',
      resolve: ({ output }) => dtypeOf(output),
    }),
    shape: t.intList({
      description: 'Its dimensions, without the batch.',
      resolve: ({ output }) => (output.type === 'tensor' ? output.shape : [elementsOf(output)]),
    }),
  }),
});

const Model = builder.objectRef<ServedModel>('Model').implement({
  description: 'A model that workers serve or recently served.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, for the argument `model`.' }),
    version: t.exposeString('version', {
      description: 'The current version: a digest of its weights and specification.',
    }),
    description: t.exposeString('description', { description: 'What it is, in one sentence. May be empty.' }),
    engine: t.exposeString('engine', {
      description: "What runs it: `onnxruntime`, `tensorflow`, `wasm`, or `module` for the model's own code.",
    }),
    engineReason: t.exposeString('engineReason', { description: 'Why that engine was chosen.' }),
    precision: t.expose('precision', { type: Precision, description: 'Its numeric precision.' }),
    input: t.expose('input', { type: ModelInput, description: 'How images are prepared for it.' }),
    classCount: t.exposeInt('classCount', { description: 'The number of classes.' }),
    task: t.field({
      type: TaskEnum,
      description: 'Whether an image has exactly one class, or any number of them.',
      resolve: ({ task }) => task ?? 'single-label',
    }),
    labels: t.field({
      type: [ModelLabel],
      nullable: true,
      description:
        'A page of its classes, by index. `classCount` is their total number. Null if no worker has registered their names.',
      args: pageArguments,
      resolve: async ({ name, version }, page, { services }) =>
        cutPage(await services.readClassNames(name, version), page),
    }),
    threshold: t.float({
      nullable: true,
      description: 'Labels with a lower score are omitted from results unless the caller passes another threshold.',
      resolve: ({ threshold }) => threshold ?? null,
    }),
    outputs: t.field({
      type: [ModelOutputRef],
      description: 'What results contain besides labels: heads, embeddings and tensors.',
      resolve: ({ name, version, outputs = [] }) => outputs.map((output) => ({ output, model: { name, version } })),
    }),
    heatmap: t.expose('heatmap', { type: ModelHeatmap, description: 'Whether it can produce heatmaps.' }),
    batching: t.expose('batching', { type: Batching, description: 'How images are batched.' }),
    limits: t.field({ type: QueueLimits, description: 'The limits of its queue.', resolve: ({ queue }) => queue }),
    isDefault: t.boolean({
      description: 'True for the model of requests that do not name one.',
      resolve: ({ name }, _args, { caller, services }) => services.isDefaultModel(caller, name),
    }),
    queue: t.field({
      type: Queue,
      nullable: true,
      description: 'The current state of its queue and workers.',
      resolve: ({ name }, _args, { caller, services }) => services.viewQueue(caller, name),
    }),
  }),
});

builder.queryField('models', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: [Model],
    description: 'All models that workers serve or recently served and that the caller may use, by name.',
    resolve: (_root, _args, { caller, services }) => services.listModels(caller),
  }),
);

builder.queryField('model', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: Model,
    nullable: true,
    description: 'One model. Null if no model of that name is served or was recently served.',
    args: { name: t.arg.string({ required: true, description: 'Its name.' }) },
    resolve: async (_root, { name }, { caller, services }) => (await services.findModel(caller, name)) ?? null,
  }),
);
