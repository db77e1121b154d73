import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';

const modelSchema = z.object({
  name: z.string(),
  /** Width and height. */
  size: z.int(),
  normalization: z.enum(['caffe', 'tf', 'torch', 'none']),
});

const startSchema = z.object({ models: z.array(modelSchema), versions: z.string(), forms: z.array(z.string()) });
const failureSchema = z.object({ error: z.string() });
const builtSchema = z.union([failureSchema, z.object({ answers: z.array(z.array(z.number())) })]);
const exportedSchema = z.union([failureSchema, z.object({ file: z.string() })]);

export type FrameworkModel = z.infer<typeof modelSchema>;
export type Exported = z.infer<typeof exportedSchema>;

export interface Framework {
  /** From small to large. */
  models: FrameworkModel[];
  versions: string;
  forms: string[];
  /** Makes a model and answers with its probabilities per image. `pixels` is a file. */
  build(name: string, pixels: string): Promise<z.infer<typeof builtSchema>>;
  /** Writes the last model into a folder. */
  export(form: string, out: string): Promise<Exported>;
  close(): void;
}

interface FrameworkProcess {
  child: ChildProcessWithoutNullStreams;
  lines: AsyncIterator<string>;
}

// The commands of the benchmarks run in the project's folder.
const SCRIPT = join('bench', 'classifiers', 'framework.py');

/** Starts `framework.py`. One process makes all models, since a framework takes seconds to start; if it is killed, another makes the next model. */
export async function openFramework(python: string, collection: string): Promise<Framework> {
  const start = async () => {
    const child = spawn(python, [SCRIPT, collection], { stdio: 'pipe' });
    child.stderr.pipe(process.stderr);
    // A process that was killed is noticed when it answers nothing.
    child.stdin.on('error', () => {});
    const opened = { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
    return { opened, started: startSchema.parse(await read(opened)) };
  };
  const { opened, started } = await start();
  let current: FrameworkProcess | undefined = opened;

  const ask = async (task: object): Promise<unknown> => {
    if (!current) return { error: 'the process of the framework was killed' };
    current.child.stdin.write(`${JSON.stringify(task)}\n`);
    const answer = await read(current);
    if (answer === undefined) {
      current = undefined;
      return { error: 'the process of the framework was killed' };
    }
    return answer;
  };

  return {
    ...started,
    async build(name, pixels) {
      current ??= (await start()).opened;
      return builtSchema.parse(await ask({ build: name, pixels }));
    },
    export: async (form, out) => exportedSchema.parse(await ask({ export: form, out })),
    close: () => current?.child.stdin.end(),
  };
}

async function read({ lines }: FrameworkProcess): Promise<unknown> {
  const { value, done } = await lines.next();
  return done ? undefined : JSON.parse(value);
}
