/** The command as a process, on real files. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createClient } from '../client/node.ts';
import { type Compiled, compileSources } from './support/compiled.ts';
import { expectedClass, makePicture, makePng } from './support/pictures.ts';
import { scriptedModel, startSystem, type TestSystem } from './support/system.ts';

const projectDir = join(import.meta.dirname, '..');
/** A picture whose first byte is this makes the model fail. */
const POISON = 220;

let system: TestSystem;
let compiled: Compiled;
let command: string;
let dir: string;
let nextPicture = 0;

beforeAll(async () => {
  [compiled, system] = await Promise.all([
    compileSources(['client/cli/main.ts']),
    startSystem({
      models: [
        scriptedModel({ script: { throwOn: [POISON] }, queue: { maxAttempts: 1 } }),
        scriptedModel({ name: 'slow', script: { waitMsPerImage: 100 } }),
        scriptedModel({ name: 'slower', script: { waitMs: 1_500 }, batching: { maxBatchSize: 1 } }),
      ],
      env: { DEFAULT_MODEL: 'scripted' },
    }),
  ]);
  await cp(join(projectDir, 'queue/lua'), join(compiled.dir, 'queue/lua'), { recursive: true });
  // As in the project: the launcher of the command beside a built dist/.
  command = join(compiled.dir, 'project/client/bin/inferql.mjs');
  await cp(join(projectDir, 'client/bin/inferql.mjs'), command);
  await cp(join(projectDir, 'package.json'), join(compiled.dir, 'project/package.json'));
  await symlink(compiled.dir, join(compiled.dir, 'project/dist'));
});

afterAll(async () => {
  await system?.end();
  await compiled?.remove();
});

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-command-'));
  return () => rm(dir, { recursive: true, force: true });
});

interface Run {
  code: number | null;
  out: string;
  err: string;
}

function start(args: string[], env: Record<string, string> = {}): { child: ChildProcess; ended: Promise<Run> } {
  const child = spawn(process.execPath, [command, ...args], {
    cwd: dir,
    env: { PATH: process.env.PATH!, INFERQL_URL: system.url, ...env },
    stdio: 'pipe',
  });
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]).then(
    ([out, err, [code]]) => ({ out, err, code: code as number | null }),
  );
  return { child, ended };
}

async function run(args: string[], { env, input }: { env?: Record<string, string>; input?: Uint8Array } = {}) {
  const { child, ended } = start(args, env);
  child.stdin!.on('error', () => {});
  child.stdin!.end(input);
  return await ended;
}

/** Writes a picture that was not sent before; the label that it must get. */
async function writePicture(name: string): Promise<string> {
  const n = nextPicture++;
  await writeFile(join(dir, name), makePicture(n));
  return `class ${expectedClass(n)}`;
}

const jsonLines = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

