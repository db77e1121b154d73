/** `--outputs` of `models add`: which of a model's outputs its spec declares besides the labels, and as what. */
import { OutputName, type TensorType } from '@inferql/queue/outputs';
import { whyNotScores } from '../answer-shape.ts';
import { ModelError } from '../errors.ts';
import { readLabels } from '../spec/labels.ts';
import type { Findings } from './findings.ts';
import type { Activation } from './overrides.ts';

const TYPES = ['labels', 'embedding', 'tensor'] as const;
const EXPECTED = 'name=labels, name=labels:names.txt, name=embedding, name=embedding:512 or name=tensor:7x7';

/** What the command line says of one output. */
export interface OutputRequest {
  /** Its name in the model's file. */
  from: string;
  type: (typeof TYPES)[number];
  /** After the colon: a file with class names, or sizes. */
  detail: string | undefined;
}

/** An output of a model's file that does not have the labels. */
export interface OtherOutput {
  name: string;
  /** Without the batch; undefined if the file leaves a size open. */
  shape: readonly number[] | undefined;
  dtype: TensorType;
  /** What its last operator makes it. */
  activation: Activation;
  activationIsCertain: boolean;
  /** Why it cannot be served; undefined if it can. */
  unfit?: string | undefined;
}

/**
 * Parses what `--outputs` says, such as `color=labels:colors.txt,features=embedding`.
 * @throws ModelError ARGUMENT_INVALID
 */
export function parseOutputRequests(text: string): OutputRequest[] {
  return text.split(',').map((part) => {
    const at = part.lastIndexOf('=');
    const from = part.slice(0, Math.max(at, 0)).trim();
    const [, word = '', detail] = /^\s*([a-z]+)(?::(.+))?$/.exec(part.slice(at + 1).trimEnd()) ?? [];
    const type = TYPES.find((candidate) => candidate === word);
    if (from !== '' && type) return { from, type, detail };
    throw new ModelError('ARGUMENT_INVALID', `--outputs: expected ${EXPECTED}, found ${part.trim() || 'nothing'}`);
  });
}

/**
 * Finds the outputs that the command line leaves for the labels.
 * @returns the names that may have the labels; none if `--outputs` names all: the model then has no labels
 * @throws ModelError SPEC_INVALID if it names an output that is not there, or that `--output` names
 */
export function namesForLabels(
  names: readonly string[],
  requests: readonly OutputRequest[] = [],
  output?: string,
): string[] {
  for (const [i, { from }] of requests.entries()) {
    const found = (what: string) => new ModelError('SPEC_INVALID', `--outputs: ${what}`);
    if (!names.includes(from)) throw found(`expected some of ${names.join(', ')}, found ${from}`);
    if (from === output) throw found(`${from} has the labels already, as --output says`);
    if (requests.slice(0, i).some((other) => other.from === from)) throw found(`${from} is named twice`);
  }
  return names.filter((name) => requests.every(({ from }) => from !== name));
}

/** Flags about the output with the labels, and what to do instead if `--outputs` names every output. */
const LABEL_FLAGS = {
  labels: 'give the names there, as in --outputs color=labels:names.txt',
  output: 'leave one of them out, or the flag',
  activation: 'write it into `outputs` of model.json5 afterwards',
};

/** @throws ModelError SPEC_INVALID if the command line says something about the labels of a model without labels */
export function refuseLabelFlags(given: Partial<Record<keyof typeof LABEL_FLAGS, unknown>>): void {
  for (const [flag, instead] of Object.entries(LABEL_FLAGS)) {
    if (given[flag as keyof typeof LABEL_FLAGS] === undefined) continue;
    throw new ModelError('SPEC_INVALID', `--${flag}: no output is left for it, since --outputs names each: ${instead}`);
  }
}

/**
 * Writes the `outputs` of a spec for what the command line asks for, and reports every other output as not served.
 * @param others the model's outputs without the one that has the labels
 * @throws ModelError SPEC_INVALID if something is missing that the file does not say
 */
