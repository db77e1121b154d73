/** The exit codes of the commands that ask a server, by its answer. */
import { Command } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { type CommandContext, explainError } from '../command-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { addClassify } from './classify.ts';
import { addModels } from './models.ts';
import { addQueue } from './queue.ts';
import { addTypes } from './types.ts';

const URL = 'http://127.0.0.1:4000';
const COMMANDS = [['models'], ['queue'], ['queue', 'cats'], ['types', '-o', '-'], ['classify', import.meta.filename]];

afterEach(() => {
  vi.unstubAllGlobals();
});

/** How the command ends if the server answers like this. */
async function runAgainst(answer: () => Response, words: string[], key?: string): Promise<CommandFailure> {
  vi.stubGlobal('fetch', async () => answer());
  const context = { env: { INFERQL_URL: URL }, signal: new AbortController().signal, screen: { print: () => {} }, key };
  const program = new Command().exitOverride();
  for (const add of [addModels, addQueue, addTypes, addClassify]) add(program, context as unknown as CommandContext);
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    return explainError(error, URL);
  }
  return new CommandFailure(EXIT.ok, '');
}

const refuse = (code: string) => () =>
  Response.json({ errors: [{ message: 'Refused.', extensions: { code } }] }, { status: 401 });

test.each(COMMANDS)('%s %s: a server without a model is like one that does not respond', async (...words) => {
  const { exitCode, message } = await runAgainst(() => Response.json({ data: { models: [], queue: null } }), words);
  expect(exitCode).toBe(EXIT.unreachable);
  expect(message).toContain('has no model yet');
});

test.each(COMMANDS)('%s %s: the same holds for something that is not InferQL', async (...words) => {
  for (const answer of [() => new Response('<!doctype html>'), refuse('GRAPHQL_VALIDATION_FAILED')]) {
    const { exitCode, message } = await runAgainst(answer, words);
    expect(exitCode).toBe(EXIT.unreachable);
    expect(message).toContain('does not serve the InferQL API');
  }
});

test('without a server it says how to start one from a package and from a project', async () => {
  const { exitCode, message } = await runAgainst(() => {
    throw new TypeError('fetch failed');
  }, ['models']);
  expect(exitCode).toBe(EXIT.unreachable);
  expect(message).toContain(URL);
  expect(message).toContain('`inferql serve`');
  expect(message).toContain('`npm start`');
});

test.each(COMMANDS)('%s %s: a missing key is named', async (...words) => {
  const { exitCode, message } = await runAgainst(refuse('UNAUTHENTICATED'), words);
  expect(exitCode).toBe(EXIT.usage);
  expect(message).toContain('INFERQL_KEY');
});

test.each(COMMANDS)('%s %s: a key that cannot be sent is not called a missing server', async (...words) => {
  const { exitCode, message } = await runAgainst(refuse('UNAUTHENTICATED'), words, '\u201ckey\u201d');
  expect(exitCode).toBe(EXIT.usage);
  expect(message).toContain('curly quote');
});

test.each(COMMANDS)('%s %s: the sign-in of a proxy is called so', async (...words) => {
  const { exitCode, message } = await runAgainst(() => new Response('Who are you?', { status: 401 }), words);
  expect(exitCode).toBe(EXIT.usage);
  expect(message).toContain('A proxy between');
});

test.each(COMMANDS)('%s %s: an address with a wrong path is not a failed image', async (...words) => {
  const { exitCode, message } = await runAgainst(refuse('BAD_REQUEST'), words);
  expect(exitCode).toBe(EXIT.unreachable);
  expect(message).toContain(`${URL} refused the request: Refused.`);
});
