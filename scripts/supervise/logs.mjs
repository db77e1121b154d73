// The children write JSON lines. People get warnings and errors in words; programs get the lines as they are.
import { complain, say } from '../setup/screen.mjs';

const WARN = 40;
const LEVELS = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' };
const LONGEST_LINE = 65_536;

/**
 * Shows a child's output line by line.
 * @param {import('node:stream').Readable} stream
 * @param {string} name of the child
 * @param {'people' | 'all' | 'json'} style
 */
export function showLogs(stream, name, style) {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, LONGEST_LINE);
    for (const line of lines) showLine(line, name, style);
  });
  stream.on('end', () => showLine(rest, name, style));
  stream.on('error', () => {});
}

function showLine(line, name, style) {
  if (line.trim() === '') return;
  if (style === 'json') {
    process.stdout.write(`${line}\n`);
    return;
  }
  const entry = parseEntry(line);
  // What is no log entry is a runtime's own last words: never hidden.
  if (!entry) complain(`  [${name}] ${line}`);
  else if (entry.level >= WARN) complain(describeEntry(entry, name));
  else if (style === 'all') say(describeEntry(entry, name));
}

function parseEntry(line) {
  if (!line.startsWith('{')) return undefined;
  try {
    const entry = JSON.parse(line);
    return typeof entry?.level === 'number' ? entry : undefined;
  } catch {
    return undefined;
  }
}

function describeEntry(
  { level, msg, err, time: _time, pid: _pid, hostname: _hostname, name: _name, ...details },
  name,
) {
  const words = [`  [${name}]`, `${LEVELS[level] ?? level}:`, msg ?? ''];
  if (err?.message && err.message !== msg) words.push(`(${err.message})`);
  for (const [key, value] of Object.entries(details))
    words.push(`${key}=${typeof value === 'object' ? JSON.stringify(value) : value}`);
  return words.filter(Boolean).join(' ');
}
