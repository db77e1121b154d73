/** What resolvers of `Prediction` read from. */
import type { PredictionState } from '@inferql/queue/contract';
import type { FieldNode, GraphQLResolveInfo } from 'graphql';
import type { PredictionView } from '../predictions/predictions.ts';

/** Number of labels if neither the mutation nor the field gives one. */
export const DEFAULT_TOP_K = 5;

/** A prediction as the resolvers of its type see it. */
export interface PredictionNode {
  state: PredictionState;
  position?: number | undefined;
  topK: number;
  /** Fields inside @defer: they answer from the terminal state, once it is known. */
  deferred?: { fields: ReadonlySet<FieldNode>; end: Promise<PredictionState> } | undefined;
}

/** The state that a field answers from: the current one, or the terminal one for a field that waits inside @defer. */
export async function stateForField(node: PredictionNode, info: GraphQLResolveInfo): Promise<PredictionState> {
  const { deferred } = node;
  return deferred && info.fieldNodes.some((field) => deferred.fields.has(field)) ? deferred.end : node.state;
}

export function viewPrediction(view: PredictionView): PredictionNode;
export function viewPrediction(view: PredictionView | null): PredictionNode | null;
export function viewPrediction(view: PredictionView | null): PredictionNode | null {
  return view && { state: view.state, position: view.position, topK: DEFAULT_TOP_K };
}
