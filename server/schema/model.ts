import { ignoresProfile, resizeOf } from '@inferql/images/render';
import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';
import { builder } from './builder.ts';
import { Queue } from './queue.ts';

const Precision = builder.enumType('Precision', {
  description: 'The arithmetic of a model.',
  values: {
    FLOAT32: { value: 'float32', description: '32-bit floating point: the weights as they were trained.' },
    INT8: { value: 'int8', description: 'Quantised to 8-bit integers: faster, almost as right.' },
  } as const,
});

const ModelInput = builder.objectRef<ServedModel['input']>('ModelInput').implement({
  description:
    'How images are prepared for a model: turned upright, laid on white if transparent, cropped and resized. With `shortSide`, `cropFraction`, `padColor` null and `cover` false the whole image is stretched.',
  fields: (t) => ({
    width: t.exposeInt('width', { description: 'Pixels across.' }),
    height: t.exposeInt('height', { description: 'Pixels down.' }),
    channels: t.exposeInt('channels', { description: '3 for color, 1 for grey, 4 for color with transparency.' }),
    resize: t.string({
      description:
        'The library whose resizing is reproduced, and its filter, for example `pillow-bilinear` or `tensorflow-area`.',
      resolve: resizeOf,
    }),
    shortSide: t.int({
      nullable: true,
      description: 'The short side is resized to this, then the center is cropped.',
      resolve: (input) => input.shortSide ?? null,
    }),
    cropFraction: t.float({
      nullable: true,
      description: 'This share of each side, around the center, is cut out and stretched.',
      resolve: (input) => input.cropFraction ?? null,
    }),
    cover: t.boolean({
      description: 'True: the largest centered part with the proportions of width and height is cut out and resized.',
      resolve: (input) => input.cover ?? false,
    }),
    padColor: t.string({
      nullable: true,
      description: 'The whole image is fitted in, and the rest is filled with this color, `#rrggbb`.',
      resolve: (input) => input.padColor ?? null,
    }),
    ignoresColorProfile: t.boolean({
      description:
        'True: a color profile in the file is ignored, as the libraries that train models do. False: colors are converted to sRGB.',
      resolve: ignoresProfile,
    }),
    kernel: t.exposeString('kernel', {
      deprecationReason: 'Use `resize`.',
      description: 'The kernel of sharp, if `resize` is one of `sharp-`: nearest, linear, cubic or lanczos3.',
    }),
  }),
});

const ModelHeatmap = builder.objectRef<ServedModel['heatmap']>('ModelHeatmap').implement({
  description: 'Whether a model can say where in the image it saw a class.',
  fields: (t) => ({
    available: t.exposeBoolean('available', { description: 'True where `heatmap` can be selected.' }),
    reason: t.string({
      nullable: true,
      description: 'Why it is not available.',
      resolve: ({ reason }) => reason ?? null,
    }),
  }),
});

const Batching = builder.objectRef<ServedModel['batching']>('Batching').implement({
  description: 'How a worker gathers images for one run of the model.',
  fields: (t) => ({
    maxBatchSize: t.exposeInt('maxBatchSize', { description: 'At most this many images a run.' }),
    maxQueueDelayMs: t.exposeFloat('maxQueueDelayMs', {
      description: 'An idle worker waits at most this many milliseconds for more images.',
    }),
  }),
});

const QueueLimits = builder.objectRef<ServedModel['queue']>('QueueLimits').implement({
  description: 'The bounds of a queue and of what stands in it.',
  fields: (t) => ({
    maxQueueSize: t.exposeInt('maxQueueSize', {
      description: 'At most this many predictions wait; more are refused with QUEUE_FULL.',
    }),
    maxQueuedBytes: t.exposeFloat('maxQueuedBytes', {
      description: 'At most this many bytes of prepared images wait.',
    }),
    defaultTimeoutMs: t.exposeInt('defaultTimeoutMs', { description: 'timeoutMs of a prediction that names none.' }),
    resultTtlMs: t.exposeFloat('resultTtlMs', { description: 'How long an ended prediction can be read.' }),
    visibilityMs: t.exposeFloat('visibilityMs', {
      description: 'A worker not heard of for this long has its work taken over by another.',
    }),
    maxAttempts: t.exposeInt('maxAttempts', { description: 'How often work is started before it ends FAILED.' }),
    fairShares: t.boolean({
      description: 'Whether tenants share the work of a priority by their weights; false: first come, first served.',
      resolve: ({ fairShares }) => fairShares ?? false,
    }),
    refuseUnreachableDeadlines: t.boolean({
      description:
        'Whether a request that by the measured rate cannot end before its deadline is refused with DEADLINE_UNREACHABLE.',
      resolve: ({ refuseUnreachableDeadlines }) => refuseUnreachableDeadlines ?? false,
    }),
    graceMs: t.exposeFloat('graceMs', { description: 'How long a model without a worker still takes work.' }),
  }),
});

