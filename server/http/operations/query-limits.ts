/** Limits of a GraphQL document: tokens, depth, aliases, cost and introspection. */
import { costLimitPlugin } from '@escape.tech/graphql-armor-cost-limit';
import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import { GraphQLError, NoSchemaIntrospectionCustomRule } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Config } from '../../config.ts';
import { schema } from '../../schema/schema.ts';
import { withoutHint } from './error-mask.ts';
import { useIntrospectionLimit } from './introspection-limit.ts';

type Limits = Pick<Config, 'maxTokens' | 'maxDepth' | 'maxAliases' | 'maxCost' | 'introspection'>;

/** Limits of a document, checked before it runs: tokens during parsing; nesting, aliases and fields during validation. */
export function makeLimitPlugins({ maxTokens, maxDepth, maxAliases, maxCost, introspection }: Limits): Plugin[] {
  return [
    maxTokensPlugin({ n: maxTokens }),
    useNestingErrors(),
    maxDepthPlugin({ n: maxDepth }),
    maxAliasesPlugin({ n: maxAliases }),
    costLimitPlugin({ maxCost }),
    introspection ? useIntrospectionLimit(schema) : usePrivateSchema(),
  ] as Plugin[];
}

/** Hides the schema: no introspection, and no names in messages. */
function usePrivateSchema(): Plugin {
  return {
    onValidate({ addValidationRule }) {
      addValidationRule(NoSchemaIntrospectionCustomRule);
      return ({ valid, result, setResult }) => {
        if (valid) return;
        setResult(
          result.map((error: unknown) =>
            error instanceof GraphQLError ? withoutHint(error) : error,
          ) as GraphQLError[],
        );
      };
    },
  };
}

/** Lists in values are not fields, so the depth limit does not count them, but the parser recurses into each. */
function useNestingErrors(): Plugin {
  const orTooDeep =
    <A extends unknown[], R>(run: (...args: A) => R, answer: (error: GraphQLError) => R) =>
    (...args: A): R => {
      try {
        return run(...args);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        return answer(
          new GraphQLError('The document is nested too deeply.', { extensions: { code: 'GRAPHQL_PARSE_FAILED' } }),
        );
      }
    };
  return {
    onParse({ parseFn, setParseFn }) {
      setParseFn(
        orTooDeep(parseFn, (error) => {
          throw error;
        }),
      );
    },
    onValidate({ validateFn, setValidationFn }) {
      setValidationFn(orTooDeep(validateFn, (error) => [error]));
    },
  };
}