export async function declareOutputs(
  requests: readonly OutputRequest[] = [],
  others: readonly OtherOutput[],
  findings: Findings,
): Promise<Record<string, object>> {
  const declared: Record<string, object> = {};
  for (const output of others) {
    const request = requests.find(({ from }) => from === output.name);
    if (!request) {
      reportUnserved(output, findings);
      continue;
    }
    const name = specName(output.name);
    if (name in declared) {
      throw new ModelError('SPEC_INVALID', `--outputs: two outputs would be named ${name} in the spec`);
    }
    const from = name === output.name ? {} : { from: output.name };
    declared[name] = { type: request.type, ...(await fieldsOf(name, request, output, findings)), ...from };
  }
  return declared;
}

function reportUnserved({ name, shape, unfit }: OtherOutput, findings: Findings): void {
  const size = shape === undefined ? 'of unknown size' : shape.join(' x ') || '1';
  const type = (shape?.filter((length) => length > 1).length ?? 1) > 1 ? 'tensor' : 'embedding';
  const detail = shape === undefined ? ':<size>' : '';
  const way = unfit === undefined ? `--outputs ${name}=${type}${detail} serves it` : `it ${unfit}`;
  findings.read('not served', `${name} (${size})`, way);
}

/** A name in the file may hold what one in the API may not, such as a colon. */
function specName(name: string): string {
  if (OutputName.safeParse(name).success) return name;
  const cleaned = name.replace(/[^A-Za-z0-9_-]+/g, '_').slice(0, 56);
  return /^[A-Za-z]/.test(cleaned) ? cleaned : `output_${cleaned.replace(/^_/, '')}`;
}

async function fieldsOf(
  name: string,
  { type, detail }: OutputRequest,
  output: OtherOutput,
  findings: Findings,
): Promise<object> {
  if (output.unfit !== undefined) throw new ModelError('SPEC_INVALID', `--outputs: ${output.name} ${output.unfit}`);
  const what = `output ${name}`;
  if (type === 'labels') return headOf(what, detail, output, findings);
  const shape = detail === undefined ? output.shape : sizesOf(output.name, detail);
  if (shape === undefined) {
    const example = type === 'embedding' ? 'embedding:512' : 'tensor:7x7';
    throw new ModelError(
      'SPEC_INVALID',
      `--outputs: the file does not say the size of ${output.name}: give it, as in ${output.name}=${example}`,
    );
  }
  const sizes = shape.join(' x ') || '1';
  findings.given(what, `${type}, ${sizes}${type === 'tensor' ? `, ${output.dtype}` : ''}`, '--outputs');
  return type === 'embedding' ? { size: shape.reduce((a, b) => a * b, 1) } : { shape: [...shape], dtype: output.dtype };
}

function sizesOf(name: string, text: string): number[] {
  const sizes = text.split('x').map(Number);
  if (sizes.every((size) => Number.isInteger(size) && size > 0)) return sizes;
  throw new ModelError('SPEC_INVALID', `--outputs: ${name}: expected sizes such as 512 or 7x7, found ${text}`);
}

async function headOf(
  what: string,
  file: string | undefined,
  { name, shape, activation: ending, activationIsCertain }: OtherOutput,
  findings: Findings,
): Promise<object> {
  const why = shape && whyNotScores(shape);
  if (why !== undefined) throw new ModelError('SPEC_INVALID', `--outputs: ${name} ${why}: ${name}=tensor serves it`);
  const count = shape?.reduce((a, b) => a * b, 1);
  const isSingle = count === 1;
  const labels = file === undefined ? numberClasses(name, count) : await readLabels(file);
  if (file === undefined)
    findings.guessed(what, `labels, class 0 to class ${labels.length - 1}`, `--outputs ${name}=labels:<file>`);
  else findings.given(what, `labels, ${labels.length} names`, '--outputs');
  const activation = isSingle && ending === 'logits' ? 'logits-sigmoid' : isSingle ? 'sigmoid' : ending;
  const text = `${activation}`;
  if (activationIsCertain) findings.read(`${what}: activation`, text, 'its last operator');
  else findings.guessed(`${what}: activation`, text, 'the file does not say: `activation` in the spec');
  return { labels, activation };
}

function numberClasses(name: string, count: number | undefined): string[] {
  if (count !== undefined) return Array.from({ length: Math.max(count, 2) }, (_, i) => `class ${i}`);
  throw new ModelError(
    'SPEC_INVALID',
    `--outputs: the file does not say how many classes ${name} has: give their names, as in ${name}=labels:names.txt`,
  );
}
