import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { filterReplies } from './resp-parser.ts';

/** What was sent and received under one name. */
export interface Traffic {
  /** Commands sent, or messages received. */
  count: number;
  sentBytes: number;
  receivedBytes: number;
}

/** A TCP relay before Redis that counts each client's commands and their replies, to the byte. */
export interface RedisRecorder {
  /** redis://127.0.0.1:port of the relay. */
  readonly url: string;
  /** What has passed since the last call, by the commands' names. Messages of subscriptions are under `message`. */
  take(): Map<string, Traffic>;
  stop(): Promise<void>;
}

/** Enough to distinguish all commands; what follows may be an image. */
const NAMING_ARGUMENTS = 3;

/**
 * @param port the port of the Redis behind it, on the loopback
 * @param nameOf the name of a command, from its first arguments. @default the command in lower case
 */
export async function startRedisRecorder(
  port: number,
  nameOf: (args: readonly string[]) => string = ([command]) => command!.toLowerCase(),
): Promise<RedisRecorder> {
  const sockets = new Set<Socket>();
  let passed = new Map<string, Traffic>();

  function add(name: string, more: Partial<Traffic>): void {
    const known = passed.get(name) ?? { count: 0, sentBytes: 0, receivedBytes: 0 };
    passed.set(name, {
      count: known.count + (more.count ?? 0),
      sentBytes: known.sentBytes + (more.sentBytes ?? 0),
      receivedBytes: known.receivedBytes + (more.receivedBytes ?? 0),
    });
  }

  const server = createServer((client) => {
    const redis = connect(port, '127.0.0.1');
    /** Names of the commands without a reply so far. A connection's replies have the commands' order. */
    const waiting: string[] = [];
    let isSubscribed = false;
    const noteCommands = filterReplies((command) => {
      const name = nameOf(readArguments(command, NAMING_ARGUMENTS));
      isSubscribed ||= /subscribe$/.test(name);
      waiting.push(name);
      add(name, { count: 1, sentBytes: command.length });
      return true;
    });
    const noteReplies = filterReplies((reply) => {
      // A subscription has no reply to a command but one per channel, and messages.
      if (isSubscribed) add('message', { count: 1, receivedBytes: reply.length });
      else add(waiting.shift() ?? 'unasked', { receivedBytes: reply.length });
      return true;
    });
    for (const [from, to, note] of [
      [client, redis, noteCommands],
      [redis, client, noteReplies],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      // Noted before it is passed on: whoever reacts to it finds it counted.
      from.on('data', (data) => to.write(note(data)));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `redis://127.0.0.1:${(server.address() as { port: number }).port}`,
    take() {
      const taken = passed;
      passed = new Map();
      return taken;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The first arguments of a command, which is an array of bulk strings. */
function readArguments(command: Buffer, count: number): string[] {
  const args: string[] = [];
  let at = command.indexOf('\r\n') + 2;
  while (args.length < count && at < command.length) {
    const lineEnd = command.indexOf('\r\n', at);
    const length = Number(command.toString('latin1', at + 1, lineEnd));
    args.push(command.toString('utf8', lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
  return args;
}
