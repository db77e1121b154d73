/** The directive `@defer` over HTTP. */
import { useDeferStream } from '@graphql-yoga/plugin-defer-stream';
import { type DocumentNode, type ExecutionResult, type GraphQLError, Kind, visit } from 'graphql';
import { mapAsyncIterator, type Plugin, type YogaInitialContext } from 'graphql-yoga';
import { accepts } from '../requests/accepted-types.ts';
import { maskErrors } from './execute-subscription.ts';

/**
 * Validates the directive; the schema declares and describes it. For a client that accepts no response in parts, it is ignored: otherwise the
 * framework would find out only after a mutation has run that it cannot send the response.
 * @param mask masks the errors of deferred parts: the framework masks only those of the first part
 */
export function useDeferDirective(mask: (error: GraphQLError) => GraphQLError): Plugin {
  const { onValidate } = useDeferStream();
  const whole = new WeakMap<DocumentNode, DocumentNode>();
  return {
    onValidate,
    onExecute({ args }) {
      const { request } = args.contextValue as YogaInitialContext;
      const document = args.document as DocumentNode;
      if (document.loc && !document.loc.source.body.includes('defer')) return;
      if (accepts(request, 'multipart/mixed') || accepts(request, 'text/event-stream')) return maskParts(mask);
      const changed = whole.get(document) ?? withoutDefer(document);
      whole.set(document, changed);
      args.document = changed;
    },
  } as Plugin;
}

/** A part of a response, with those that follow the first one in `incremental`. */
type Part = ExecutionResult & { incremental?: Pick<ExecutionResult, 'errors'>[] };

function maskParts(mask: (error: GraphQLError) => GraphQLError) {
  const maskPart = (part: Part): Part =>
    part.incremental ? { ...part, incremental: part.incremental.map((one) => maskErrors(one, mask)) } : part;
  return {
    onExecuteDone({ result, setResult }: { result: object; setResult(result: AsyncIterable<Part>): void }) {
      if (Symbol.asyncIterator in result) setResult(mapAsyncIterator(result as AsyncIterable<Part>, maskPart));
    },
  };
}

function withoutDefer(document: DocumentNode): DocumentNode {
  return visit(document, { [Kind.DIRECTIVE]: ({ name }) => (name.value === 'defer' ? null : undefined) });
}
