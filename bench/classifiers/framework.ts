import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const modelSchema = z.object({
  name: z.string(),
  /** Width and height. */
  size: z.int(),
  normalization: z.enum(['caffe', 'tf', 'torch', 'none']),
});

const startSchema = z.object({ versions: z.string(), forms: z.array(z.string()) });

const madeSchema = z.union([
  z.object({ error: z.string() }),
  z.object({
    /** Probabilities per image. */
    answers: z.array(z.array(z.number())),
    forms: z.record(z.string(), z.union([z.object({ file: z.string() }), z.object({ error: z.string() })])),
  }),
]);

export type FrameworkModel = z.infer<typeof modelSchema>;

export interface Framework {
  models: FrameworkModel[];
  versions: string;
  forms: string[];
  /** Makes a model and exports it. */
  make(task: { name: string; pixels: string; out: string; forms: string[] }): Promise<z.infer<typeof madeSchema>>;
  close(): void;
}

/** Starts a script of this folder. One process makes all models, since a framework takes seconds to start. */
export async function openFramework(python: string, script: string): Promise<Framework> {
  const listed = execFileSync(python, [script, 'list'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const models = listed
    .split('\n')
    .filter(Boolean)
    .map((line) => modelSchema.parse(JSON.parse(line)));
  const child = spawn(python, [script, 'make'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${script} ended`);
    return JSON.parse(value);
  };
  const { versions, forms } = startSchema.parse(await read());
  return {
    models,
    versions,
    forms,
    async make(task) {
      child.stdin.write(`${JSON.stringify(task)}\n`);
      return madeSchema.parse(await read());
    },
    close: () => child.stdin.end(),
  };
}
