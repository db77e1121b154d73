/** A thread that runs a share of each batch in its own single-threaded session. Started by session-pool.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import type { EngineBatch, EngineModel, EngineOutput } from '../engine.ts';
import { createOnnxSession, type OnnxFile } from './create-session.ts';

export interface SessionThreadSettings {
  model: EngineModel;
  file: OnnxFile;
}

export type SessionThreadAnswer = { output: EngineOutput } | { error: string };

const { model, file } = workerData as SessionThreadSettings;
const session = await createOnnxSession(model, file, 1);

parentPort!.on('message', async (batch: EngineBatch) => {
  let answer: SessionThreadAnswer;
  try {
    answer = { output: await session.run(batch) };
  } catch (error) {
    answer = { error: String(error) };
  }
  parentPort!.postMessage(answer);
});
parentPort!.postMessage('ready');
