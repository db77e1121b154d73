/** The children write JSON lines. People get warnings and errors as text; programs get the lines as they are. */
import type { Readable } from 'node:stream';
import { safeText } from '@inferql/queue/safe-text';
import { print, printError } from '../terminal.ts';

export type LogStyle = 'people' | 'all' | 'json';

interface LogEntry {
  readonly level: number;
  readonly msg?: string;
  readonly err?: { message?: string };
  readonly [field: string]: unknown;
}

const WARN = 40;
const LEVELS: Record<number, string> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' };
/** In characters. The rest of a longer line is left out, so that a child cannot fill the memory of the launcher. */
const LONGEST_LINE = 1024 * 1024;
/** Fields that repeat the line's prefix, or that nobody reads at a terminal. */
const HIDDEN = new Set(['level', 'msg', 'err', 'time', 'pid', 'hostname', 'name', 'role']);

/** Shows a child's output line by line, under its name. */
export function showLogs(stream: Readable, name: string, style: LogStyle): void {
  let rest = '';
  let isCut = false;
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!isCut) showLine(line, name, style);
      isCut = false;
    }
    if (rest.length <= LONGEST_LINE) return;
    if (!isCut) showLine(`${rest.slice(0, LONGEST_LINE)}…`, name, style);
    isCut = true;
    rest = '';
  });
  stream.on('end', () => isCut || showLine(rest, name, style));
  stream.on('error', () => {});
}

function showLine(line: string, name: string, style: LogStyle): void {
  if (line.trim() === '') return;
  if (style === 'json') {
    process.stdout.write(`${line}\n`);
    return;
  }
  const entry = parseEntry(line);
  // Anything but a log entry is the runtime's message before it dies: never hidden.
  if (!entry) printError(`  [${name}] ${safeText(line)}`);
  else if (entry.level >= WARN) printError(`  [${name}] ${describeEntry(entry)}`);
  else if (style === 'all') print(`  [${name}] ${describeEntry(entry)}`);
}

/** A line that is a log entry; undefined for any other text. */
export function parseEntry(line: string): LogEntry | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const entry = JSON.parse(line) as { level?: unknown };
    return typeof entry.level === 'number' ? (entry as LogEntry) : undefined;
  } catch {
    return undefined;
  }
}

/** An entry in one line that a terminal only shows: level, message, the error's message, and the other fields as `name=value`. */
export function describeEntry(entry: LogEntry): string {
  const { level, msg, err } = entry;
  const words = [`${LEVELS[level] ?? level}:`, msg ?? ''];
  if (err?.message && err.message !== msg) words.push(`(${err.message})`);
  for (const [field, value] of Object.entries(entry)) {
    if (HIDDEN.has(field)) continue;
    words.push(`${field}=${typeof value === 'object' ? JSON.stringify(value) : value}`);
  }
  // Messages quote what clients send.
  return safeText(words.filter(Boolean).join(' '));
}
