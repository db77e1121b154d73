/** The directive `@defer` over HTTP. */
import { useDeferStream } from '@graphql-yoga/plugin-defer-stream';
import { type DocumentNode, Kind, visit } from 'graphql';
import type { Plugin, YogaInitialContext } from 'graphql-yoga';
import { accepts } from '../requests/accepted-types.ts';

/**
 * Validates the directive; the schema declares and describes it. For a client that accepts no response in parts, it is ignored: otherwise the
 * framework would find out only after a mutation has run that it cannot send the response.
 */
export function useDeferDirective(): Plugin {
  const { onValidate } = useDeferStream();
  const whole = new WeakMap<DocumentNode, DocumentNode>();
  return {
    onValidate,
    onExecute({ args }) {
      const { request } = args.contextValue as YogaInitialContext;
      const document = args.document as DocumentNode;
      if (document.loc && !document.loc.source.body.includes('defer')) return;
      if (accepts(request, 'multipart/mixed') || accepts(request, 'text/event-stream')) return;
      const changed = whole.get(document) ?? withoutDefer(document);
      whole.set(document, changed);
      args.document = changed;
    },
  } as Plugin;
}

function withoutDefer(document: DocumentNode): DocumentNode {
  return visit(document, { [Kind.DIRECTIVE]: ({ name }) => (name.value === 'defer' ? null : undefined) });
}
