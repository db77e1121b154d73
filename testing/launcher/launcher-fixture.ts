/** Shared by the tests of `npm start`: one clone per file, and starts that end with their test. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from '@inferql/launcher/free-port';
import { afterAll, afterEach, beforeAll, expect, vi } from 'vitest';
import { type Clone, cloneProject } from './clone.ts';
import { type Launcher, listProcesses, startLauncher } from './launcher.ts';

export const CATS = [281, 282, 285];
/** Only bounds what hangs. */
export const poll = { timeout: 90_000, interval: 50 };
export const BUILD_TIMEOUT_MS = 300_000;

export let clone: Clone;

export interface ReadyStart {
  launcher: Launcher;
  url: string;
  redisPort: number;
  redisUrl: string;
}

let launchers: Launcher[] = [];
let isShared = false;
const groups = new Set<number>();
const redisPorts = new Set<number>();

/** @param built whether the clone is built already */
export function setUpClone({ built }: { built: boolean }): void {
  beforeAll(() => {
    clone = cloneProject({ models: true, built });
  });
  afterEach(async () => {
    if (isShared) return;
    await endStarts();
    await expect.poll(listOurs, poll).toEqual([]);
  });
  afterAll(async () => {
    await endStarts();
    clone.remove();
  });
}

/**
 * Starts once for the tests of a `describe`, in their order. The last one may end it.
 * @returns the start, once the tests run
 */
export function shareStart(env: Record<string, string> = {}): () => ReadyStart {
  let shared: ReadyStart;
  beforeAll(async () => {
    isShared = true;
    shared = await startReady(env);
  }, BUILD_TIMEOUT_MS);
  afterAll(async () => {
    isShared = false;
    await endStarts();
    await vi.waitFor(() => expect(listOurs()).toEqual([]), poll);
  });
  return () => shared;
}

/** @param command a command of scripts/run.mjs and its arguments. @default start */
export async function start(
  env: Record<string, string | undefined> = {},
  command?: readonly string[],
): Promise<Launcher> {
  const launcher = startLauncher(clone.dir, { PORT: String(await findFreePort()), ...env }, command);
  launchers.push(launcher);
  groups.add(launcher.pid);
  return launcher;
}

/** Starts, and resolves once predictions can be answered. */
export async function startReady(env: Record<string, string | undefined> = {}): Promise<ReadyStart> {
  const launcher = await start(env);
  const url = await launcher.ready();
  const record = JSON.parse(readFileSync(join(clone.dir, `.inferql/running-${launcher.pid}.json`), 'utf8'));
  const redisPort = Number(new URL(record.redisUrl).port);
  if (!env.REDIS_URL) redisPorts.add(redisPort);
  return { launcher, url, redisPort, redisUrl: record.redisUrl };
}

/** What is still alive of everything that was started here: the groups, and guards and Redis in separate sessions. */
export function listOurs(): string[] {
  const ours = listProcesses(
    ({ group, command }) =>
      groups.has(group) ||
      command.includes(`${clone.dir}/`) ||
      [...redisPorts].some((port) => command.endsWith(`127.0.0.1:${port}`)),
  );
  return [...ours.values()];
}

/** Removes the build of the clone, but not the page, which is built separately. */
export function removeBuiltCode(): void {
  const dist = join(clone.dir, 'dist');
  if (!existsSync(dist)) return;
  for (const name of readdirSync(dist)) if (name !== 'web') rmSync(join(dist, name), { recursive: true });
}

/** The compilers that build the clone. */
export function listCompilers(): string[] {
  const isOurs = (command: string) => command.includes(`-p ${clone.dir}/.inferql/unfinished/tsconfig-`);
  return [...listProcesses(({ command }) => isOurs(command)).values()];
}

/** Resolves in the middle of building. The process that does the work is the compiler's second one. */
export async function untilCompiling(): Promise<void> {
  await expect.poll(listCompilers, { ...poll, interval: 10 }).toContainEqual(expect.stringMatching(/\/lib\/tsc -p/));
}

/** Ends the starts that still run; resolves once they have. */
export async function endStarts(): Promise<void> {
  for (const launcher of launchers) launcher.process.kill('SIGTERM');
  await Promise.all(launchers.map((launcher) => launcher.exited()));
  launchers = [];
}

/** The class that ResNet50 finds on a cat, through the whole system. */
export async function classifyCat(url: string): Promise<number> {
  const form = new FormData();
  const query = `mutation ($image: Upload!) { classifyImage(image: $image, model: "resnet50") {
    ... on Prediction { result { labels(topK: 1) { index } } } ... on Error { code } } }`;
  form.set('operations', JSON.stringify({ query, variables: { image: null } }));
  form.set('map', '{"0":["variables.image"]}');
  form.set('0', new Blob([readFileSync('models/samples/chelsea.png')], { type: 'image/png' }), 'chelsea.png');
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    body: form,
    headers: { 'x-graphql-yoga-csrf': 'test' },
  });
  const answer = (await response.json()) as { data: { classifyImage: { result: { labels: { index: number }[] } } } };
  const index = answer.data?.classifyImage?.result?.labels[0]?.index;
  if (index === undefined) throw new Error(JSON.stringify(answer));
  return index;
}
