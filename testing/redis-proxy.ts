import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { filterReplies } from './resp-parser.ts';

/** A TCP proxy before Redis that simulates network faults. */
export interface RedisProxy {
  /** redis://127.0.0.1:port of the proxy. */
  readonly url: string;
  /** Breaks every connection, and refuses new ones until `restore()`. */
  cut(): void;
  /** Breaks every connection once; new ones are served. */
  cutOnce(): void;
  /** As `cut`, in place of the next reply that begins so: Redis has run the command. Resolves when it has happened. */
  cutAtReply(begin: RegExp): Promise<void>;
  /** From the next reply that begins so, its connection delivers none, but still takes commands. Resolves when it has begun. */
  silenceAtReply(begin: RegExp): Promise<void>;
  /** As `cut`, in place of the next data from a client that contains this: Redis never gets the command. Resolves when it has happened. */
  cutAtCommand(part: string): Promise<void>;
  /** Delays all data by this long, in both directions. */
  slow(delayMs: number): void;
  /** Delays what a client sends from its SUBSCRIBE on by this long. */
  delaySubscribe(delayMs: number): void;
  /** Drops published messages on their way to subscribers; the connections look alive. */
  dropMessages(): void;
  /** Ends all faults. */
  restore(): void;
  /** Messages that `dropMessages` dropped. */
  droppedCount(): number;
  stop(): Promise<void>;
}

interface Trap<Pattern> {
  pattern: Pattern;
  isSprung(): void;
}

interface Link {
  client: Socket;
  redis: Socket;
  subscribed: boolean;
  silent: boolean;
}

/** A message is an array in the protocol's version 2, and a push in version 3. */
const MESSAGE = /^[*>]3\r\n\$[78]\r\ns?message\r\n/;
const SUBSCRIBE = /\r\ns?subscribe\r\n/i;

/** @param port the port of the Redis behind it, on the loopback */
export async function startRedisProxy(port: number): Promise<RedisProxy> {
  const links = new Set<Link>();
  let refusing = false;
  let delayMs = 0;
  let subscribeDelayMs = 0;
  let dropping = false;
  let dropped = 0;
  let replyTrap: Trap<RegExp> | undefined;
  let silenceTrap: Trap<RegExp> | undefined;
  let commandTrap: Trap<string> | undefined;

  /** Passes data on in order, each chunk after the delay that applied when it arrived. */
  function relay(
    from: Socket,
    to: Socket,
    delayOf: (data: Buffer) => number,
    keep: (data: Buffer) => Buffer = (data) => data,
  ): void {
    const held: { at: number; data: Buffer }[] = [];
    const release = () => {
      while (held[0] && held[0].at <= performance.now()) {
        const { data } = held.shift()!;
        if (to.writable) to.write(data);
      }
      if (held[0]) setTimeout(release, Math.max(1, held[0].at - performance.now()));
    };
    from.on('data', (received: Buffer) => {
      const data = keep(received);
      if (data.length === 0) return;
      const idle = held.length === 0;
      held.push({ at: Math.max(held.at(-1)?.at ?? 0, performance.now() + delayOf(data)), data });
      if (idle) release();
    });
    from.on('close', () => to.destroy());
    from.on('error', () => to.destroy());
  }

  const server = createServer((client) => {
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const redis = connect(port, '127.0.0.1');
    const link: Link = { client, redis, subscribed: false, silent: false };
    links.add(link);
    client.setNoDelay(true);
    redis.setNoDelay(true);
    client.once('close', () => links.delete(link));
    relay(
      client,
      redis,
      (data) => {
        if (!link.subscribed && SUBSCRIBE.test(data.toString('latin1'))) {
          link.subscribed = true;
          return delayMs + subscribeDelayMs;
        }
        return delayMs;
      },
      (data) => {
        if (!commandTrap || !data.includes(commandTrap.pattern)) return data;
        const { isSprung } = commandTrap;
        cut();
        isSprung();
        return Buffer.alloc(0);
      },
    );
    const keepReplies = filterReplies((reply) => {
      if (silenceTrap?.pattern.test(reply.toString('latin1', 0, 32))) {
        link.silent = true;
        silenceTrap.isSprung();
        silenceTrap = undefined;
      }
      if (link.silent) return false;
      if (replyTrap?.pattern.test(reply.toString('latin1', 0, 32))) {
        const { isSprung } = replyTrap;
        cut();
        isSprung();
        return false;
      }
      if (!dropping || !MESSAGE.test(reply.toString('latin1', 0, 32))) return true;
      dropped += 1;
      return false;
    });
    relay(redis, client, () => delayMs, keepReplies);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  function breakLinks(): void {
    for (const { client, redis } of links) {
      client.resetAndDestroy();
      redis.destroy();
    }
    links.clear();
  }

  function cut(): void {
    refusing = true;
    replyTrap = undefined;
    commandTrap = undefined;
    breakLinks();
  }

  return {
    url: `redis://127.0.0.1:${(server.address() as { port: number }).port}`,
    cut,
    cutOnce: breakLinks,
    async cutAtReply(begin) {
      await new Promise<void>((resolve) => {
        replyTrap = { pattern: begin, isSprung: resolve };
      });
    },
    async silenceAtReply(begin) {
      await new Promise<void>((resolve) => {
        silenceTrap = { pattern: begin, isSprung: resolve };
      });
    },
    async cutAtCommand(part) {
      await new Promise<void>((resolve) => {
        commandTrap = { pattern: part, isSprung: resolve };
      });
    },
    slow(ms) {
      delayMs = ms;
    },
    delaySubscribe(ms) {
      subscribeDelayMs = ms;
    },
    dropMessages() {
      dropping = true;
    },
    restore() {
      refusing = false;
      delayMs = 0;
      subscribeDelayMs = 0;
      dropping = false;
      replyTrap = undefined;
      silenceTrap = undefined;
      commandTrap = undefined;
    },
    droppedCount: () => dropped,
    async stop() {
      breakLinks();
      server.close();
      await once(server, 'close');
    },
  };
}
