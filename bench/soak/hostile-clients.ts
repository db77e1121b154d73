/** The hostile clients, a separate process: its own load must not delay the clients that are measured. */
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { send } from '@inferql/testing/system/graphql-client';
import { WebSocket } from 'ws';
import { serveRpc } from '../child-rpc.ts';
import { judgeExchange } from '../fuzz-requests/answer-rules.ts';
import { DocumentGenerator } from '../fuzz-requests/documents.ts';
import { exchange } from '../fuzz-requests/exchange.ts';
import { makeForm } from '../fuzz-requests/forms.ts';
import { makeSocketCase, runSocketCase } from '../fuzz-requests/frames.ts';
import { createDice, type Dice } from '../fuzz-requests/random-choices.ts';
import { formRequest, graphqlRequest } from '../fuzz-requests/requests.ts';
import { makeInterlacedPng } from './hostile-images.ts';

export interface HostilePlan {
  /** A server's address, without the path of the API. */
  url: string;
  durationMs: number;
  seed: number;
}

export interface HostileResult {
  /** How often each attack was made. */
  attacks: Record<string, number>;
  /** Answers that no input may cause. */
  faults: string[];
}

/** How long a connection is held that neither sends nor reads. */
const HOLD_MS = 5_000;
const SLOW_BODIES = 50;
const DOCUMENT_BYTES = 250_000;
const SUBSCRIPTIONS = 2_000;
const IMAGE_SIDE = 8_000;
const UPLOAD = 'mutation ($image: Upload!) { classifyImage(image: $image) { __typename ... on Error { code } } }';

async function attack({ url, durationMs, seed }: HostilePlan): Promise<HostileResult> {
  const attacks: Record<string, number> = {};
  const faults: string[] = [];
  const end = performance.now() + durationMs;
  let stopped = false;
  // Attacks in progress are aborted: some would wait for a minute.
  const stop = new Promise<void>((resolve) => {
    // Ctrl-C reaches this process, too.
    for (const signal of ['SIGINT', 'SIGTERM']) {
      process.on(signal, () => {
        stopped = true;
        resolve();
      });
    }
  });
  const isOver = () => stopped || performance.now() > end;

  /** One attack after the other, each counted; what it throws is what the attacker deserves. */
  async function runLane({ name, pauseMs, attackOnce }: Lane): Promise<void> {
    while (!isOver()) {
      await attackOnce().catch(() => undefined);
      attacks[name] = (attacks[name] ?? 0) + 1;
      await delay(pauseMs);
    }
  }

  const lanes = [...listConnectionLanes(url, isOver), ...listRequestLanes(url, seed, (fault) => faults.push(fault))];
  await Promise.race([stop, Promise.all(lanes.map(runLane))]);
  return { attacks, faults };
}

interface Lane {
  name: string;
  /** Between two attacks. */
  pauseMs: number;
  attackOnce(): Promise<void>;
}

/** Attacks on what a connection may hold. */
function listConnectionLanes(url: string, isOver: () => boolean): Lane[] {
  const { port, hostname } = new URL(url);
  const open = (): Socket => connect(Number(port), hostname).on('error', () => undefined);
  const asset = findLargestAsset();
  return [
    {
      name: 'unread pipelines of the largest asset',
      pauseMs: 500,
      async attackOnce() {
        const socket = open();
        socket.pause();
        socket.write(`GET ${asset} HTTP/1.1\r\nhost: localhost\r\n\r\n`.repeat(100));
        await delay(HOLD_MS);
        socket.destroy();
      },
    },
    {
      name: `${SLOW_BODIES} bodies at a byte per second`,
      pauseMs: 500,
      async attackOnce() {
        const sockets = Array.from({ length: SLOW_BODIES }, open);
        for (const socket of sockets) {
          socket.write(
            'POST /graphql HTTP/1.1\r\nhost: localhost\r\nx-graphql-yoga-csrf: 1\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 9000000\r\n\r\n--x\r\n',
          );
        }
        for (let second = 0; second < 40 && !isOver(); second++) {
          await delay(1_000);
          for (const socket of sockets) if (!socket.destroyed) socket.write('-');
        }
        for (const socket of sockets) socket.destroy();
      },
    },
    {
      name: `WebSockets with ${SUBSCRIPTIONS} subscriptions`,
      pauseMs: 2_000,
      attackOnce: () => floodSocket(url),
    },
    {
      name: 'connections opened and left',
      pauseMs: 50,
      async attackOnce() {
        const socket = open();
        await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
        socket.destroy();
      },
    },
  ];
}

/** Attacks by what a request contains. @param report gets answers that no request may have */
function listRequestLanes(url: string, seed: number, report: (fault: string) => void): Lane[] {
  const address = new URL(url);
  const documents = new DocumentGenerator(readFileSync('schema.graphql', 'utf8'));
  const image = makeInterlacedPng(IMAGE_SIDE);
  let number = 0;
  const sendImage: Lane = {
    name: 'interlaced images of 64 megapixels',
    pauseMs: 100,
    async attackOnce() {
      await send(url, { query: UPLOAD, variables: { image: null }, files: { image } }, AbortSignal.timeout(65_000));
    },
  };
  const sendMalformed: Lane = {
    name: 'malformed requests',
    pauseMs: 50,
    async attackOnce() {
      const dice = createDice(seed, number++);
      const verdict = await sendMalformedRequest(address, documents, dice);
      if (verdict.includes('FAULT')) report(`${number}: ${verdict}`);
    },
  };
  return [
    sendImage,
    sendImage,
    {
      name: 'documents of 250 KB, each another',
      pauseMs: 250,
      async attackOnce() {
        await send(url, { query: `{ __typename } #${number++}${'a'.repeat(DOCUMENT_BYTES)}` });
      },
    },
    {
      name: 'introspections of all',
      pauseMs: 500,
      async attackOnce() {
        await send(url, {
          query: '{ __schema { types { name fields { name args { name } type { name ofType { name } } } } } }',
        });
      },
    },
    sendMalformed,
    sendMalformed,
  ];
}

/** @returns the verdict on the answer */
async function sendMalformedRequest(address: URL, documents: DocumentGenerator, dice: Dice): Promise<string> {
  const kind = dice.pick(['form', 'graphql', 'socket']);
  if (kind === 'socket') return runSocketCase(address, makeSocketCase(documents, dice));
  const httpCase = kind === 'form' ? formRequest(makeForm(dice), dice) : graphqlRequest(documents.params(dice), dice);
  return judgeExchange(httpCase, await exchange(address, httpCase));
}

function findLargestAsset(): string {
  const folder = join('dist', 'web', 'assets');
  const files = readdirSync(folder).filter((name) => name.endsWith('.js'));
  const bytes = (name: string) => readFileSync(join(folder, name)).length;
  return `/assets/${files.sort((a, b) => bytes(b) - bytes(a))[0]}`;
}

async function floodSocket(url: string): Promise<void> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  socket.once('open', () => socket.send('{"type":"connection_init"}'));
  socket.once('message', () => {
    for (let id = 0; id < SUBSCRIPTIONS; id++) {
      const query = id % 2 ? 'subscription { queue { waiting latencyMs } }' : '{ models { name } }';
      socket.send(JSON.stringify({ id: `${id}`, type: 'subscribe', payload: { query } }));
    }
  });
  await Promise.race([closed, delay(HOLD_MS)]);
  socket.terminate();
}

serveRpc(attack);
