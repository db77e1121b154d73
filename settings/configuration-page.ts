/** docs/configuration.md, printed from the definitions. */
import type { Setting, SettingTable } from './define-settings.ts';
import { formatBytes } from './format-bytes.ts';
import { sections } from './settings.ts';

const INTRODUCTION = `# Configuration

<!-- Printed from settings/ by \`npm run schema\`. Change the definitions, not this file. -->

All settings are environment variables. \`npm start\` also reads a file \`.env\` in the project's folder, and every command of \`inferql\`
reads \`.env\` in the current folder; environment variables take precedence. An empty variable counts as not set. If a value is
invalid, the process exits at once, with a message that names each invalid variable and what was expected. Variables whose names
resemble a setting are reported, with the most similar name.

Switches take \`on\` or \`off\` (also \`1\`, \`0\`, \`true\`, \`false\`, \`yes\`, \`no\`).

InferQL's settings begin with \`INFERQL_\`. The exceptions are names that hosting platforms and other programs share: ${listSharedNames()}.
Former names, listed at the end, still work; their use is reported at startup.

Queue limits, deadlines and batching are set per model, in its \`model.json5\`.
`;

/** The whole page. */
export function printConfiguration(): string {
  const parts = [
    INTRODUCTION,
    ...sections.map(({ title, settings }) => printSection(title, settings)),
    printFormerNames(),
  ];
  return parts.join('\n');
}

/** The names without our prefix. */
function listSharedNames(): string {
  const names = sections.flatMap(({ settings }) => Object.values(settings).map(({ name }) => name));
  return names
    .filter((name) => !name.startsWith('INFERQL_'))
    .map((name) => `\`${name}\``)
    .join(', ');
}

function printSection(title: string, settings: SettingTable): string {
  const rows = Object.values(settings)
    .filter((setting) => !setting.internal)
    .map((setting) => [`\`${setting.name}\``, printDefault(setting), setting.readBy.join(', '), setting.description]);
  return `## ${title}\n\n${printTable(['Variable', 'Default', 'Read by', 'What it does'], rows)}`;
}

function printFormerNames(): string {
  const rows = sections
    .flatMap(({ settings }) => Object.values(settings))
    .flatMap(({ name, formerNames = [] }) => formerNames.map((former) => [`\`${former}\``, `\`${name}\``]))
    .sort(([one], [other]) => one!.localeCompare(other!, 'en'));
  return `## Former names\n\n${printTable(['Former name', 'Name'], rows)}`;
}

function printDefault({ default: value, defaultText, unit }: Setting): string {
  if (defaultText !== undefined) return defaultText;
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'number') return printNumber(value, unit);
  return value === undefined ? 'none' : `\`${String(value)}\``;
}

function printNumber(value: number, unit: Setting['unit']): string {
  // A port is not grouped; an amount is.
  const amount = unit === undefined && value < 10_000 ? String(value) : value.toLocaleString('en-US');
  if (unit === 'bytes' && value >= 1000) return `${amount} (${formatBytes(value)})`;
  return unit ? `${amount} ${unit}` : amount;
}

function printTable(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}
