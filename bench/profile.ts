import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A function; lines and columns are zero-based. */
interface CallFrame {
  functionName: string;
  url: string;
  lineNumber: number;
  columnNumber: number;
}

interface CpuProfile {
  nodes: { id: number; callFrame: CallFrame; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
}

/** The part to which a frame's self time counts: the first pattern that matches its file. */
const PARTS: [RegExp, string][] = [
  [/\/server\/uploads\/|node_modules\/(graphql-upload-ts|busboy|streamsearch|@fastify\/busboy)\//, 'upload'],
  [/node_modules\/sharp\/|\/images\//, 'decode (the part in JavaScript)'],
  [
    /node_modules\/(graphql|graphql-yoga|@graphql-yoga|@graphql-tools|@envelop|@escape\.tech|@pothos|@whatwg-node)\//,
    'GraphQL',
  ],
  [/node_modules\/(ioredis|redis-parser|@ioredis|standard-as-callback)\/|\/queue\//, 'Redis'],
  [/\/server\//, 'server'],
  [/node:(fs|internal\/fs)/, 'files'],
  [
    /node:(net|_http|http|internal\/(stream_base|http|net))|node:internal\/(streams|js_stream)|node:stream/,
    'HTTP and streams',
  ],
];

export interface ProfileReading {
  /** CPU of the main thread by part, in milliseconds. */
  parts: Record<string, number>;
  /** The functions with the most self time. */
  top: { name: string; ms: number }[];
  /** Time in which the main thread did nothing. */
  idleMs: number;
}

/** Reads the profile that a process started with `--cpu-prof --cpu-prof-dir` left. */
export function readProfile(dir: string): ProfileReading {
  const file = readdirSync(dir).find((name) => name.endsWith('.cpuprofile'));
  if (!file) throw new Error('the process left no profile');
  const profile = JSON.parse(readFileSync(join(dir, file), 'utf8')) as CpuProfile;
  const sourceOf = createSourceFinder();
  const nodes = new Map(
    profile.nodes.map(({ callFrame, ...node }) => [
      node.id,
      { ...node, callFrame: { ...callFrame, ...sourceOf(callFrame) } },
    ]),
  );
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
  const partOfNode = new Map<number, string>();
  /** Node's frames and native ones count to their callers. */
  const partOf = (id: number): string => {
    const known = partOfNode.get(id);
    if (known !== undefined) return known;
    const { functionName, url } = nodes.get(id)!.callFrame;
    const direct =
      functionName === '(garbage collector)' ? 'garbage collection' : PARTS.find(([pattern]) => pattern.test(url))?.[1];
    const parent = parents.get(id);
    const isOwn = direct !== undefined && direct !== 'HTTP and streams' && direct !== 'files';
    const inherited = parent === undefined ? undefined : partOf(parent);
    const part = isOwn ? direct : inherited !== undefined && inherited !== 'other' ? inherited : (direct ?? 'other');
    partOfNode.set(id, part);
    return part;
  };
  const parts: Record<string, number> = {};
  const own = new Map<string, number>();
  let idleMs = 0;
  profile.samples.forEach((id, index) => {
    const ms = (profile.timeDeltas[index] ?? 0) / 1000;
    const { functionName, url, lineNumber } = nodes.get(id)!.callFrame;
    if (functionName === '(idle)') {
      idleMs += ms;
      return;
    }
    const part = functionName === '(program)' ? 'native code of the event loop' : partOf(id);
    parts[part] = (parts[part] ?? 0) + ms;
    const name = `${functionName || '(anonymous)'} ${url.split('node_modules/').at(-1)!.split('/').slice(-3).join('/')}:${lineNumber + 1}`;
    own.set(name, (own.get(name) ?? 0) + ms);
  });
  const top = [...own].map(([name, ms]) => ({ name, ms })).sort((a, b) => b.ms - a.ms);
  return { parts, top: top.slice(0, 40), idleMs };
}

/** Finds a function of a bundle in the module that it came from. The program runs from bundles, which would all count to one part. */
function createSourceFinder(): (frame: CallFrame) => Pick<CallFrame, 'url' | 'lineNumber'> {
  const maps = new Map<string, SourceMap | undefined>();
  return ({ url, lineNumber, columnNumber }) => {
    if (!maps.has(url)) maps.set(url, readSourceMap(url));
    const entry = maps.get(url)?.findEntry(lineNumber, columnNumber);
    if (!entry || !('originalSource' in entry)) return { url, lineNumber };
    return { url: new URL(entry.originalSource, url).href, lineNumber: entry.originalLine };
  };
}

function readSourceMap(url: string): SourceMap | undefined {
  const path = url.startsWith('file:') ? `${fileURLToPath(url)}.map` : '';
  return existsSync(path) ? new SourceMap(JSON.parse(readFileSync(path, 'utf8'))) : undefined;
}
