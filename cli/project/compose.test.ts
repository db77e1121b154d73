/** The compose file and the Dockerfile of a new project, read as Docker does, and compared with each other and with the settings. */
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { readServerSettings } from '@inferql/settings/server-settings';
import { findSettingMistakes, readSettings } from '@inferql/settings/settings';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { listProjectFiles } from './new-project-files.ts';

const files = listProjectFiles({ name: 'mine', version: '1.2.3' });
const duration = z.string().regex(/^\d+(ms|s|m)$/);
/** The part of the Compose Specification that the file uses: another key, or another type, is a mistake. */
const Service = z.strictObject({
  image: z.string().optional(),
  build: z.literal('.').optional(),
  command: z.array(z.string()).optional(),
  init: z.boolean().optional(),
  env_file: z.tuple([z.strictObject({ path: z.literal('.env'), required: z.literal(false) })]).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/, 'published to this machine only')).optional(),
  volumes: z.array(z.string().regex(/^[\w-]+:\/[\w/-]+$/)).optional(),
  healthcheck: z
    .strictObject({
      test: z.tuple([z.literal('CMD')], z.string()),
      interval: duration,
      timeout: duration,
      retries: z.int().positive(),
    })
    .optional(),
  depends_on: z
    .record(z.string(), z.strictObject({ condition: z.enum(['service_started', 'service_healthy']) }))
    .optional(),
  restart: z.literal('unless-stopped'),
  stop_grace_period: duration.optional(),
});
const Compose = z.strictObject({ services: z.record(z.string(), Service), volumes: z.record(z.string(), z.null()) });

/** `${NAME:-default}` as Docker replaces it, with the project's `.env`. */
function interpolate(text: string, env: Record<string, string>): string {
  const replaced = text.replace(
    /\$\{(\w+):-([^}]*)\}/g,
    (_all, name: string, byDefault: string) => env[name] || byDefault,
  );
  expect(replaced).not.toContain('$');
  return replaced;
}

function readCompose(env = parseEnv(files['.env']!) as Record<string, string>) {
  return Compose.parse(parse(interpolate(files['compose.yml']!, env), { merge: true }));
}

/** Instructions of the Dockerfile, in order. */
const steps = files
  .Dockerfile!.trim()
  .split('\n')
  .filter((line) => !line.startsWith('#'))
  .map((line) => /^([A-Z]+) (.*)$/.exec(line)!)
  .map(([, name, text]) => ({ name: name!, text: text! }));
const textOf = (name: string) => steps.filter((step) => step.name === name).map(({ text }) => text);
const imageEnv = Object.fromEntries(textOf('ENV').flatMap((text) => text.split(' ').map((pair) => pair.split('='))));

test('the compose file has the keys and types of the specification, and what it refers to exists', () => {
  const { services, volumes } = readCompose();
  expect(Object.keys(services).sort()).toEqual(['inferql', 'redis']);
  const mounted = Object.values(services).flatMap((service) => service.volumes ?? []);
  expect(mounted.map((mount) => mount.split(':')[0]).sort()).toEqual(Object.keys(volumes).sort());
  for (const service of Object.values(services)) {
    expect([service.image, service.build].filter(Boolean)).toHaveLength(1);
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(services).toHaveProperty(name);
      if (condition === 'service_healthy') expect(services[name]!.healthcheck).toBeDefined();
    }
  }
});

/** The environment of the service: later sources win. */
function environmentOf(dotEnv = parseEnv(files['.env']!) as Record<string, string>): Record<string, string> {
  const { env_file, environment } = readCompose(dotEnv).services.inferql!;
  return { ...imageEnv, ...(env_file ? dotEnv : {}), ...environment };
}

