/** Derives from a selection whether a mutation waits, defers or answers at once. */
import {
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLIncludeDirective,
  type GraphQLResolveInfo,
  GraphQLSkipDirective,
  getDirectiveValues,
  Kind,
  type SelectionNode,
  type SelectionSetNode,
  valueFromASTUntyped,
} from 'graphql';

/** Fields that are known once a prediction has ended. */
const TERMINAL_FIELDS = new Set(['result', 'error', 'timings', 'finishedAt']);
/** Fields that change while a prediction runs: inside a deferred fragment that waits, they give the final value, too. */
const CHANGING_FIELDS = new Set([
  ...TERMINAL_FIELDS,
  'status',
  'queuePosition',
  'estimatedStartMs',
  'attempts',
  'cached',
  'batchSize',
  'startedAt',
]);

/** What a mutation's selection asks for. */
export interface ResponsePlan {
  /** `result`: a terminal field is selected; `deferred`: only inside @defer; `none`: none is. */
  wait: 'result' | 'deferred' | 'none';
  /** A heatmap is selected somewhere. */
  heatmap: boolean;
  /** The largest topK that is selected somewhere; 0 if none is. */
  labels: number;
  /** The fields inside @defer that answer from the terminal state. */
  deferredFields: ReadonlySet<FieldNode>;
}

interface Reading {
  fragments: Record<string, FragmentDefinitionNode>;
  variables: Record<string, unknown>;
}

interface Walk extends Reading {
  atOnce: Set<FieldNode>;
  deferred: Set<FieldNode>;
  heatmap: boolean;
  labels: number;
}

/** Reads from a field's selection whether its answer must wait for the prediction's end. Honors fragments, @include, @skip and @defer. */
export function planResponse(info: GraphQLResolveInfo): ResponsePlan {
  const walk: Walk = {
    fragments: info.fragments,
    variables: info.variableValues,
    atOnce: new Set(),
    deferred: new Set(),
    heatmap: false,
    labels: 0,
  };
  for (const node of info.fieldNodes) if (node.selectionSet) walkSelection(node.selectionSet, false, walk);

  const isTerminalField = (field: FieldNode) => TERMINAL_FIELDS.has(field.name.value);
  const waitsAtOnce = [...walk.atOnce].some(isTerminalField);
  const waitsLater = [...walk.deferred].some((field) => isTerminalField(field) && !walk.atOnce.has(field));
  const deferredFields = new Set(
    [...walk.deferred].filter((field) => CHANGING_FIELDS.has(field.name.value) && !walk.atOnce.has(field)),
  );
  return {
    wait: waitsAtOnce ? 'result' : waitsLater ? 'deferred' : 'none',
    heatmap: walk.heatmap,
    labels: walk.labels,
    deferredFields,
  };
}

function walkSelection({ selections }: SelectionSetNode, deferred: boolean, walk: Walk): void {
  for (const selection of selections) {
    if (!isIncluded(selection, walk)) continue;
    if (selection.kind === Kind.FIELD) {
      (deferred ? walk.deferred : walk.atOnce).add(selection);
      if (selection.name.value === 'result' && selection.selectionSet) {
        walk.heatmap ||= selectsHeatmap(selection.selectionSet, walk);
        walk.labels = Math.max(walk.labels, largestTopK(selection.selectionSet, walk));
      }
      continue;
    }
    const within = selection.kind === Kind.FRAGMENT_SPREAD ? walk.fragments[selection.name.value] : selection;
    if (within) walkSelection(within.selectionSet, deferred || isDeferred(selection, walk), walk);
  }
}

function selectsHeatmap(selectionSet: SelectionSetNode, walk: Walk): boolean {
  return selectsField(selectionSet, walk, ({ name }) => name.value === 'heatmap');
}

function largestTopK(selectionSet: SelectionSetNode, walk: Walk): number {
  let largest = 0;
  selectsField(selectionSet, walk, (field) => {
    const isHead = field.name.value === 'head' || field.name.value === 'heads';
    if (isHead && field.selectionSet) largest = Math.max(largest, largestTopK(field.selectionSet, walk));
    const topK = field.name.value === 'labels' && field.arguments?.find(({ name }) => name.value === 'topK');
    const value = topK && valueFromASTUntyped(topK.value, walk.variables);
    if (typeof value === 'number') largest = Math.max(largest, value);
    return false;
  });
  return largest;
}

/** Whether a subscription's selection contains the queue position. */
export function selectsPosition(info: GraphQLResolveInfo): boolean {
  const reading = { fragments: info.fragments, variables: info.variableValues };
  return info.fieldNodes.some(
    ({ selectionSet }) =>
      selectionSet &&
      selectsField(
        selectionSet,
        reading,
        ({ name }) => name.value === 'queuePosition' || name.value === 'estimatedStartMs',
      ),
  );
}

function selectsField(
  { selections }: SelectionSetNode,
  reading: Reading,
  isWanted: (field: FieldNode) => boolean,
): boolean {
  return selections.some((selection) => {
    if (!isIncluded(selection, reading)) return false;
    if (selection.kind === Kind.FIELD) return isWanted(selection);
    const within = selection.kind === Kind.FRAGMENT_SPREAD ? reading.fragments[selection.name.value] : selection;
    return within ? selectsField(within.selectionSet, reading, isWanted) : false;
  });
}

function isIncluded(selection: SelectionNode, { variables }: Reading): boolean {
  if (getDirectiveValues(GraphQLSkipDirective, selection, variables)?.if === true) return false;
  return getDirectiveValues(GraphQLIncludeDirective, selection, variables)?.if !== false;
}

function isDeferred(selection: SelectionNode, { variables }: Reading): boolean {
  const directive = selection.directives?.find(({ name }) => name.value === 'defer');
  if (!directive) return false;
  const condition = directive.arguments?.find(({ name }) => name.value === 'if')?.value;
  if (condition?.kind === Kind.BOOLEAN) return condition.value;
  if (condition?.kind === Kind.VARIABLE) return variables[condition.name.value] !== false;
  return true;
}
