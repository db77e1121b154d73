import { Command } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { type CommandContext, parseServerUrl } from './command-context.ts';
import { addModels } from './commands/models.ts';
import { addTypes } from './commands/types.ts';
import { EXIT } from './exit-codes.ts';
import { urlOption } from './options.ts';

afterEach(() => vi.unstubAllGlobals());

test.each([
  ['localhost:4000', 'http://localhost:4000/'],
  ['[::1]:4000', 'http://[::1]:4000/'],
  ['my-host.example:4000/path', 'http://my-host.example:4000/path'],
  ['https://host', 'https://host/'],
  ['http://[::1]:4000/graphql?x=1', 'http://[::1]:4000/graphql?x=1'],
])('%s is the address of a server', (text, url) => {
  expect(parseServerUrl(text).href).toBe(url);
});

const REFUSED = [
  ...['nowhere', 'ftp://host', '', 'https://me:secret@host', 'https://secret@host', 'https://me:secret/1@host'],
  ...['https://me:1@secret@host', 'me:secret@host:4000', 'http:/me:secret@host'],
];

test.each([
  ['types', addTypes],
  ['models', addModels],
] as const)(
  '`inferql %s` refuses other addresses before it sends anything, and does not show a password',
  async (name, add) => {
    const fetched = vi.fn();
    vi.stubGlobal('fetch', fetched);
    for (const url of REFUSED) {
      const program = new Command().exitOverride();
      add(program, { env: {}, signal: new AbortController().signal } as CommandContext);
      const failure = await program.parseAsync([name, '--url', url], { from: 'user' }).catch((error: unknown) => error);
      expect(failure, url).toMatchObject({
        exitCode: EXIT.usage,
        message: expect.stringContaining('is not a server URL. Expected e.g. http://localhost:4000'),
      });
      expect((failure as Error).message).not.toContain('secret');
    }
    expect(fetched).not.toHaveBeenCalled();
  },
);

test('the help does not show a password in INFERQL_URL', () => {
  const help = new Command().addOption(urlOption({ INFERQL_URL: 'https://me:secret@host' })).helpInformation();
  expect(help).toContain('https://host');
  expect(help).not.toContain('secret');
});
