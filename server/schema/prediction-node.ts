/** What resolvers of `Prediction` read from. */
import type { PredictionState } from '@inferql/queue/contract';
import { DEFAULT_TOP_K } from '@inferql/queue/contract';
import type { FieldNode, GraphQLResolveInfo } from 'graphql';
import type { PredictionView } from '../predictions/predictions.ts';
import type { ServerContext } from './context.ts';

/** A prediction as the resolvers of its type see it. */
export interface PredictionNode {
  state: PredictionState;
  position?: number | undefined;
  topK: number;
  /** Fields inside @defer: they answer from the terminal state, once it is known. */
  deferred?: { fields: ReadonlySet<FieldNode>; end: Promise<PredictionState> } | undefined;
}

/**
 * A resolver that reads the state that its field answers from: the current one, or the terminal one for a field that waits inside @defer.
 * Without a wait it answers at once, since a promise per field costs more than its value.
 */
export function fromState<T>(
  read: (state: PredictionState, node: PredictionNode, context: ServerContext) => T | Promise<T>,
) {
  return (node: PredictionNode, _args: object, context: ServerContext, info: GraphQLResolveInfo): T | Promise<T> => {
    const { state, deferred } = node;
    const waits = deferred && info.fieldNodes.some((field) => deferred.fields.has(field));
    if (!waits) return read(state, node, context);
    // The position is that of the current state.
    return deferred.end.then((end) => read(end, { ...node, state: end, position: undefined }, context));
  };
}

/** A prediction as it is now, for resolvers: no field waits. */
export function viewPrediction(view: PredictionView): PredictionNode;
export function viewPrediction(view: PredictionView | null): PredictionNode | null;
export function viewPrediction(view: PredictionView | null): PredictionNode | null {
  return view && { state: view.state, position: view.position, topK: DEFAULT_TOP_K };
}
