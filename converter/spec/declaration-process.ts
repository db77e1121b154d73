/** Reads the declaration of a module in a separate process, since the module may crash, hang or change globals. */
import { spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { ModelError } from '../errors.ts';
import { listModuleFiles } from '../sources/module-files.ts';

const LIMIT_MS = 30_000;
/** Class names of many thousand classes fit. */
const MAX_LENGTH = 4 * 1024 * 1024;
const MAX_COMPLAINT_LENGTH = 4_096;
/** In what Node prints about an error that nobody caught. */
const ERROR_LINE = /^\w*Error\b.{0,200}/m;

/**
 * Imports the module, does not call `load`, and answers with the other fields. The thread ends the process even if the module keeps the
 * main thread busy and the parent has died.
 */
export const PROGRAM = `
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
const [, file, limitMs] = process.argv;
const limit = "setTimeout(() => process.kill(process.pid, 'SIGKILL'), require('node:worker_threads').workerData)";
// Without this process' arguments: with them, the thread's code would be a module, which has no require.
new Worker(limit, { eval: true, execArgv: [], workerData: Number(limitMs) }).unref();
const send = process.send.bind(process);
async function read() {
  const exported = (await import(pathToFileURL(file).href)).default;
  if (typeof exported === 'function') return { hasLoad: true, fields: {} };
  if (typeof exported?.load !== 'function') return { hasLoad: false };
  const { load, ...fields } = exported;
  return { hasLoad: true, fields };
}
const toJson = (key, value) => (typeof value === 'function' || typeof value === 'bigint' ? String(value) : value);
const answer = await read()
  .then((found) => JSON.stringify(found, toJson))
  .catch((error) => JSON.stringify({ message: String(error?.message ?? error) }));
send(answer, () => process.exit(0));
`;

const answerSchema = z.union([
  z.object({ message: z.string() }),
  z.object({ hasLoad: z.literal(true), fields: z.record(z.string(), z.unknown()) }),
  z.object({ hasLoad: z.literal(false) }),
]);

/** The last that was read per module, and of which files. Failures are not kept: what they need may be outside the folder. */
const known = new Map<string, { signature: string; fields: Record<string, unknown> }>();

/**
 * The fields of the module's default export besides `load`; none if that is a function. Read again only when a file in the folder has
 * changed.
 * @param folder the model's folder
 * @param code the module's path in it
 * @throws ModelError SPEC_INVALID if the module cannot be imported, ends or hangs its process, or exports nothing usable
 */
export async function readModuleFields(
  folder: string,
  code: string,
  limitMs: number = LIMIT_MS,
): Promise<Record<string, unknown>> {
  const file = path.resolve(folder, code);
  const signature = await signFiles(folder);
  const before = known.get(file);
  if (before?.signature === signature) return before.fields;
  const answer = await askProcess(file, limitMs);
  if ('message' in answer) throw refuse(file, `the engine module cannot be imported: ${answer.message}`);
  if (!answer.hasLoad) {
    throw refuse(file, 'the engine module must have a default export: a function `load`, or an object with one');
  }
  known.set(file, { signature, fields: answer.fields });
  return answer.fields;
}

function refuse(file: string, what: string, cause?: unknown): ModelError {
  return new ModelError('SPEC_INVALID', `${file}: ${what}`, { cause });
}

/** Changes whenever a file of the folder does. */
async function signFiles(folder: string): Promise<string> {
  const names = await listModuleFiles(folder);
  const signed = names.map(async (name) => {
    const found = await stat(path.join(folder, name)).catch(() => undefined);
    return `${name}:${found?.size}:${found?.mtimeMs}:${found?.ctimeMs}:${found?.ino}`;
  });
  return (await Promise.all(signed)).join('\n');
}

/** @throws ModelError SPEC_INVALID */
async function askProcess(file: string, limitMs: number): Promise<z.infer<typeof answerSchema>> {
  const program = ['--input-type=module', '--eval', PROGRAM];
  const child = spawn(process.execPath, [...program, file, String(limitMs)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  });
  return new Promise((resolve, reject) => {
    let text: unknown;
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      complaint = `${complaint}${chunk}`.slice(0, MAX_COMPLAINT_LENGTH);
    });
    child.once('message', (message) => {
      text = message;
    });
    child.once('error', (cause) => reject(refuse(file, 'no process could be started to read it', cause)));
    // 'close' follows the last message; 'exit' may precede it.
    child.once('close', (exitCode, signal) => {
      const how =
        signal === 'SIGKILL' ? `was ended, at the latest after ${limitMs} ms` : `ended (${signal ?? exitCode})`;
      if (typeof text !== 'string') {
        const reason = ERROR_LINE.exec(complaint)?.[0];
        return reject(refuse(file, `the process that imports the engine module ${how}${reason ? `: ${reason}` : ''}`));
      }
      try {
        if (text.length > MAX_LENGTH) throw new Error(`more than ${MAX_LENGTH} characters`);
        resolve(answerSchema.parse(JSON.parse(text)));
      } catch (cause) {
        reject(refuse(file, 'what the engine module declares cannot be read', cause));
      }
    });
  });
}
