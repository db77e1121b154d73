import { type DocumentNode, getOperationAST, Kind, visit } from 'graphql';

/**
 * How many arguments take each variable of an operation. One that a directive leaves out is counted, too: then its file stays until
 * the response has ended.
 */
export function countVariableUses(document: DocumentNode, operationName: string | null | undefined) {
  const uses = new Map<string, number>();
  const operation = getOperationAST(document, operationName);
  for (const definition of document.definitions) {
    if (definition !== operation && definition.kind !== Kind.FRAGMENT_DEFINITION) continue;
    visit(definition, {
      enter(node) {
        // Where it is declared it is not used.
        if (node.kind === Kind.VARIABLE_DEFINITION) return false;
        if (node.kind === Kind.VARIABLE) uses.set(node.name.value, (uses.get(node.name.value) ?? 0) + 1);
      },
    });
  }
  return uses;
}
