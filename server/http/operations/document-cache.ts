/** The cache of parsed GraphQL documents. */
import type { DocumentNode } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { LRUCache } from 'lru-cache';

/** Maximum size of all parsed documents that are kept for later requests with the same text. */
export const DOCUMENT_CACHE_BYTES = 16 * 1024 * 1024;
/** A larger document is parsed each time: it is probably a mistake or an attack, and would evict hundreds of others. */
export const MAX_DOCUMENT_BYTES = 512 * 1024;
/** Bytes of a token, its share of the nodes, and their locations. */
const BYTES_PER_TOKEN = 500;
const MAX_DOCUMENTS = 1_000;

/** Parsed documents by their text, bounded in bytes, since clients decide what is put into it. */
export function createDocumentCache() {
  const documents = new LRUCache<string, DocumentNode>({
    max: MAX_DOCUMENTS,
    maxSize: DOCUMENT_CACHE_BYTES,
    maxEntrySize: MAX_DOCUMENT_BYTES,
    sizeCalculation: estimateBytes,
  });
  return {
    documentCache: {
      get: (text: string) => documents.get(text),
      set(text: string, document: DocumentNode) {
        documents.set(text, document);
      },
    },
    // What cannot be parsed is not worth keeping.
    errorCache: { get: () => undefined, set() {} },
    bytes: () => documents.calculatedSize,
    /**
     * Drops documents that are not valid. The framework keeps the errors of a document as long as the document: up to a hundred,
     * each with the stack on which it was made, and so far more than the document's size.
     */
    plugin: {
      onValidate:
        ({ params }) =>
        ({ valid }) => {
          const text = params.documentAST.loc?.source.body;
          if (!valid && text !== undefined) documents.delete(text);
        },
    } satisfies Plugin,
  };
}

function estimateBytes(document: DocumentNode, text: string): number {
  let tokens = 0;
  for (let token = document.loc?.startToken; token; token = token.next ?? undefined) tokens++;
  return 2 * text.length + tokens * BYTES_PER_TOKEN;
}
