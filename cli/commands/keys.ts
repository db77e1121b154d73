import { type CreatedKey, KeyEnvironment, type KeyRecord, KeyStore, whyInvalid } from '@inferql/queue/access/api-keys';
import { Scope } from '@inferql/queue/access/scopes';
import { ModelName } from '@inferql/queue/contract';
import { type Command, Option } from 'commander';
import * as z from 'zod';
import type { CommandContext } from '../command-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { duration, limitList, listOf, matching, tenantName, weight } from '../option-parsers.ts';
import { addRedisOptions, type RedisFlags, withRedis } from '../redis.ts';
import { formatTable } from '../table.ts';
import { safeJson, safeText } from '../terminal-text.ts';

interface CreateFlags extends RedisFlags {
  tenant: string;
  scopes: Scope[];
  models?: string[];
  name?: string;
  env: string;
  expires?: number;
  weight?: number;
  limits?: string;
  json?: true;
}

interface ListFlags extends RedisFlags {
  tenant?: string;
  json?: true;
}

interface RotateFlags extends RedisFlags {
  grace: number;
  json?: true;
}

type ListedKey = KeyRecord & { lastUsedAtMs?: number | undefined };

const DAY_MS = 86_400_000;

/** For operators: it uses Redis directly, so whoever can reach Redis can create keys. */
export function addKeys(program: Command, context: CommandContext): void {
  const keys = program
    .command('keys')
    .description('For operators: create, list and revoke API keys, directly in Redis.');
  addCreate(keys, context);
  addList(keys, context);
  addShow(keys, context);
  addRevoke(keys, context);
  addRotate(keys, context);
}

function addCreate(keys: Command, context: CommandContext): void {
  addAction(keys, 'create', 'Create a key. It is shown only once.')
    .requiredOption('-t, --tenant <name>', 'tenant whose predictions it sends and reads (required)', tenantName)
    .option('-s, --scopes <list>', 'infer, read, operate, tokens', listOf(Scope, 'infer, read, operate and tokens'), [
      'infer',
      'read',
    ] as Scope[])
    .option(
      '--models <list>',
      'names of the models that it may use (default: all)',
      listOf(ModelName, 'names of models'),
    )
    .option('--name <text>', 'a name for the key, at most 200 characters', matching(Name, 'at most 200 characters'))
    .option(
      '--env <name>',
      'environment, which is part of the key, such as live or test',
      matching(KeyEnvironment, '1 to 12 of a-z and 0-9'),
      'live',
    )
    .option('--expires <duration>', 'validity, such as 90d or 12h (default: unlimited)', duration)
    .option(
      '--limits <list>',
      'limits, such as 500ms/s:5000,100000images/month (default: the limits of its tenant)',
      limitList,
    )
    .option('--weight <number>', "the tenant's weight in fair sharing, 0.01 to 100 (default: 1)", weight)
    .action((flags: CreateFlags) =>
      withStore(flags, context, async (store) => {
        const created = await store.create({
          tenant: flags.tenant,
          scopes: flags.scopes,
          models: flags.models,
          name: flags.name,
          environment: flags.env,
          expiresAtMs: flags.expires === undefined ? undefined : Date.now() + flags.expires,
          weight: flags.weight,
          limits: flags.limits,
        });
        showCreated(created, flags, context);
      }),
    );
}

function addList(keys: Command, context: CommandContext): void {
  const { screen } = context;
  addAction(keys, 'list', 'List the keys, oldest first.')
    .option('-t, --tenant <name>', 'only keys of this tenant')
    .action((flags: ListFlags) =>
      withStore(flags, context, async (store) => {
        const all = (await store.list()).filter(({ tenant }) => flags.tenant === undefined || tenant === flags.tenant);
        if (flags.json) for (const key of all) screen.print(safeJson(describeKey(key)));
        else if (all.length === 0) screen.note(describeNoKeys(flags.tenant));
        else screen.print(drawKeys(all));
      }),
    );
}

function addShow(keys: Command, context: CommandContext): void {
  addAction(keys, 'show', 'Show one key, without its secret.')
    .argument('<id>', 'id from `keys list`')
    .action((id: string, flags: ListFlags) =>
      withStore(flags, context, async (store) => {
        const key = (await store.list()).find((candidate) => candidate.id === id);
        if (!key) throw unknownKey(id);
        context.screen.print(flags.json ? safeJson(describeKey(key)) : drawKey(key));
      }),
    );
}