test('--help of the command and of each part explains it and ends with 0', async () => {
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

test('--version says which one it is', async () => {
  const { version } = JSON.parse(await readFile(join(projectDir, 'package.json'), 'utf8'));
  expect(await run(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
});

test('usage errors end with 2', async () => {
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

test('the address of the server may be written without http://', async () => {
  expect(await run(['models', '--url', new URL(system.url).host])).toMatchObject({ code: 0 });
});

test('without a server it says how to start one and ends with 3', async () => {
  await writePicture('a.png');
  const env = { INFERQL_URL: '', PORT: '9' };
  for (const args of [['classify', 'a.png'], ['models'], ['queue'], ['watch', 'a.b'], ['bench', 'a.png']]) {
    const { code, err } = await run(args, { env });
    expect(code, args.join(' ')).toBe(3);
    expect(err).toContain('http://127.0.0.1:9');
    expect(err).toContain('npm start');
  }
  const dead = await run(['dead', 'list', '--redis', 'redis://:secret@127.0.0.1:9']);
  expect(dead.code).toBe(3);
  expect(dead.err).toContain('127.0.0.1:9');
  expect(dead.err).not.toContain('secret');
});

test('one photograph is shown with its labels, as a table, JSON or CSV, from a file or the standard input', async () => {
  const label = await writePicture('photo.png');
  const table = await run(['classify', 'photo.png']);
  expect(table).toMatchObject({ code: 0, err: '' });
  expect(table.out).toMatch(new RegExp(`^photo\\.png\n {2}${label} +90\\.0% {2}█+`));
  expect(table.out.trimEnd().split('\n')).toHaveLength(7);

  const [json] = jsonLines((await run(['classify', 'photo.png', '--json', '--top', '2'])).out);
  expect(json).toMatchObject({ file: 'photo.png', ok: true, model: 'scripted', labels: [{ name: label }, {}] });

  const csv = (await run(['classify', 'photo.png', '--csv', '--top', '1'])).out;
  expect(csv).toMatch(new RegExp(`^file,rank,label,index,score,error\nphoto\\.png,1,${label},\\d+,0\\.9\\d*,\n$`));

  const piped = await run(['classify', '-', '--json'], { input: await readFile(join(dir, 'photo.png')) });
  expect(jsonLines(piped.out)[0]).toMatchObject({ file: '-', ok: true, labels: [{ name: label }, {}, {}, {}, {}] });
});

test('folders and files together, in order; what fails is told, harms no other, and the code is 1', async () => {
  await mkdir(join(dir, 'album/inner'), { recursive: true });
  const labels = [
    await writePicture('album/1.png'),
    await writePicture('album/inner/2.PNG'),
    await writePicture('zero.png'),
  ];
  await writeFile(join(dir, 'album/inner/broken.jpg'), 'no image');
  await writeFile(join(dir, 'album/notes.txt'), 'no image, and not named like one');
  await writePicture('album/.hidden.png');
  const { code, out, err } = await run(['classify', 'album', 'zero.png', 'gone.png', 'album/1.png', '--json']);
  expect(code).toBe(1);
  expect(jsonLines(out).map((line) => [line.file, line.ok ? line.labels[0].name : line.error.code])).toEqual([
    ['album/1.png', labels[0]],
    ['album/inner/2.PNG', labels[1]],
    ['album/inner/broken.jpg', 'UNSUPPORTED_FORMAT'],
    ['zero.png', labels[2]],
    ['gone.png', 'UNREADABLE_FILE'],
  ]);
  expect(err).toMatch(/3 classified, 2 failed/);
});

test('a standard input that never ends is interrupted at once, and is not kept without bound', async () => {
  const waiting = start(['classify', '-']);
  await once(waiting.child, 'spawn');
  // It takes signals once it reads: a first chunk has gone through.
  while (waiting.child.stdin!.write(Buffer.alloc(1_000_000)));
  await once(waiting.child.stdin!, 'drain');
  waiting.child.kill('SIGINT');
  expect(await waiting.ended).toMatchObject({ code: 130, err: 'Interrupted.\n' });

  const endless = start(['classify', '-']);
  endless.child.stdin!.on('error', () => {});
  Readable.from(repeat(Buffer.alloc(4_000_000))).pipe(endless.child.stdin!);
  expect(await endless.ended).toMatchObject({ code: 2, err: 'The standard input is too large for an image.\n' });
});

function* repeat(chunk: Buffer) {
  for (;;) yield chunk;
}

test("a file's name cannot write to the terminal", async () => {
  const name = '\u001b[2J\u001b]0;owned\u0007 \u202egnp.png';
  await writePicture(name);
  const controls = /[^\n\P{C}]/u;
  const table = await run(['classify', name]);
  expect(table.out).toContain('\\x1b[2J\\x1b]0;owned\\x07 \\u202egnp.png');
  expect(table.out).not.toMatch(controls);
  const json = await run(['classify', name, '--json']);
  expect(json.out).not.toMatch(controls);
  expect(jsonLines(json.out)[0].file).toBe(name);
});

test('a run that was interrupted cancels what is on its way, and is taken up where it stopped', async () => {
  const labels: string[] = [];
  for (let i = 0; i < 6; i++) labels.push(await writePicture(`${i}.png`));
  const args = ['classify', '.', '-m', 'slower', '--json', '-c', '4', '--resume', 'state.jsonl'];
  const first = start(args);
  await once(first.child.stdout!, 'data');
  first.child.kill('SIGINT');
  const broken = await first.ended;
  expect(broken.code).toBe(130);
  const done = jsonLines(broken.out).length;
  expect(done).toBeLessThan(6);
  for await (const { ended } of createClient({ url: system.url }).watchQueue('slower')) if (ended.canceled > 0) break;

  // As a crash would leave it.
  await appendFile(join(dir, 'state.jsonl'), '{"path":"/cut');
  const again = await run(args);
  expect(again.code).toBe(0);
  expect(jsonLines(again.out).map((line) => line.labels[0].name)).toEqual(labels);
  const known = Number(/(\d+) done before/.exec(again.err)![1]);
  expect(known).toBeGreaterThanOrEqual(done);

  const changed = await writePicture('4.png');
  const third = await run(args);
  expect(third.err).toMatch(/^1 classified, 5 done before/);
  expect(jsonLines(third.out)[4].labels[0].name).toBe(changed);

  expect(await run(['classify', '.', '--resume', 'state.jsonl'])).toMatchObject({ code: 2 });
  const image = await readFile(join(dir, '0.png'));
  for (const bytes of [Buffer.from('dear diary\n'), Buffer.from('dear diary\nunfinished'), image]) {
    await writeFile(join(dir, 'mine'), bytes);
    expect(await run(['classify', '0.png', '--resume', 'mine'])).toMatchObject({ code: 2 });
    expect(bytes.equals(await readFile(join(dir, 'mine')))).toBe(true);
  }
});

test('a reader of the results that leaves early ends the run quietly', async () => {
  for (let i = 0; i < 20; i++) await writePicture(`${i}.png`);
  const { child, ended } = start(['classify', '.', '-m', 'slow', '--csv']);
  await once(child.stdout!, 'data');
  child.stdout!.destroy();
  const { code, err } = await ended.catch(async () => {
    if (child.exitCode === null) await once(child, 'exit');
    return { code: child.exitCode, err: '' };
  });
  expect({ code, err }).toEqual({ code: 0, err: '' });
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

test('dead letters are listed, tried again and dropped', async () => {
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

test('a command that was not built says what to run', async () => {
  await mkdir(join(dir, 'client/bin'), { recursive: true });
  await cp(command, join(dir, 'client/bin/inferql.mjs'));
  const child = spawn(process.execPath, ['client/bin/inferql.mjs', 'models'], { cwd: dir, stdio: 'pipe' });
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  expect(code).toBe(3);
  expect(err).toContain('npm start');
});
