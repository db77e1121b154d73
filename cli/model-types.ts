/** TypeScript for the models of a server: the names of their labels, for results of the client. */

export interface ModelLabels {
  readonly name: string;
  readonly version: string;
  /** In the order of the model's output. */
  readonly labels: readonly string[];
}

/** A declaration file that gives `client.classify(image, { model })` the label names of each model. */
export function printModelTypes(models: readonly ModelLabels[]): string {
  const members = [...models]
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, version, labels }) => {
      const names = [...new Set(labels)].map((label) => `      | ${quote(label)}`);
      return `    /** Version ${version}, ${labels.length} classes. */\n    ${quote(name)}:\n${names.join('\n')};`;
    });
  return `// Written by \`inferql types\`. Run it again when models change.
import '@inferql/client';

declare module '@inferql/client' {
  interface ModelLabels {
${members.join('\n')}
  }
}
`;
}

/** A label may contain anything, including quotes and line breaks, and must not end the comment or string that it is in. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
