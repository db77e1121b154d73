/** The command's parts except classify, as processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createClient } from '@inferql/client/node';
import { projectDir } from '@inferql/testing/build';
import { makePng } from '@inferql/testing/data/test-images';
import { command, dir, jsonLines, POISON, run, start, system, writePicture } from '@inferql/testing/system/cli-fixture';
import { expect, test } from 'vitest';

test('--help explains the command and each of its parts, and exits with 0', async () => {
  const { code, out } = await run(['--help']);
  expect(code).toBe(0);
  for (const part of ['classify', 'watch', 'models', 'queue', 'dead', 'bench']) {
    expect(out).toContain(part);
    const help = await run([part, '--help']);
    expect(help.code).toBe(0);
    expect(help.out).toContain('Usage: inferql');
  }
  expect(out).toContain('Exit codes');
});

test('--version prints the version', async () => {
  const { version } = JSON.parse(await readFile(join(projectDir, 'package.json'), 'utf8'));
  expect(await run(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
});

test('usage errors exit with 2', async () => {
  const label = await writePicture('a.png');
  expect(label).toMatch(/^class/);
  for (const args of [
    [],
    ['clasify', 'a.png'],
    ['classify'],
    ['classify', 'a.png', '--top', '0'],
    ['classify', 'a.png', '--json', '--csv'],
    ['classify', 'a.png', '--model', 'none'],
    ['classify', 'a.png', '--url', 'nowhere'],
    ['classify', 'a.png', '--url', 'ftp://127.0.0.1'],
    ['bench', 'gone.png'],
    ['dead', 'drop', '--redis', system.redis.url, '--model', 'scripted'],
    ['dead', 'drop', 'x', '--redis', system.redis.url, '--model', 'scripted'],
    ['dead', 'list', '--redis', system.redis.url],
    ['queue', 'none'],
  ]) {
    const { code, err, out } = await run(args);
    expect(code, `${args.join(' ')}\n${out}${err}`).toBe(2);
    expect(err).not.toBe('');
    expect(err).not.toContain('    at ');
  }
  const password = await run(['models', '--url', system.url.replace('//', '//me:secret@')]);
  expect(password.code).toBe(2);
  expect(password.err).not.toContain('secret');
});

test('the URL of the server may omit http://', async () => {
  expect(await run(['models', '--url', new URL(system.url).host])).toMatchObject({ code: 0 });
});

test('without a server it says how to start one and exits with 3', async () => {
  await writePicture('a.png');
  const env = { INFERQL_URL: '', PORT: '9' };
  for (const args of [['classify', 'a.png'], ['models'], ['queue'], ['watch', 'a.b'], ['bench', 'a.png']]) {
    const { code, err } = await run(args, { env });
    expect(code, args.join(' ')).toBe(3);
    expect(err).toContain('http://127.0.0.1:9');
    expect(err).toContain('inferql serve');
  }
  const dead = await run(['dead', 'list', '--redis', 'redis://:secret@127.0.0.1:9']);
  expect(dead.code).toBe(3);
  expect(dead.err).toContain('127.0.0.1:9');
  expect(dead.err).not.toContain('secret');
});

test('watch follows a prediction to its end', async () => {
  const label = await writePicture('a.png');
  const client = createClient({ url: system.url });
  const { id } = await client.classify(join(dir, 'a.png'), { model: 'slow' });
  const { code, out } = await run(['watch', id]);
  expect(code).toBe(0);
  expect(out).toContain('SUCCEEDED');
  expect(out).toContain(label);
  expect(jsonLines((await run(['watch', id, '--json'])).out).at(-1)).toMatchObject({ id, status: 'SUCCEEDED' });
  expect((await run(['watch', 'scripted.AAAAAAAAAAAAAAAAAAAAAA'])).code).toBe(1);
});

test('models and queue show what there is', async () => {
  const models = await run(['models']);
  expect(models.code).toBe(0);
  expect(models.out).toMatch(/^MODEL +VERSION +ENGINE/);
  expect(models.out).toMatch(/^scripted \* +[0-9a-f]{12} +scripted/m);
  expect(jsonLines((await run(['models', '--json'])).out).map(({ name }) => name)).toEqual([
    'scripted',
    'slow',
    'slower',
  ]);
  const queue = await run(['queue', 'slow']);
  expect(queue.code).toBe(0);
  expect(queue.out).toMatch(/waiting +0 of 1000/);
  expect(jsonLines((await run(['queue', '--json'])).out)[0]).toMatchObject({ model: 'scripted' });
  const watch = start(['queue', '--watch']);
  const [first] = await once(watch.child.stdout!, 'data');
  expect(String(first)).toContain('waiting');
  watch.child.kill('SIGINT');
  expect((await watch.ended).code).toBe(130);
});

test('dead letters are listed, retried and dropped', async () => {
  for (let i = 0; i < 3; i++) await writeFile(join(dir, `${i}.png`), makePng(4, 4, [POISON, i, 1]));
  expect((await run(['classify', '.'])).code).toBe(1);
  const env = { REDIS_URL: system.redis.url };
  const list = async () => jsonLines((await run(['dead', 'list', '-m', 'scripted', '--json'], { env })).out || '[]');
  const letters = await list();
  expect(letters).toHaveLength(3);
  expect((await run(['dead', 'list', '-m', 'scripted'], { env })).out).toContain('MODEL_FAILED');

  const retried = await run(['dead', 'retry', '-m', 'scripted', letters[0].entryId], { env });
  expect(retried.code).toBe(0);
  const id = retried.out.trim().split(/\s+/)[1]!;
  const states = jsonLines((await run(['watch', id, '--json'])).out);
  expect(states.at(-1)).toMatchObject({ status: 'FAILED', retryOf: letters[0].predictions[0] });

  expect((await run(['dead', 'drop', '-m', 'scripted', letters[1].entryId], { env })).out).toBe('1 dropped\n');
  expect((await run(['dead', 'drop', '-m', 'scripted', letters[1].entryId], { env })).code).toBe(1);
  expect((await run(['dead', 'drop', '-m', 'scripted', '--all'], { env })).out).toBe('2 dropped\n');
  expect((await run(['dead', 'list', '-m', 'scripted'], { env })).err).toContain('no dead letters');

  // As npm start leaves it for the operator of its private Redis.
  await mkdir(join(dir, 'state/redis'), { recursive: true });
  await writeFile(join(dir, 'state/redis/port'), String(system.redis.port));
  const found = await run(['dead', 'list', '-m', 'slow'], { env: { INFERQL_STATE_DIR: join(dir, 'state') } });
  expect(found).toMatchObject({ code: 0 });
});

test('bench measures with real uploads', async () => {
  for (let i = 0; i < 10; i++) await writePicture(`${i}.png`);
  const { code, out } = await run(['bench', '.', '-n', '20', '-c', '4', '-d', '60', '--json']);
  expect(code).toBe(0);
  const [summary] = jsonLines(out);
  expect(summary).toMatchObject({ clients: 4, succeeded: 20, failed: 0, errors: {} });
  expect(summary.latencyMs.p50).toBeGreaterThan(0);
  expect(summary.latencyMs.max).toBeGreaterThanOrEqual(summary.latencyMs.p99);
  const table = await run(['bench', '.', '-n', '4', '-c', '2']);
  expect(table.out).toMatch(/rate +[\d.]+\/s/);
});

test('a command that is not built says what to run', async () => {
  await mkdir(join(dir, 'cli/bin'), { recursive: true });
  await cp(command, join(dir, 'cli/bin/inferql.mjs'));
  await cp(join(command, '../../package.json'), join(dir, 'cli/package.json'));
  const child = spawn(process.execPath, ['cli/bin/inferql.mjs', 'models'], { cwd: dir, stdio: 'pipe' });
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  expect(code).toBe(3);
  expect(err).toContain('npm start');
});
