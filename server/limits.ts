import { costLimitPlugin } from '@escape.tech/graphql-armor-cost-limit';
import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import { NoSchemaIntrospectionCustomRule } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Config } from './config.ts';

type Limits = Pick<Config, 'maxTokens' | 'maxDepth' | 'maxAliases' | 'maxCost' | 'introspection'>;

/** What a document may cost before it is run: tokens while it is parsed; nesting, aliases and fields when it is validated. */
export function makeLimitPlugins({ maxTokens, maxDepth, maxAliases, maxCost, introspection }: Limits): Plugin[] {
  return [
    maxTokensPlugin({ n: maxTokens }),
    maxDepthPlugin({ n: maxDepth }),
    maxAliasesPlugin({ n: maxAliases }),
    costLimitPlugin({ maxCost }),
    ...(introspection
      ? []
      : [
          {
            onValidate: ({ addValidationRule }) => addValidationRule(NoSchemaIntrospectionCustomRule),
          } satisfies Plugin,
        ]),
  ] as Plugin[];
}
