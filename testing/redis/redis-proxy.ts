/** A TCP proxy before Redis that simulates network faults. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { filterReplies } from './resp-parser.ts';

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
  const proxy = new RedisProxy(port);
  await proxy.listen();
  return proxy;
}

export class RedisProxy {
  readonly #redisPort: number;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #url = '';
  #isRefusing = false;
  #delayMs = 0;
  #subscribeDelayMs = 0;
  #isDropping = false;
  #droppedCount = 0;
  #replyTrap: Trap<RegExp> | undefined;
  #silenceTrap: Trap<RegExp> | undefined;
  #commandTrap: Trap<string> | undefined;

  constructor(redisPort: number) {
    this.#redisPort = redisPort;
    this.#server = createServer((client) => this.#accept(client));
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#url = `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** redis://127.0.0.1:port of the proxy. */
  get url(): string {
    return this.#url;
  }

  /** Breaks every connection, and refuses new ones until `restore()`. */
  cut(): void {
    this.#isRefusing = true;
    this.#replyTrap = undefined;
    this.#commandTrap = undefined;
    this.cutOnce();
  }

  /** Breaks every connection once; new ones are served. */
  cutOnce(): void {
    for (const { client, redis } of this.#links) {
      client.resetAndDestroy();
      redis.destroy();
    }
    this.#links.clear();
  }

  /** As `cut`, in place of the next reply that begins so: Redis has run the command. Resolves when it has happened. */
  async cutAtReply(begin: RegExp): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#replyTrap = { pattern: begin, isSprung: resolve };
    });
  }

  /** From the next reply that begins so, its connection delivers none, but still takes commands. Resolves when it has begun. */
  async silenceAtReply(begin: RegExp): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#silenceTrap = { pattern: begin, isSprung: resolve };
    });
  }

  /** As `cut`, in place of the next data from a client that contains this: Redis never gets the command. Resolves when it has happened. */
  async cutAtCommand(part: string): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#commandTrap = { pattern: part, isSprung: resolve };
    });
  }

  /** Delays all data by this long, in both directions. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Delays what a client sends from its SUBSCRIBE on by this long. */
  delaySubscribe(delayMs: number): void {
    this.#subscribeDelayMs = delayMs;
  }

  /** Drops published messages on their way to subscribers; the connections look alive. */
  dropMessages(): void {
    this.#isDropping = true;
  }

  /** Ends all faults. */
  restore(): void {
    this.#isRefusing = false;
    this.#delayMs = 0;
    this.#subscribeDelayMs = 0;
    this.#isDropping = false;
    this.#replyTrap = undefined;
    this.#silenceTrap = undefined;
    this.#commandTrap = undefined;
  }

  /** Messages that `dropMessages` dropped. */
  droppedCount(): number {
    return this.#droppedCount;
  }

  async stop(): Promise<void> {
    this.cutOnce();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(client: Socket): void {
    if (this.#isRefusing) {
      client.resetAndDestroy();
      return;
    }
    const redis = connect(this.#redisPort, '127.0.0.1');
    const link: Link = { client, redis, subscribed: false, silent: false };
    this.#links.add(link);
    client.setNoDelay(true);
    redis.setNoDelay(true);
    client.once('close', () => this.#links.delete(link));
    relay(
      client,
      redis,
      (data) => this.#commandDelay(link, data),
      (data) => this.#keepCommand(data),
    );
    const keepReplies = filterReplies((reply) => this.#keepsReply(link, reply.toString('latin1', 0, 32)));
    relay(redis, client, () => this.#delayMs, keepReplies);
  }

  #commandDelay(link: Link, data: Buffer): number {
    if (link.subscribed || !SUBSCRIBE.test(data.toString('latin1'))) return this.#delayMs;
    link.subscribed = true;
    return this.#delayMs + this.#subscribeDelayMs;
  }

  #keepCommand(data: Buffer): Buffer {
    const trap = this.#commandTrap;
    if (!trap || !data.includes(trap.pattern)) return data;
    this.cut();
    trap.isSprung();
    return Buffer.alloc(0);
  }

  #keepsReply(link: Link, begin: string): boolean {
    if (this.#silenceTrap?.pattern.test(begin)) {
      link.silent = true;
      this.#silenceTrap.isSprung();
      this.#silenceTrap = undefined;
    }
    if (link.silent) return false;
    const trap = this.#replyTrap;
    if (trap?.pattern.test(begin)) {
      this.cut();
      trap.isSprung();
      return false;
    }
    if (!this.#isDropping || !MESSAGE.test(begin)) return true;
    this.#droppedCount += 1;
    return false;
  }
}

/** Passes data on in order, each chunk after the delay that applied when it arrived. */
function relay(from: Socket, to: Socket, delayOf: (data: Buffer) => number, keep: (data: Buffer) => Buffer): void {
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
