import { buildSchema, execute, type GraphQLResolveInfo, parse } from 'graphql';
import { describe, expect, test } from 'vitest';
import { planResponse, selectsPosition } from './response-plan.ts';

const schema = buildSchema(`
  directive @defer(if: Boolean = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
  union Answer = Prediction | Refusal
  type Refusal { message: String }
  type Label { name: String }
  type Result { labels(topK: Int): [Label!] heatmap(index: Int): Label }
  type Prediction { id: ID status: String queuePosition: Int result: Result error: Label timings: Label finishedAt: String }
  type Query { classify: Answer }
`);

/** The resolve info that a resolver gets for `classify`. */
function infoOf(source: string, variables: Record<string, unknown> = {}): GraphQLResolveInfo {
  let seen: GraphQLResolveInfo | undefined;
  execute({
    schema,
    document: parse(source),
    variableValues: variables,
    rootValue: {
      classify: (_args: unknown, _context: unknown, info: GraphQLResolveInfo) => {
        seen = info;
        return null;
      },
    },
  });
  return seen!;
}

const planOf = (selection: string, variables?: Record<string, unknown>, rest = '', head = '') =>
  planResponse(infoOf(`query ${head} { classify { ${selection} } } ${rest}`, variables));

describe('waiting', () => {
  test.each(['result { labels { name } }', 'error { name }', 'timings { name }', 'finishedAt'])('%s waits', (field) => {
    expect(planOf(`... on Prediction { id ${field} }`).wait).toBe('result');
  });

  test('fields that are known at once do not wait, nor do the same names elsewhere', () => {
    expect(planOf('... on Prediction { id status queuePosition } ... on Refusal { message }').wait).toBe('none');
  });

  test('an alias neither hides a field nor makes one', () => {
    expect(planOf('... on Prediction { outcome: result { labels { name } } }').wait).toBe('result');
    expect(planOf('... on Prediction { result: id }').wait).toBe('none');
  });

  test('fragments are followed, nested ones too', () => {
    expect(planOf('...A', {}, 'fragment A on Prediction { ...B } fragment B on Prediction { finishedAt }').wait).toBe(
      'result',
    );
  });

  test.each([
    ['@include(if: false)', 'none'],
    ['@include(if: true)', 'result'],
    ['@skip(if: true)', 'none'],
    ['@skip(if: false)', 'result'],
    ['@include(if: $yes)', 'result'],
    ['@include(if: $no)', 'none'],
    ['@skip(if: $yes)', 'none'],
    ['@skip(if: $no)', 'result'],
  ])('%s decides', (directive, wait) => {
    const head = '($yes: Boolean = true, $no: Boolean!)';
    const variables = { no: false };
    expect(planOf(`... on Prediction { finishedAt ${directive} }`, variables, '', head).wait).toBe(wait);
    expect(planOf(`... on Prediction ${directive} { finishedAt }`, variables, '', head).wait).toBe(wait);
    expect(planOf(`...A ${directive}`, variables, 'fragment A on Prediction { finishedAt }', head).wait).toBe(wait);
  });

  test.each([
    ['@defer', 'deferred'],
    ['@defer(if: true)', 'deferred'],
    ['@defer(if: false)', 'result'],
    ['@defer(if: $yes)', 'deferred'],
    ['@defer(if: $no)', 'result'],
    ['@defer(label: "x")', 'deferred'],
  ])('inside %s', (directive, wait) => {
    const head = '($yes: Boolean = true, $no: Boolean = false)';
    expect(planOf(`... on Prediction { id ... ${directive} { finishedAt } }`, {}, '', head).wait).toBe(wait);
    expect(
      planOf(`... on Prediction { id ...A ${directive} }`, {}, 'fragment A on Prediction { finishedAt }', head).wait,
    ).toBe(wait);
  });

  test('a deferred fragment that is also spread without @defer waits at once', () => {
    const plan = planOf('...A ...A @defer', {}, 'fragment A on Prediction { finishedAt }');
    expect(plan.wait).toBe('result');
    expect(plan.deferredFields.size).toBe(0);
  });

  test('changing fields next to a deferred result are those of the end, the id is not', () => {
    const { deferredFields } = planOf(
      '... on Prediction { status ... @defer { id status result { labels { name } } } }',
    );
    expect([...deferredFields].map(({ name }) => name.value)).toEqual(['status', 'result']);
  });
});

describe('heatmaps and places', () => {
  test('a heatmap is found through fragments and aliases', () => {
    expect(
      planOf('... on Prediction { result { ...R } }', {}, 'fragment R on Result { map: heatmap { name } }').heatmap,
    ).toBe(true);
    expect(planOf('... on Prediction { result { heatmap @skip(if: true) { name } } }').heatmap).toBe(false);
    expect(planOf('... on Prediction { result { labels { name } } }').heatmap).toBe(false);
  });

  test('a place in the queue is found through fragments', () => {
    expect(selectsPosition(infoOf('{ classify { ...A } } fragment A on Prediction { queuePosition }'))).toBe(true);
    expect(selectsPosition(infoOf('{ classify { ... on Prediction { id } } }'))).toBe(false);
  });
});
