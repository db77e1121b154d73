/** TypeScript for the models of a server: the names of their labels, for results of the client. */

export interface ModelLabels {
  readonly name: string;
  readonly version: string;
  /** In the order of the model's output. */
  readonly labels: readonly string[];
  /** The labels of its further heads, by head. */
  readonly heads?: Readonly<Record<string, readonly string[]>>;
}

/** A declaration file that gives `client.classify(image, { model })` the label names of each model. */
export function printModelTypes(models: readonly ModelLabels[]): string {
  const sorted = [...models].sort((one, other) => (one.name < other.name ? -1 : 1));
  const members = sorted.map(({ name, version, labels }) => {
    const type = labels.length === 0 ? ' never' : printUnion(labels, 3);
    return `    /** Version ${inComment(version)}, ${labels.length} classes. */\n    ${quote(name)}:${type};`;
  });
  const heads = sorted.flatMap(({ name, heads = {} }) => {
    const fields = Object.entries(heads).map(([head, labels]) => `      ${quote(head)}:${printUnion(labels, 4)};`);
    return fields.length === 0 ? [] : `    ${quote(name)}: {\n${fields.join('\n')}\n    };`;
  });
  const headTypes = heads.length === 0 ? '' : `\n  interface ModelHeads {\n${heads.join('\n')}\n  }`;
  return `// Written by \`inferql types\`. Run it again when models change.
import '@inferql/client';

declare module '@inferql/client' {
  interface ModelLabels {
${members.join('\n')}
  }${headTypes}
}
`;
}

function printUnion(labels: readonly string[], depth: number): string {
  return [...new Set(labels)].map((label) => `\n${'  '.repeat(depth)}| ${quote(label)}`).join('');
}

/** A server may call a version anything, and must not end the comment that it is in. */
function inComment(text: string): string {
  return text.replaceAll('*/', '* /');
}

/** A label may contain anything, including quotes and line breaks, and must not end the string that it is in. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
