import { createTenantStore, type TenantSettings, type TenantStore } from '@inferql/queue/access/tenant-store';
import { type Command, InvalidArgumentError } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { limitList, tenantName, weight } from '../option-parsers.ts';
import { addRedisOptions, type RedisFlags, withRedis } from '../redis.ts';
import { formatTable } from '../table.ts';
import { safeJson, safeText } from '../terminal-text.ts';

interface TenantFlags extends RedisFlags {
  limits?: string;
  weight?: number;
  json?: true;
}

/** For operators: it uses Redis directly, as `inferql keys` does. */
export function addTenants(program: Command, context: CommandContext): void {
  const tenants = program.command('tenants').description('For operators: limits and weights of individual tenants.');
  const { screen } = context;
  const addAction = (name: string, description: string) =>
    addRedisOptions(tenants.command(name).description(description)).option('--json', 'one line of JSON per tenant');
  const withStore = (flags: RedisFlags, work: (store: TenantStore) => Promise<void>) =>
    withRedis(flags, context, (redis) => work(createTenantStore(redis, { prefix: flags.prefix })));

  addAction(
    'set',
    "Set a tenant's limits or weight, on every server at once. Values that you do not pass stay unchanged.",
  )
    .argument('<tenant>', 'its name', tenantName)
    .option(
      '--limits <list>',
      "such as 500ms/s:5000,100000images/month, instead of the server's; 'none' for no limits",
      tenantLimits,
    )
    .option('--weight <number>', "its weight in fair sharing, 0.01 to 100, instead of its keys'", weight)
    .action((tenant: string, flags: TenantFlags) => {
      if (flags.limits === undefined && flags.weight === undefined) {
        throw new CommandFailure(EXIT.usage, 'Pass --limits, --weight or both.');
      }
      return withStore(flags, async (store) => {
        await store.set(tenant, { limits: flags.limits, weight: flags.weight });
        show([{ tenant, ...(await store.find(tenant)) }], flags.json);
      });
    });

  addAction('list', 'List the tenants that have limits or a weight.').action((flags: TenantFlags) =>
    withStore(flags, async (store) => {
      const all = await store.list();
      if (all.length === 0 && !flags.json) screen.note("Nothing is set: the server's limits apply to all tenants.");
      else show(all, flags.json);
    }),
  );

  addAction('reset', "Remove a tenant's limits and weight, so that those of the server and of its keys apply again.")
    .argument('<tenant>', 'its name', tenantName)
    .action((tenant: string, flags: TenantFlags) =>
      withStore(flags, async (store) => {
        if (!(await store.reset(tenant))) {
          throw new CommandFailure(
            EXIT.failed,
            `Nothing is set for '${safeText(tenant)}': see \`inferql tenants list\`.`,
          );
        }
        screen.print(flags.json ? safeJson({ tenant, reset: true }) : `${tenant} reset`);
      }),
    );

  function show(found: (TenantSettings & { tenant: string })[], json: true | undefined): void {
    if (json) {
      for (const { tenant, limits, weight: part } of found) {
        screen.print(safeJson({ tenant, limits: limits ?? null, weight: part ?? null }));
      }
      return;
    }
    const rows = found.map(({ tenant, limits, weight: part }) => [
      tenant,
      limits === undefined ? "the server's" : limits || 'none',
      part === undefined ? "its keys'" : String(part),
    ]);
    screen.print(formatTable(['TENANT', 'LIMITS', 'WEIGHT'], rows));
  }
}

function tenantLimits(text: string): string {
  if (text === 'none') return '';
  if (text.trim() === '') throw new InvalidArgumentError("Expected limits, or 'none'.");
  return limitList(text);
}