const Task = builder.enumType('Task', {
  description: 'What a classifier says of an image.',
  values: {
    SINGLE_LABEL: { value: 'single-label', description: 'One class: the scores of all classes sum to 1.' },
    MULTI_LABEL: { value: 'multi-label', description: 'Any number of classes: each has a score of its own, 0 to 1.' },
  } as const,
});

interface ClassName {
  index: number;
  name: string;
}

const ModelLabel = builder.objectRef<ClassName>('ModelLabel').implement({
  description: 'One class that a model knows.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'Its place in the output of the model, from 0 on: `Label.index`.' }),
    name: t.exposeString('name', { description: 'Its name: `Label.name`.' }),
  }),
});

const MAX_PAGE = 1000;

const Model = builder.objectRef<ServedModel>('Model').implement({
  description: 'A model that workers serve, or served a short while ago.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, for the argument `model`.' }),
    version: t.exposeString('version', {
      description: 'The current version: a digest of its weights and specification.',
    }),
    description: t.exposeString('description', { description: 'What it is, in a sentence. May be empty.' }),
    engine: t.exposeString('engine', { description: 'What runs it: `onnxruntime`, `tensorflow` or `wasm`.' }),
    engineReason: t.exposeString('engineReason', { description: 'Why that engine was chosen.' }),
    precision: t.expose('precision', { type: Precision, description: 'Its arithmetic.' }),
    input: t.expose('input', { type: ModelInput, description: 'How photographs are prepared for it.' }),
    classCount: t.exposeInt('classCount', { description: 'How many classes it knows.' }),
    task: t.field({
      type: Task,
      description: 'Whether an image has one class, or any number of them.',
      resolve: ({ task }) => task ?? 'single-label',
    }),
    labels: t.field({
      type: [ModelLabel],
      nullable: true,
      description:
        'The classes that it knows, a page of them by index; `classCount` is how many there are. Null if no worker has announced their names.',
      args: {
        offset: t.arg.int({ defaultValue: 0, description: 'The index to begin with.' }),
        limit: t.arg.int({ defaultValue: 100, description: `At most this many, 1 to ${MAX_PAGE}.` }),
      },
      resolve: async ({ name, version }, { offset, limit }, { services }) => {
        const from = offset ?? 0;
        const count = limit ?? 100;
        if (from < 0 || count < 1 || count > MAX_PAGE) {
          const message = `offset must be 0 or more, and limit between 1 and ${MAX_PAGE}.`;
          throw new InferqlError('INVALID_INPUT', { message });
        }
        const names = await services.readClassNames(name, version);
        return names?.slice(from, from + count).map((label, at) => ({ index: from + at, name: label })) ?? null;
      },
    }),
    heatmap: t.expose('heatmap', { type: ModelHeatmap, description: 'Whether it can give heatmaps.' }),
    batching: t.expose('batching', { type: Batching, description: 'How images are gathered for one run.' }),
    limits: t.field({ type: QueueLimits, description: 'The bounds of its queue.', resolve: ({ queue }) => queue }),
    isDefault: t.boolean({
      description: 'True for the model that is meant where none is named.',
      resolve: async ({ name }, _args, { caller, services }) =>
        (await services.findModel(caller, undefined))?.name === name,
    }),
    queue: t.field({
      type: Queue,
      nullable: true,
      description: 'Its queue and workers at this moment.',
      resolve: ({ name }, _args, { caller, services }) => services.viewQueue(caller, name),
    }),
  }),
});

builder.queryField('models', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: [Model],
    description:
      'All models that workers serve, or served until a short while ago, and that the caller may use, by name.',
    resolve: (_root, _args, { caller, services }) => services.listModels(caller),
  }),
);

builder.queryField('model', (t) =>
  t.field({
    extensions: { scope: 'read' },
    type: Model,
    nullable: true,
    description: 'One model. Null if none of that name is served, or was until a short while ago.',
    args: { name: t.arg.string({ required: true, description: 'Its name.' }) },
    resolve: async (_root, { name }, { caller, services }) => (await services.findModel(caller, name)) ?? null,
  }),
);
