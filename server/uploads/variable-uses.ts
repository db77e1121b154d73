import { type DocumentNode, getOperationAST, Kind, type OperationDefinitionNode, visit } from 'graphql';

type Uses = ReadonlyMap<string, number>;

/** By operation: parsed documents are kept for further requests. */
const counted = new WeakMap<OperationDefinitionNode, Uses>();

/**
 * How many arguments use each variable of an operation. Arguments that a directive skips are counted, too: then the file stays until
 * the response has ended.
 */
export function countVariableUses(document: DocumentNode, operationName: string | null | undefined): Uses {
  const operation = getOperationAST(document, operationName);
  if (!operation) return new Map();
  const known = counted.get(operation);
  if (known) return known;
  const uses = countIn(document, operation);
  counted.set(operation, uses);
  return uses;
}

function countIn(document: DocumentNode, operation: OperationDefinitionNode): Uses {
  const uses = new Map<string, number>();
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
