/** Everything in one program, for a laptop: a private Redis, a worker, and a classification without HTTP. Takes the path of an image. */
import { readFile } from 'node:fs/promises';
import { createInferQL } from '@inferql/server';

const inferql = createInferQL({ runInline: { models: './models' } });

for await (const { status, result, error } of inferql.submit(await readFile(process.argv[2]!))) {
  console.log(status, result?.labels[0]?.name ?? error?.message ?? '');
}

await inferql.stop();
