/**
 * Reads a small multipart request in memory. The library that reads the others spools every file to disk, which costs more than all
 * else the main thread does for a photograph of 100 KB. Only the plainest form is understood here, the one that browsers and
 * clients send; whatever else comes is handed to the library, which also finds the words for what is wrong.
 */
import type { IncomingMessage } from 'node:http';
import { markUpload } from './upload-scalar.ts';
import { createPart, type UploadedPart } from './uploaded-file.ts';

const CRLF = Buffer.from('\r\n');
const END_OF_HEADERS = Buffer.from('\r\n\r\n');
const MAX_HEADER_BYTES = 1024;

interface FormLimits {
  maxFiles: number;
  maxFileBytes: number;
  maxFieldBytes: number;
}

/** The whole body. @throws Error where the client goes away before it has sent it. */
export async function collectBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  if (!request.complete) throw new Error('the request was cut');
  return Buffer.concat(chunks);
}

/**
 * The GraphQL request in a multipart body, its files in their places among the variables; undefined where the body is not of the plainest form.
 * @param onFreed called once each file was released: none is held here any more
 */
export function parseSmallForm(
  body: Buffer,
  contentType: string,
  limits: FormLimits,
  onFreed: () => void,
): { params: Record<string, unknown>; parts: UploadedPart[] } | undefined {
  const boundary = /^multipart\/form-data;\s*boundary=(?:"([\w'()+,./:=?-]{1,70})"|([\w'+./-]{1,70}))$/i.exec(
    contentType,
  );
  const sections = boundary && splitParts(body, Buffer.from(`--${boundary[1] ?? boundary[2]}`));
  if (!sections) return undefined;
  const [operationsPart, mapPart, ...files] = sections;
  if (operationsPart?.name !== 'operations' || mapPart?.name !== 'map') return undefined;
  if (operationsPart.isFile || mapPart.isFile || files.some(({ isFile }) => !isFile)) return undefined;
  if (Math.max(operationsPart.content.length, mapPart.content.length) > limits.maxFieldBytes) return undefined;
  if (files.length > limits.maxFiles || files.some(({ content }) => content.length > limits.maxFileBytes))
    return undefined;
  const operations = parseObject(operationsPart.content);
  const map = parseObject(mapPart.content);
  if (!operations || !map) return undefined;
  const names = Object.keys(map);
  const isOneToOne = names.length === files.length && files.every(({ name }) => Object.hasOwn(map, name));
  if (!isOneToOne || new Set(files.map(({ name }) => name)).size !== files.length) return undefined;

  const places = files.map(({ name }) => findPlace(operations, map[name]));
  if (!places.every((place) => place !== undefined)) return undefined;
  let held = files.length;
  const onPartFreed = () => {
    if (--held === 0) onFreed();
  };
  const parts = files.map(({ content }, i) => {
    const { holder, key, variable } = places[i]!;
    const part = holdPart(content, variable, onPartFreed);
    holder[key] = part.file;
    return part;
  });
  return { params: operations, parts };
}

interface Part {
  name: string;
  isFile: boolean;
  /** A view into the body. */
  content: Buffer;
}

function splitParts(body: Buffer, delimiter: Buffer): Part[] | undefined {
  const parts: Part[] = [];
  const separator = Buffer.concat([CRLF, delimiter]);
  if (!startsWith(body, 0, delimiter)) return undefined;
  for (let at = delimiter.length; ; ) {
    if (body.toString('latin1', at, at + 2) === '--') return isEnd(body, at + 2) ? parts : undefined;
    if (!startsWith(body, at, CRLF)) return undefined;
    const headersEnd = body.subarray(at, at + MAX_HEADER_BYTES).indexOf(END_OF_HEADERS);
    if (headersEnd < 0) return undefined;
    const described = readHeaders(body.toString('utf8', at + CRLF.length, at + headersEnd));
    const from = at + headersEnd + END_OF_HEADERS.length;
    const to = findSeparator(body, separator, from);
    if (!described || to < 0) return undefined;
    parts.push({ ...described, content: body.subarray(from, to) });
    at = to + separator.length;
  }
}

/** Node searches a longer pattern byte by byte; one byte it finds at the speed of memory, and a line's end is rare in a photograph. */
function findSeparator(body: Buffer, separator: Buffer, from: number): number {
  const carriageReturn = separator[0]!;
  for (let at = body.indexOf(carriageReturn, from); at >= 0; at = body.indexOf(carriageReturn, at + 1)) {
    if (body[at + 1] === separator[1] && startsWith(body, at, separator)) return at;
  }
  return -1;
}

function startsWith(body: Buffer, at: number, start: Buffer): boolean {
  return body.length >= at + start.length && body.compare(start, 0, start.length, at, at + start.length) === 0;
}

function isEnd(body: Buffer, at: number): boolean {
  return body.length === at || (body.length === at + 2 && startsWith(body, at, CRLF));
}

/** A part's name, where its headers are no more than a plain disposition and a type. */
function readHeaders(text: string): { name: string; isFile: boolean } | undefined {
  let described: { name: string; isFile: boolean } | undefined;
  for (const line of text.split('\r\n')) {
    const disposition = /^content-disposition: ?form-data; ?name="([^"\\%]+)"(; ?filename="[^"\\]*")?$/i.exec(line);
    if (disposition && !described) described = { name: disposition[1]!, isFile: disposition[2] !== undefined };
    else if (!/^content-type: ?[\w.+-]+\/[\w.+-]+(; ?charset="?utf-8"?)?$/i.test(line)) return undefined;
  }
  return described;
}

function parseObject(content: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(content.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The one variable that the map names for a file, where it is null as it has to be. */
function findPlace(operations: Record<string, unknown>, paths: unknown) {
  if (!Array.isArray(paths) || paths.length !== 1 || typeof paths[0] !== 'string') return undefined;
  const match = /^variables\.(\w+)(?:\.(\d{1,3}))?$/.exec(paths[0]);
  const variables = operations.variables;
  if (!match || !isHolder(variables) || Array.isArray(variables)) return undefined;
  const [, name, index] = match;
  const list = Object.hasOwn(variables, name!) ? variables[name!] : undefined;
  if (index === undefined) return list === null ? { holder: variables, key: name!, variable: name! } : undefined;
  if (!Array.isArray(list) || list[Number(index)] !== null) return undefined;
  return { holder: list as unknown as Record<string, unknown>, key: index, variable: name! };
}

function isHolder(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** The bytes are let go with the last who needs them: a mutation may wait for a minute, and must not hold its photograph so long. */
function holdPart(content: Buffer, variable: string, onFreed: () => void): UploadedPart {
  let held: Buffer | undefined = content;
  const store = {
    async arrived() {},
    async readBytes() {
      if (!held) throw new Error('the file was released before');
      return held;
    },
    free() {
      held = undefined;
      onFreed();
    },
  };
  const part = createPart(store, [variable]);
  markUpload(part.file);
  return part;
}
