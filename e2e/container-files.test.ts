import { existsSync, readFileSync } from 'node:fs';
import { basename, join, normalize } from 'node:path';
import { memorySettings } from '@inferql/launcher/supervise/memory-settings';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';

const Service = z.object({
  image: z.string().optional(),
  command: z.array(z.string()).optional(),
  build: z.object({ context: z.string(), target: z.string() }).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  ports: z.array(z.string()).optional(),
  volumes: z.array(z.string()).optional(),
  container_name: z.never({ error: 'a named container cannot be scaled' }).optional(),
  read_only: z.boolean().optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).optional(),
  healthcheck: z
    .object({ test: z.array(z.string()) })
    .loose()
    .optional(),
});
const Compose = z.object({ services: z.record(z.string(), Service), volumes: z.record(z.string(), z.unknown()) });

// `merge` is how YAML 1.2 parsers take the `<<` of compose files.
const compose = Compose.parse(parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }));
const dockerfile = readFileSync('Dockerfile', 'utf8');

test('every service exists, and so does what it depends on and mounts', () => {
  expect(Object.keys(compose.services).sort()).toEqual(['models', 'redis', 'server', 'worker']);
  for (const service of Object.values(compose.services)) {
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      const needed = compose.services[name]!;
      if (condition === 'service_healthy') expect(needed.healthcheck, `${name} has no health check`).toBeDefined();
    }
    for (const mount of service.volumes ?? []) {
      const [source = ''] = mount.split(':');
      if (!source.startsWith('.')) expect(compose.volumes).toHaveProperty(source);
    }
  }
});

test('Redis writes before it answers, keeps its data in a volume and evicts nothing', () => {
  const { command = [], volumes = [] } = compose.services.redis!;
  const setting = (name: string) => command[command.indexOf(name) + 1];
  expect(setting('--appendonly')).toBe('yes');
  expect(setting('--appendfsync')).toBe('always');
  expect(setting('--maxmemory-policy')).toBe('noeviction');
  expect(volumes).toContain('redis-data:/data');
});

test('workers can be scaled: they have no port and no fixed name, and the models come first', () => {
  const worker = compose.services.worker!;
  expect(worker.ports).toBeUndefined();
  expect(worker.depends_on?.models?.condition).toBe('service_completed_successfully');
  const models = compose.services.models!;
  expect(worker.volumes).toEqual(models.volumes);
});

test('folders that .env names for the host do not reach the containers', () => {
  const { server, worker } = compose.services;
  for (const { environment } of [server!, worker!]) expect(environment).toHaveProperty('INFERQL_STATE_DIR');
  const mounted = worker!.volumes!.map((mount) => mount.split(':')[1]);
  expect(mounted).toContain(worker!.environment!.INFERQL_STATE_DIR);
  expect(mounted).toContain(worker!.environment!.INFERQL_MODELS_DIR);
});

test('the server is published to this machine only, unless configured otherwise', () => {
  expect(compose.services.server!.ports).toEqual([expect.stringMatching(/^\$\{BIND:-127\.0\.0\.1\}:.*:4000$/)]);
});

test('every build target exists in the Dockerfile, which copies only from stages that exist', () => {
  const stages = [...dockerfile.matchAll(/^FROM\s+(\S+)\s+AS\s+(\S+)$/gm)].map(([, , name]) => name);
  for (const { build } of Object.values(compose.services)) if (build) expect(stages).toContain(build.target);
  for (const [, source] of dockerfile.matchAll(/--from=(\S+)/g)) expect(stages).toContain(source);
});

test('the Dockerfile needs no front end from elsewhere', () => {
  expect(dockerfile).not.toMatch(/^#\s*syntax\s*=/im);
});

test('nothing runs as root, and server and worker have a health check', () => {
  const stages = dockerfile.split(/^(?=FROM )/m);
  const runtime = stages.find((stage) => stage.includes(' AS runtime\n'))!;
  // With runAsNonRoot, Kubernetes refuses a user that is not a number.
  expect(runtime.match(/^USER (.+)$/gm)?.at(-1)).toBe('USER 1000:1000');
  for (const name of ['server', 'worker', 'models']) {
    const stage = stages.find((text) => text.includes(` AS ${name}\n`))!;
    expect(stage).toMatch(/^FROM (worker-)?runtime /);
    expect(stage).not.toMatch(/^USER /m);
  }
  for (const name of ['server', 'worker']) {
    expect(stages.find((stage) => stage.includes(` AS ${name}\n`))).toMatch(/^HEALTHCHECK /m);
  }
});

test('with a read-only root file system, the server writes only to the memory that compose file and docs mount at /tmp', () => {
  const stage = dockerfile.split(/^(?=FROM )/m).find((text) => text.includes(' AS server\n'))!;
  expect(stage).toMatch(/^ENV .*\bINFERQL_STATE_DIR=\/tmp\//m);
});

test('the image has the same settings for memory as systems that the launcher runs', () => {
  const { MALLOC_ARENA_MAX: _, ...settings } = memorySettings({});
  for (const [name, value] of Object.entries(settings)) expect(dockerfile).toContain(`\n  ${name}=${value} \\\n`);
});

test('the image is installed from the manifests of all packages, and the server from its package alone', () => {
  const { workspaces } = JSON.parse(readFileSync('package.json', 'utf8'));
  const copied = [...dockerfile.matchAll(/^COPY ([\w-]+)\/package\.json \1\/$/gm)].map(([, name]) => name);
  expect(copied.sort()).toEqual([...workspaces].sort());
  expect(dockerfile).toMatch(/npm ci --omit=dev --workspace @inferql\/server$/m);
});

test('the command that docs and compose file run in the server is in its image, with its code', () => {
  const stage = dockerfile.split(/^(?=FROM )/m).find((text) => text.includes(' AS server\n'))!;
  const copied = [...stage.matchAll(/^COPY --from=build \/app\/(\S+) (\S+)$/gm)]
    .filter(([, from, to]) => from === normalize(to!.endsWith('/') ? join(to!, basename(from!)) : to!))
    .map(([, from]) => from!);
  const isCopied = (path: string) => copied.some((from) => path === from || path.startsWith(`${from}/`));
  for (const path of ['docker-compose.yml', 'docs/security.md', 'docs/deployment.md']) {
    const commands = [...readFileSync(path, 'utf8').matchAll(/exec server node (\S+) keys create --tenant/g)];
    expect(commands.length, path).toBeGreaterThan(0);
    for (const [, command] of commands) {
      expect(existsSync(command!), command).toBe(true);
      expect(isCopied(command!), command).toBe(true);
    }
  }
  // What the command's file reads and imports.
  for (const path of ['cli/package.json', 'dist/bundles/cli/main.js']) expect(isCopied(path), path).toBe(true);
});

test('every script and program that the Dockerfile runs is a file of the project or of its build', () => {
  const programs = [...dockerfile.matchAll(/"(dist\/[\w/-]+)\.js"/g)].map(
    ([, path]) => `${path!.replace(/^dist\/(bundles\/)?/, '')}.ts`,
  );
  expect(programs.length).toBeGreaterThan(2);
  for (const path of [...programs, 'scripts/run.mjs']) expect(() => readFileSync(path)).not.toThrow();
});