function addRevoke(keys: Command, context: CommandContext): void {
  addAction(keys, 'revoke', 'Revoke keys immediately, on every server, with their subscriptions and tokens.')
    .argument('<ids...>', 'ids from `keys list`')
    .action((ids: string[], flags: ListFlags) =>
      withStore(flags, context, async (store) => {
        const unknown: string[] = [];
        for (const id of ids) {
          context.signal.throwIfAborted();
          if (!(await store.revoke(id))) unknown.push(id);
          else context.screen.print(flags.json ? safeJson({ id, revoked: true }) : `${id} revoked`);
        }
        if (unknown.length > 0) throw unknownKey(unknown.join(', '));
      }),
    );
}

function addRotate(keys: Command, context: CommandContext): void {
  addAction(keys, 'rotate', 'Create a key with the same rights. The old one expires a while later.')
    .argument('<id>', 'id from `keys list`')
    .addOption(
      new Option('--grace <duration>', 'how long the old key stays valid, such as 1h or 7d')
        .argParser(duration)
        .default(DAY_MS, '24h'),
    )
    .action((id: string, flags: RotateFlags) =>
      withStore(flags, context, async (store) => showCreated(await store.rotate(id, flags.grace), flags, context)),
    );
}

function addAction(keys: Command, name: string, description: string): Command {
  return addRedisOptions(keys.command(name).description(description)).option('--json', 'one line of JSON per key');
}

function withStore(
  flags: RedisFlags,
  context: CommandContext,
  work: (store: KeyStore) => Promise<void>,
): Promise<void> {
  return withRedis(flags, context, (redis) => work(new KeyStore(redis, { prefix: flags.prefix })));
}

function showCreated({ text, record }: CreatedKey, flags: { json?: true }, { screen }: CommandContext): void {
  if (flags.json) {
    const { id, ...rest } = describeKey(record);
    screen.print(safeJson({ id, key: text, ...rest }));
    return;
  }
  screen.print(text);
  screen.note(`Key ${record.id} of ${record.tenant}. It is not shown again.`);
}

function describeKey(key: ListedKey) {
  const moment = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString());
  return {
    id: key.id,
    tenant: key.tenant,
    scopes: key.scopes,
    models: key.models ?? null,
    name: key.name,
    environment: key.environment,
    weight: key.weight,
    limits: key.limits,
    status: whyInvalid(key, Date.now()) ?? 'valid',
    createdAt: moment(key.createdAtMs),
    expiresAt: moment(key.expiresAtMs),
    revokedAt: moment(key.revokedAtMs),
    lastUsedAt: moment(key.lastUsedAtMs),
    replaces: key.replaces ?? null,
  };
}

function describeNoKeys(tenant: string | undefined): string {
  const found = tenant === undefined ? 'No keys yet.' : `${safeText(tenant)} has no keys.`;
  return `${found} Create one with \`inferql keys create --tenant ${tenant === undefined ? 'NAME' : safeText(tenant)}\`.`;
}

function drawKeys(keys: ListedKey[]): string {
  return formatTable(
    ['ID', 'TENANT', 'SCOPES', 'MODELS', 'STATUS', 'EXPIRES', 'LAST USED', 'NAME'],
    keys.map((key) => {
      const { status, expiresAt, lastUsedAt } = describeKey(key);
      return [
        key.id,
        key.tenant,
        key.scopes.join(','),
        key.models?.join(',') ?? 'all',
        status,
        expiresAt ?? 'never',
        lastUsedAt ?? 'never',
        safeText(key.name),
      ];
    }),
  );
}

function drawKey(key: ListedKey): string {
  const rows = Object.entries(describeKey(key)).map(([name, value]) => [
    name,
    safeText(Array.isArray(value) ? value.join(', ') : String(value ?? '-')),
  ]);
  return formatTable(['KEY', ''], rows);
}

function unknownKey(id: string): CommandFailure {
  return new CommandFailure(EXIT.failed, `Unknown key '${safeText(id)}'. See \`inferql keys list\`.`);
}

const Name = z.string().max(200);
