/** Logs one line per outage of Redis, with Redis' message and what to do, then rare reminders until it is over. */
import { connect } from 'node:net';
import { findCure } from './outage-cures.ts';
import { parseRedisUrl } from './url.ts';

/** The part of a logger that is needed here. */
export interface ConnectionLog {
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

/** A lasting outage is logged again after this, then after twice as long each time. */
const FIRST_REMINDER_MS = 60_000;
const LAST_REMINDER_MS = 3_600_000;
const ASK_MS = 1_000;
/** This many connections in a row that were closed before they could be used count as an outage. */
const CLOSED_IN_A_ROW = 3;
/** A Redis that refuses commands can be connected to. It is available again if it has not refused any for this long. */
const ACCEPTED_MS = 2_000;

interface Connection {
  on(event: 'error' | 'refused', listener: (error: unknown) => void): unknown;
  on(event: 'ready' | 'close', listener: () => void): unknown;
}

/** Reports all connections of a process to the same Redis together. @param url REDIS_URL, of which only host and port are logged */
export function reportConnections(connections: readonly Connection[], url: string, log: ConnectionLog): void {
  const { shown } = parseRedisUrl(url);
  let isOut = false;
  let reminderMs = FIRST_REMINDER_MS;
  let reminder: NodeJS.Timeout | undefined;
  /** Set while it refuses commands. */
  let refusing: NodeJS.Timeout | undefined;

  async function reportOutage(error: unknown): Promise<void> {
    const reason = await findReason(error, url);
    if (!isOut) return;
    const cure = findCure(reason);
    log.warn({ redis: shown, reason, ...(cure && { cure }) }, 'Redis unavailable; retrying');
  }

  function remindLater(error: unknown): void {
    reminder = setTimeout(() => {
      void reportOutage(error);
      reminderMs = Math.min(2 * reminderMs, LAST_REMINDER_MS);
      remindLater(error);
    }, reminderMs);
    reminder.unref();
  }

  function begin(error: unknown): void {
    if (isOut) return;
    isOut = true;
    void reportOutage(error);
    remindLater(error);
  }

  function end(): void {
    refusing = undefined;
    if (!isOut) return;
    isOut = false;
    clearTimeout(reminder);
    reminderMs = FIRST_REMINDER_MS;
    log.info({ redis: shown }, 'Redis available again');
  }

  /** A lost connection: now only the next one shows that Redis is available. */
  function lose(error: unknown): void {
    clearTimeout(refusing);
    refusing = undefined;
    begin(error);
  }

  for (const connection of connections) {
    let closedInARow = 0;
    connection.on('refused', (error) => {
      clearTimeout(refusing);
      refusing = setTimeout(end, ACCEPTED_MS);
      refusing.unref();
      begin(error);
    });
    connection.on('error', (error) => {
      log.debug({ err: error }, 'Redis connection failed');
      lose(error);
    });
    // A Redis that accepts the connection and closes it causes no error.
    connection.on('close', () => {
      if (++closedInARow >= CLOSED_IN_A_ROW) lose(new Error('Connection is closed'));
    });
    connection.on('ready', () => {
      closedInARow = 0;
      if (refusing === undefined) end();
    });
  }
}

/** A Redis that refuses sends the reason and closes. The client sees only a broken pipe, so a new connection reads the reason. */
async function findReason(error: unknown, url: string): Promise<string> {
  const message =
    error instanceof Error ? error.message || String((error as NodeJS.ErrnoException).code) : String(error);
  if (!/EPIPE|ECONNRESET|Connection is closed/.test(message)) return message;
  return (await askWhy(url)) ?? message;
}

/** The first line that Redis sends unasked; undefined if it sends nothing, as a Redis that accepts does. */
export function askWhy(url: string): Promise<string | undefined> {
  const { kind, hosts, socketPath, tls } = parseRedisUrl(url);
  if (kind !== 'single' || tls) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const socket = socketPath === undefined ? connect(hosts[0]!) : connect(socketPath);
    const end = (text?: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text?.startsWith('-') ? text.slice(1).split(/[\r\n]/)[0] : undefined);
    };
    const timer = setTimeout(end, ASK_MS);
    socket
      .on('data', (data) => end(data.toString('utf8')))
      .on('error', () => end())
      .on('end', () => end());
  });
}

/**
 * Redirects what libraries write to the console to the log, each text once: ioredis warns for each connection that it makes.
 * Call it once per process.
 */
export function logConsole(log: ConnectionLog, target: Pick<Console, 'warn' | 'error'> = console): void {
  const seen = new Set<string>();
  const write = (...args: unknown[]) => {
    const text = args.map(String).join(' ').slice(0, 500);
    if (seen.has(text) || seen.size >= 100) return;
    seen.add(text);
    log.warn({ text }, 'console output from a library');
  };
  target.warn = write;
  target.error = write;
}