test('its settings are valid, and the container listens where the port is published', () => {
  const { ports } = readCompose().services.inferql!;
  const env = environmentOf();
  expect(findSettingMistakes(env)).toEqual([]);
  const { host, port, redisUrl } = { ...readSettings('launcher', env), ...readServerSettings(env) };
  expect(host).toBe('0.0.0.0');
  expect(ports).toEqual([`127.0.0.1:4000:${port}`]);
  expect(textOf('EXPOSE')).toEqual([String(port)]);
  expect(textOf('HEALTHCHECK')).toEqual([expect.stringContaining(`http://127.0.0.1:${port}/health/ready`)]);
  expect(new URL(redisUrl!).host).toBe('redis:6379');
  expect(readCompose({ PORT: '8080' }).services.inferql!.ports).toEqual([`127.0.0.1:8080:${port}`]);
  expect(readCompose({ INFERQL_AUTH: 'keys' }).services.inferql!.environment!.INFERQL_AUTH).toBe('keys');
});

test("the settings in .env apply in the container, except for the host's addresses and folders", () => {
  const elsewhere = { PORT: '8080', HOST: '127.0.0.1', REDIS_URL: 'redis://localhost', INFERQL_STATE_DIR: '/home/me' };
  const chosen = {
    INFERQL_WORKERS: '3',
    INFERQL_TENANT_LIMITS: '10images/s',
    INFERQL_AUTH: 'jwt',
    INFERQL_JWKS_URL: 'https://id.example/jwks',
    INFERQL_JWT_ISSUER: 'https://id.example',
    INFERQL_JWT_AUDIENCE: 'inferql',
  };
  const env = environmentOf({ ...elsewhere, ...chosen });
  expect(env).toMatchObject({ ...chosen, ...readCompose().services.inferql!.environment, INFERQL_AUTH: 'jwt' });
  expect(readServerSettings(env)).toMatchObject({ port: 4000, host: '0.0.0.0', stateDir: '/var/lib/inferql' });
});

test('the commands in comments have the options that they need', () => {
  const commands = Object.values(files).flatMap((text) => text.match(/inferql keys create.*/g) ?? []);
  expect(commands).toHaveLength(2);
  for (const command of commands) expect(command).toBe('inferql keys create --tenant NAME');
});

test('the state is in the volume, which the user of the image may write', () => {
  const { volumes } = readCompose().services.inferql!;
  expect(volumes).toEqual([`state:${imageEnv.INFERQL_STATE_DIR}`]);
  // A number, which Kubernetes can check, of the user node.
  expect(textOf('USER')).toEqual(['1000:1000']);
  expect(textOf('RUN').join('\n')).toContain(`chown node:node ${imageEnv.INFERQL_STATE_DIR}`);
});

test('the image copies existing files, and runs a program of its production packages', () => {
  const present = new Set([...Object.keys(files), 'models']);
  const ignored = files['.dockerignore']!.trim().split('\n');
  const sources = textOf('COPY').flatMap((text) => text.split(' ').slice(0, -1));
  // A lock file is optional.
  for (const source of sources.filter((name) => !name.endsWith('*'))) {
    expect(present).toContain(source);
    expect(ignored).not.toContain(source);
  }
  // Settings of the host, and keys in them, stay out of the image.
  expect(ignored).toContain('.env');
  expect(textOf('RUN')[0]).toBe('npm install --omit=dev --ignore-scripts');
  const [command] = textOf('CMD').map((text) => JSON.parse(text) as string[]);
  const { dependencies } = JSON.parse(files['package.json']!);
  expect(command![0]).toBe(join('node_modules/.bin', 'inferql'));
  expect(dependencies).toHaveProperty('inferql');
  expect(command!.slice(1)).toEqual(['serve', './models']);
});

test('Redis is new enough, writes before it answers, and evicts nothing', () => {
  const { image, command, volumes } = readCompose().services.redis!;
  expect(Number(/^redis:(\d+)/.exec(image!)?.[1])).toBeGreaterThanOrEqual(7);
  const setting = (name: string) => command![command!.indexOf(name) + 1];
  expect(setting('--appendfsync')).toBe('always');
  expect(setting('--appendonly')).toBe('yes');
  expect(setting('--maxmemory-policy')).toBe('noeviction');
  expect(volumes).toEqual(['redis-data:/data']);
});
