/** The command `inferql classify` as a process, on real files. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createClient } from '@inferql/client/node';
import { command, dir, jsonLines, run, start, system, writePicture } from '@inferql/testing/system/cli-fixture';
import { expect, test } from 'vitest';

test('one image is shown with its labels, as a table, JSON or CSV, from a file or the standard input', async () => {
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

test('folders and files together, in order; a failure is reported, does not affect the others, and the exit code is 1', async () => {
  await mkdir(join(dir, 'album/inner'), { recursive: true });
  const labels = [
    await writePicture('album/1.png'),
    await writePicture('album/inner/2.PNG'),
    await writePicture('album/inner/IMG_0003'),
    await writePicture('zero.png'),
  ];
  await writeFile(join(dir, 'album/inner/broken.jpg'), 'no image');
  await writeFile(join(dir, 'album/notes.txt'), 'no image, and not like one');
  await writePicture('album/.hidden.png');
  const { code, out, err } = await run(['classify', 'album', 'zero.png', 'gone.png', 'album/1.png', '--json']);
  expect(code).toBe(1);
  expect(jsonLines(out).map((line) => [line.file, line.ok ? line.labels[0].name : line.error.code])).toEqual([
    ['album/1.png', labels[0]],
    ['album/inner/2.PNG', labels[1]],
    ['album/inner/IMG_0003', labels[2]],
    ['album/inner/broken.jpg', 'UNSUPPORTED_FORMAT'],
    ['zero.png', labels[3]],
    ['gone.png', 'UNREADABLE_FILE'],
  ]);
  expect(err).toMatch(/4 classified, 2 failed/);
  expect(err).toContain('Skipped 1 file that is not an image: album/notes.txt.');
});

test('an endless standard input can be interrupted at once, and is not buffered without a bound', async () => {
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
  expect(await endless.ended).toMatchObject({ code: 2, err: 'Standard input is too large for an image.\n' });
});

function* repeat(chunk: Buffer) {
  for (;;) yield chunk;
}

test('a file name cannot write to the terminal', async () => {
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

test('an interrupted run cancels its open predictions, and --resume continues it', async () => {
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
  for await (const { ended } of createClient({ url: system.url }).watchQueue('slower')) if (ended!.canceled > 0) break;

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

test('if the reader of the results leaves early, the run ends quietly', async () => {
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

/** Runs the command with a shell's redirection. */
function redirect(redirection: string, args: string[]): Promise<{ code: number; out: string; err: string }> {
  const words = [process.execPath, command, ...args].map((word) => `'${word}'`).join(' ');
  const options = { cwd: dir, env: { PATH: process.env.PATH!, INFERQL_URL: system.url } };
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', `${words} ${redirection}`], options, (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    );
  });
}

test.skipIf(process.platform !== 'linux').each([
  ['classify', '.', '--csv'],
  ['models', '--json'],
])('results that do not fit on the disk are a failure: %s', async (...args) => {
  await writePicture('0.png');
  await writePicture('1.png');
  const { code, err } = await redirect('> /dev/full', args);
  expect(code).toBe(1);
  expect(err).toMatch(/^The results cannot be written: .*ENOSPC.*\.\n/);
  expect(err).not.toContain('    at ');
});

test.skipIf(process.platform !== 'linux')('notes that nobody can read do not affect the results', async () => {
  await writePicture('0.png');
  await writePicture('1.png');
  const { code, out } = await redirect('2> /dev/full', ['classify', '.']);
  expect(code).toBe(0);
  expect(out.trimEnd().split('\n')).toHaveLength(2);
});
