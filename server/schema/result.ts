/** The type `PredictionResult`: labels and heatmaps. */
import { renderHeatmap } from '@inferql/images/render-heatmap';
import { type Heatmaps, type Result, STORED_LABELS } from '@inferql/queue/contract';
import { ERRORS, type ErrorCode } from '@inferql/queue/error-codes';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-types.ts';
import {
  EmbeddingRef,
  EmbeddingResult,
  findEmbedding,
  findHead,
  findTensor,
  HeadRef,
  HeadResult,
  LabelRef,
  labelArguments,
  listEmbeddings,
  listHeads,
  listTensors,
  selectLabels,
  TensorRef,
  TensorResult,
} from './outputs.ts';

/** A stored result, and how many labels this request wants if `labels` does not say. */
export interface ResultView {
  result: Result;
  topK: number;
}

interface HeatmapView {
  width: number;
  height: number;
  values: number[];
}

interface HeatmapRefusal {
  code: ErrorCode;
  message: string;
}

const HeatmapRef = builder.objectRef<HeatmapView>('Heatmap').implement({
  description:
    'Where in the image the model saw a class: a class activation map over the part of the image that the model gets, from 0 (cold) to 1 (hot).',
  fields: (t) => ({
    width: t.exposeInt('width', { description: 'Columns of the map.' }),
    height: t.exposeInt('height', { description: 'Rows of the map.' }),
    values: t.exposeFloatList('values', {
      description: 'The map, row by row from the top left corner: width * height values, scaled to the range 0 to 1.',
    }),
    image: t.string({
      description:
        'The map as a transparent PNG in a `data:` URI. To overlay it, stretch it over the part of the image that the model gets (`ModelInput`), around the center. For a model that pads, that part is larger than the image.',
      resolve: (map) => renderHeatmap(map),
    }),
  }),
});

const HeatmapUnavailableRef = builder.objectRef<HeatmapRefusal>('HeatmapUnavailableError').implement({
  description: 'Why there is no heatmap (`HEATMAP_UNAVAILABLE`). The labels are not affected.',
  interfaces: [ErrorInterface],
});

const HeatmapResult = builder.unionType('HeatmapResult', {
  description: 'A heatmap, or why there is none.',
  types: [HeatmapRef, HeatmapUnavailableRef],
  resolveType: (value) => ('values' in value ? 'Heatmap' : 'HeatmapUnavailableError'),
});

export const PredictionResult = builder.objectRef<ResultView>('PredictionResult').implement({
  description: "The model's output for the image.",
  fields: (t) => ({
    labels: t.field({
      type: [LabelRef],
      description: `The best labels, by descending score. A prediction stores the ${STORED_LABELS} best, or more if its mutation requested more. Empty for a model that has \`Model.outputs\` and no labels.`,
      args: labelArguments,
      resolve: ({ result, topK }, args) =>
        selectLabels(result.labels, { topK: args.topK ?? topK, threshold: args.threshold ?? result.threshold }),
    }),
    heads: t.field({
      type: [HeadRef],
      description: 'Additional classifications, in the order of `Model.outputs`. Empty for a model that has none.',
      resolve: listHeads,
    }),
    head: t.field({
      type: HeadResult,
      description: 'One of `heads`.',
      args: { name: t.arg.string({ required: true, description: 'Its name, from `Model.outputs`.' }) },
      resolve: (view, { name }) => findHead(view, name),
    }),
    embedding: t.field({
      type: EmbeddingResult,
      description: 'A vector that describes the image.',
      args: { name: t.arg.string({ description: 'Its name, from `Model.outputs`. Default: the first one.' }) },
      resolve: (view, { name }) => findEmbedding(view, name ?? undefined),
    }),
    embeddings: t.field({
      type: [EmbeddingRef],
      description: 'All embeddings, in the order of `Model.outputs`. Empty for a model that has none.',
      resolve: listEmbeddings,
    }),
    tensor: t.field({
      type: TensorResult,
      description: 'One of `tensors`.',
      args: { name: t.arg.string({ required: true, description: 'Its name, from `Model.outputs`.' }) },
      resolve: (view, { name }) => findTensor(view, name),
    }),
    tensors: t.field({
      type: [TensorRef],
      description: 'Raw outputs of the model, in the order of `Model.outputs`. Empty for a model that has none.',
      resolve: listTensors,
    }),
    extra: t.field({
      type: 'JSON',
      nullable: true,
      description: "Additional JSON from the model's code. Null if there is none.",
      resolve: ({ result }) => result.extra ?? null,
    }),
    heatmap: t.field({
      type: HeatmapResult,
      description:
        'Where in the image the model saw a class. Available if the mutation selected `heatmap` or was sent with `heatmap: true`, and if the model can produce one (`Model.heatmap`).',
      args: {
        index: t.arg.int({
          description:
            'The `Label.index` of the class, which must be among the stored labels. Default: the best label.',
        }),
      },
      resolve: ({ result }, { index }) => findHeatmap(result.heatmaps, index ?? result.labels[0]?.index),
    }),
  }),
});

function findHeatmap(heatmaps: Heatmaps | undefined, index: number | undefined): HeatmapView | HeatmapRefusal {
  if (!heatmaps) return { code: 'HEATMAP_UNAVAILABLE', message: ERRORS.HEATMAP_UNAVAILABLE.message };
  const map = heatmaps.maps.find((candidate) => candidate.index === index);
  if (map) return { width: heatmaps.width, height: heatmaps.height, values: map.values };
  return {
    code: 'HEATMAP_UNAVAILABLE',
    message: 'Heatmaps are stored only for the best labels, and this label is not one of them.',
  };
}
