/** GraphQL requests: documents that follow the schema, with values that may not, and damage at the level of tokens and characters. */
import {
  buildSchema,
  type GraphQLArgument,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';
import { type Dice, oddText, oddValue } from './random-choices.ts';

export interface GraphqlParams {
  query?: unknown;
  variables?: unknown;
  operationName?: unknown;
  extensions?: unknown;
}

const INTROSPECTION = [
  '__typename',
  '__schema{types{name fields{name type{name ofType{name ofType{name}}}}}}',
  '__type(name:"Model"){name}',
];
const DIRECTIVES = [
  '@skip(if:false)',
  '@include(if:true)',
  '@include(if:$v0)',
  '@defer',
  '@defer(label:"a",if:true)',
  '@stream(initialCount:1)',
  '@deprecated',
  '@nope',
  '@skip',
  '@skip(if:"x")',
];

/** GraphQL documents that follow a schema, and requests with them. */
export class DocumentGenerator {
  readonly #schema: GraphQLSchema;
  readonly #roots: Record<'query' | 'mutation' | 'subscription', GraphQLObjectType>;

  /** @param sdl the text of schema.graphql */
  constructor(sdl: string) {
    this.#schema = buildSchema(sdl);
    this.#roots = {
      query: this.#schema.getQueryType()!,
      mutation: this.#schema.getMutationType()!,
      subscription: this.#schema.getSubscriptionType()!,
    };
  }

  #selection(dice: Dice, type: GraphQLOutputType, depth: number): string {
    const named = getNamedType(type);
    if (!isCompositeType(named)) return dice.chance(0.02) ? '{__typename}' : '';
    if (depth > 14 || dice.chance(0.02)) return dice.chance(0.9) ? '{__typename}' : '';
    const parts: string[] = [];
    for (let left = 1 + dice.below(5); left > 0; left--) {
      if (dice.chance(0.04)) parts.push(dice.pick(['...F0', '...F1', '...Nowhere']));
      else if (dice.chance(0.08)) parts.push(dice.pick(INTROSPECTION));
      else if (isAbstractType(named) || dice.chance(0.08)) {
        const on = isAbstractType(named) ? dice.pick(this.#schema.getPossibleTypes(named)) : named;
        parts.push(`... on ${on.name}${directive(dice)}${this.#selection(dice, on, depth + 1)}`);
      } else parts.push(this.#field(dice, named as GraphQLObjectType, depth));
    }
    return `{${parts.join(' ')}}`;
  }

  #field(dice: Dice, parent: GraphQLObjectType, depth: number): string {
    const found = dice.pick(Object.values(parent.getFields()));
    const alias = dice.chance(0.3) ? `a${dice.below(40)}:` : '';
    const name = dice.chance(0.01) ? `${found.name}z` : found.name;
    return `${alias}${name}${this.#argumentsOf(dice, found.args)}${directive(dice)}${this.#selection(dice, found.type, depth + 1)}`;
  }

  #argumentsOf(dice: Dice, args: readonly GraphQLArgument[]): string {
    const given = args
      .filter(({ type }) => (isNonNullType(type) ? dice.chance(0.95) : dice.chance(0.4)))
      .map(({ name, type }) => `${name}:${dice.chance(0.15) ? `$v${dice.below(4)}` : this.#literal(dice, type)}`);
    if (dice.chance(0.02)) given.push(`${oddName(dice)}:1`);
    return given.length > 0 ? `(${given.join(' ')})` : '';
  }

  #literal(dice: Dice, type: GraphQLInputType): string {
    if (dice.chance(0.15)) return oddLiteral(dice);
    const nullable = getNullableType(type);
    if (isListType(nullable)) {
      return `[${Array.from({ length: dice.below(4) }, () => this.#literal(dice, nullable.ofType)).join(' ')}]`;
    }
    if (isEnumType(nullable)) return dice.pick(nullable.getValues()).name;
    switch ((nullable as { name: string }).name) {
      case 'Int':
        return String(dice.pick([0, 1, 5, 100, -1, 2_147_483_647, 2_147_483_648]));
      case 'Boolean':
        return String(dice.chance(0.5));
      case 'Float':
        return String(dice.pick([0, 1.5, -1, 1e300]));
      default:
        return JSON.stringify(dice.pick(['scripted', 'x', 'AAAAAAAAAAAAAAAAAAAAAA', oddText(dice)]));
    }
  }

  #operation(dice: Dice, name: string): string {
    const kind = dice.pick(['query', 'query', 'query', 'mutation', 'subscription'] as const);
    const variables = dice.chance(0.5)
      ? `(${Array.from({ length: 1 + dice.below(4) }, (_, i) => `$v${i}:${dice.pick(['Boolean=true', 'Int', 'ID!', 'Upload', '[Upload!]', 'String="x"', 'Priority', 'Nope', '[[[Int]]]'])}`).join(' ')})`
      : '';
    return `${kind} ${name}${variables}${directive(dice)}${this.#selection(dice, this.#roots[kind], 0)}`;
  }

  #document(dice: Dice): string {
    const operations = Array.from({ length: dice.chance(0.1) ? 3 : 1 }, (_, i) => this.#operation(dice, `O${i}`));
    const fragments = Array.from({ length: dice.below(3) }, (_, i) => {
      const on = dice.pick(Object.values(this.#schema.getTypeMap()).filter(isObjectType));
      return `fragment F${i} on ${on.name}${this.#selection(dice, on, 3)}`;
    });
    return damageText([...operations, ...fragments].join('\n'), dice);
  }

  /** The parameters of a request, all of which may be anything. */
  params(dice: Dice): GraphqlParams {
    const variables = Object.fromEntries(
      Array.from({ length: 4 }, (_, i) => [
        `v${i}`,
        dice.chance(0.3) ? oddValue(dice) : dice.pick([true, 1, 'x', null]),
      ]),
    );
    return {
      query: dice.chance(0.03) ? oddValue(dice) : this.#document(dice),
      ...(dice.chance(0.6) && { variables: dice.chance(0.1) ? oddValue(dice) : variables }),
      ...(dice.chance(0.3) && { operationName: dice.chance(0.5) ? `O${dice.below(4)}` : oddValue(dice) }),
      ...(dice.chance(0.2) && { extensions: oddValue(dice) }),
    };
  }
}

function directive(dice: Dice): string {
  return dice.chance(0.08) ? dice.pick(DIRECTIVES) : '';
}

function oddName(dice: Dice): string {
  return dice.pick(['__proto__', 'constructor', 'image', '_', 'x'.repeat(5_000)]);
}

function oddLiteral(dice: Dice): string {
  return dice.pick([
    'null',
    '""',
    '"""\n block \\""" """',
    '"\\u0000"',
    '"\\uD800"',
    '"\\u{110000}"',
    '{a:{b:[1 2 {}]}}',
    '[[[[[[]]]]]]',
    '$undefined',
    '-0',
    '1e400',
    '99999999999999999999999999',
    'ENUM',
    'true',
    '0x10',
    `"${'a'.repeat(10_000)}"`,
  ]);
}

/** Leaves most as they are: what cannot be parsed goes no further than the parser. */
function damageText(text: string, dice: Dice): string {
  if (dice.chance(0.75)) return text;
  const at = dice.below(text.length);
  return dice.pick([
    () => text.slice(0, at),
    () => text.slice(0, at) + text.slice(at + 1 + dice.below(20)),
    () => text.slice(0, at) + text.slice(Math.max(0, at - dice.below(200))),
    () =>
      text.slice(0, at) +
      dice.pick(['{', '}', '(', '...', '"', '"""', '#', '$', '@', '\0', '\ufeff', '🦊', '!', ':']) +
      text.slice(at),
    () => `{${'a{'.repeat(dice.below(3_000))}`,
    () => `{${'...on Query{'.repeat(dice.below(500))}`,
    () => `#${'x'.repeat(dice.below(300_000))}\n${text}`,
    () => `${text} ${'fragment F0 on Query{__typename}'.repeat(dice.below(50))}`,
    () => text.repeat(2 + dice.below(5)),
  ])();
}
