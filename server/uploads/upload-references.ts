import { type DocumentNode, getOperationAST, Kind, visit } from 'graphql';

/**
 * How many arguments use each variable of an operation. Arguments that a directive skips are counted, too: then the file stays until
 * the response has ended.
 */
export function countVariableUses(document: DocumentNode, operationName: string | null | undefined) {
  const uses = new Map<string, number>();
  const operation = getOperationAST(document, operationName);
  for (const definition of document.definitions) {
    if (definition !== operation && definition.kind !== Kind.FRAGMENT_DEFINITION) continue;
    visit(definition, {
      enter(node) {
        // A declaration is not a use.
        if (node.kind === Kind.VARIABLE_DEFINITION) return false;
        if (node.kind === Kind.VARIABLE) uses.set(node.name.value, (uses.get(node.name.value) ?? 0) + 1);
      },
    });
  }
  return uses;
}
