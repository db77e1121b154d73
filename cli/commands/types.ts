import { writeFile } from 'node:fs/promises';
import { InferqlError } from '@inferql/client/node';
import { ERROR_CODES } from '@inferql/queue/error-codes';
import type { Command } from 'commander';
import * as z from 'zod';
import { type CommandContext, parseServerUrl, requireModel } from '../command-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { type ModelLabels, printModelTypes } from '../model-types.ts';
import { urlOption } from '../options.ts';
import { safeText } from '../terminal-text.ts';

const PAGE = 1_000;
const TIMEOUT_MS = 30_000;
const QUERY = `query ($offset: Int!, $limit: Int!) {
  models {
    name version classCount labels(offset: $offset, limit: $limit) { name }
    outputs { name type classCount labels(offset: $offset, limit: $limit) { name } }
  }
}`;

const Page = z.array(z.object({ name: z.string() })).nullable();
const Answer = z.object({
  data: z
    .object({
      models: z.array(
        z.object({
          name: z.string(),
          version: z.string(),
          classCount: z.number(),
          labels: Page,
          outputs: z.array(
            z.object({ name: z.string(), type: z.string(), classCount: z.number().nullable(), labels: Page }),
          ),
        }),
      ),
    })
    .nullish(),
  errors: z.array(z.object({ message: z.string(), extensions: z.object({ code: z.string() }).optional() })).optional(),
});

export function addTypes(program: Command, context: CommandContext): void {
  program
    .command('types')
    .description("Write the label names of the server's models as TypeScript types for @inferql/client.")
    .addOption(urlOption(context.env))
    .option('-o, --output <file>', 'declaration file; - for standard output', 'inferql-models.d.ts')
    .action(async ({ url, output }: { url: string; output: string }) => {
      // It says best what is wrong with the server, the key or a proxy.
      await requireModel(context, url, undefined);
      const models = await readLabels(context, url);
      const text = printModelTypes(models);
      if (output === '-') {
        context.screen.print(text.trimEnd());
        return;
      }
      await writeFile(output, text).catch((error: Error) => {
        throw new CommandFailure(EXIT.usage, `Cannot write ${safeText(output)}: ${error.message}`);
      });
      context.screen.print(`${output}: ${models.map(({ name }) => safeText(name)).join(', ')}`);
    });
}

/**
 * The names of all classes of all models, page by page.
 * @throws CommandFailure if the server does not respond, or has no model with names
 * @throws InferqlError if the server refuses, or something else responds
 */
async function readLabels(context: CommandContext, url: string): Promise<ModelLabels[]> {
  const found = new Map<string, { name: string; version: string; labels: string[]; heads: Record<string, string[]> }>();
  for (let offset = 0; ; offset += PAGE) {
    const models = await askForPage(context, url, offset);
    for (const { name, version, labels, outputs } of models) {
      const model = found.get(name) ?? { name, version, labels: [], heads: {} };
      model.labels.push(...namesOf(labels));
      for (const head of outputs.filter(({ type }) => type === 'LABELS')) {
        const names = [...(model.heads[head.name] ?? []), ...namesOf(head.labels)];
        if (names.length > 0) model.heads[head.name] = names;
      }
      found.set(name, model);
    }
    const lists = models.flatMap(({ outputs, ...model }) => [model, ...outputs]);
    if (lists.every(({ classCount, labels }) => labels === null || (classCount ?? 0) <= offset + PAGE)) break;
  }
  const named = [...found.values()].filter(({ labels, heads }) => labels.length + Object.keys(heads).length > 0);
  if (named.length === 0) throw new CommandFailure(EXIT.failed, `The server at ${url} has no model with label names.`);
  return named;
}

function namesOf(page: z.infer<typeof Page>): string[] {
  return (page ?? []).map(({ name }) => name);
}

async function askForPage({ key, signal }: CommandContext, url: string, offset: number) {
  const endpoint = endpointOf(url);
  let text: string;
  try {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key.trim()}` }) },
      body: JSON.stringify({ query: QUERY, variables: { offset, limit: PAGE } }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    text = await response.text();
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const cause = error instanceof TypeError && error.cause instanceof Error ? error.cause.message : String(error);
    throw new CommandFailure(EXIT.unreachable, `No InferQL server responds at ${safeText(url)}: ${safeText(cause)}`);
  }
  const { data: answer } = Answer.safeParse(parseJson(text));
  const error = answer?.errors?.[0];
  if (answer?.data && !error) return answer.data.models;
  const code = ERROR_CODES.find((known) => known === error?.extensions?.code) ?? 'BAD_RESPONSE';
  throw new InferqlError(code, error?.message ?? 'The response does not come from this API.');
}

function endpointOf(text: string): URL {
  const url = parseServerUrl(text);
  if (url.pathname === '/') url.pathname = '/graphql';
  return url;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
