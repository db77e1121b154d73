/**
 * The model process: runs users' models for the commands of the model repository. It ends with the command, even if that is killed, and when it
 * takes too much memory.
 */
import { endWithParent } from '../child-process/end-with-parent.ts';
import { beKilledFirst } from '../child-process/first-killed.ts';
import { localRunner } from './local-runner.ts';
import type { EngineSession, OnnxSession } from './model-runner.ts';
import {
  type Answer,
  type CallName,
  type FromModelProcess,
  MEMORY_MARK,
  type Request,
  type ToModelProcess,
} from './protocol.ts';

const sessions = new Map<number, OnnxSession>();
let lastSession = 0;
const engines = new Map<number, EngineSession>();

const CALLS: { [Name in CallName]: (request: Request<Name>) => Promise<Answer<Name>> } = {
  async openOnnx({ file, ...options }) {
    const opened = await localRunner.openOnnx(file, { ...options, input: { width: 0, height: 0 } });
    const session = ++lastSession;
    sessions.set(session, opened);
    return { session, inputs: opened.inputs, outputNames: opened.outputNames };
  },
  runOnnx: ({ session, feeds, fetches }) => required(sessions.get(session)).run(feeds, fetches, 1),
  async releaseOnnx({ session }) {
    await sessions.get(session)?.release();
    sessions.delete(session);
    return undefined;
  },
  async openEngine(model) {
    const opened = await localRunner.openEngine(model);
    const session = ++lastSession;
    engines.set(session, opened);
    return { session };
  },
  runEngine: ({ session, images, count }) => required(engines.get(session)).run(images, count),
  async closeEngine({ session }) {
    await engines.get(session)?.close();
    engines.delete(session);
    return undefined;
  },
  answerSizes: ({ tfjs, input }) => localRunner.answerSizes(tfjs, input),
  readFront: ({ bytes, front, input }) => localRunner.readFront(bytes, front, input),
};

function required<T>(opened: T | undefined): T {
  if (opened === undefined) throw new Error('no model is loaded');
  return opened;
}

async function answer({ id, name, request }: ToModelProcess): Promise<FromModelProcess> {
  try {
    const call = CALLS[name] as (given: unknown) => Promise<Answer<CallName>>;
    return { id, answer: await call(request) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

endWithParent({ limitBytes: Number(process.argv[2]), mark: MEMORY_MARK });
// If memory runs out before the limit.
beKilledFirst();

// Ctrl-C reaches the whole process group; the command ends this process.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.once('disconnect', () => process.exit(0));
process.on('message', async (message: ToModelProcess) => {
  const result = await answer(message);
  if (process.connected) process.send?.(result, () => undefined);
});
