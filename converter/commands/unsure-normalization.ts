/** What `add` says and asks if nothing in a model's files confirms the normalization. */
import type { Inspection } from '../inspect/inspect.ts';
import { describeNormalization } from '../inspect/overrides.ts';
import { type Ask, askNormalization } from '../inspect/questions.ts';
import type { CommandContext } from './command-context.ts';
import type { Hint } from './normalization-hints.ts';

const HOW_TO_GIVE =
  'if it has numbers, give them as --mean, --std and --scale, which calculate (pixel * scale - mean) / std';
const SHOWN_CHARACTERS = 200;

/** Printed below the findings. */
export const UNSURE_NORMALIZATION =
  'nothing confirms the normalization, and a wrong one gives wrong answers: check whether the labels below fit the images';

/** What may say which values a model takes, for a person to read. */
export async function printHints(
  { description }: Inspection,
  print: CommandContext['print'],
  findHints: () => Promise<Hint[]>,
): Promise<void> {
  if (description) print(`  the file describes itself: "${description.slice(0, SHOWN_CHARACTERS)}"`);
  for (const hint of await findHints()) {
    const what = hint.numbers.length > 0 ? ` (${hint.numbers.join('; ')})` : '';
    print(`  ${hint.file} beside it mentions a mean or a normalization${what}: ${HOW_TO_GIVE}`);
  }
}

/** Asks for it, and takes the answer into the findings. */
export async function confirmNormalization(found: Inspection, ask: Ask): Promise<void> {
  const normalization = await askNormalization(ask, describeNormalization(found.input.normalization));
  if (normalization === undefined) return;
  found.input = { ...found.input, normalization };
  found.findings.answered('normalization', describeNormalization(normalization));
}
