/** Long data URLs in a JSON body, which count as files and not as part of the query. */
import { randomUUID } from 'node:crypto';

const BEGIN = Buffer.from('"data:');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Shorter ones stay in the query. */
const MIN_BYTES = 1_024;

/**
 * Takes the long data URLs out of a JSON text, so that the parser does not see them: its work is bounded by the rest.
 * @returns the rest, and a function that puts the texts back into the value parsed from it
 */
export function separateDataUrls(json: Buffer): { rest: Buffer; restore(value: object): void } {
  const pieces: Buffer[] = [];
  const texts: string[] = [];
  // Unguessable: a client's text must not name another.
  const mark = `data:${randomUUID()}:`;
  let from = 0;
  for (let quote = json.indexOf(BEGIN); quote >= 0; quote = json.indexOf(BEGIN, quote + BEGIN.length)) {
    const start = quote + 1;
    const end = json.indexOf(QUOTE, start);
    if (end < 0) break;
    const text = readText(json, quote, end);
    if (text === undefined) continue;
    pieces.push(json.subarray(from, start), Buffer.from(`${mark}${texts.length}`));
    texts.push(text);
    from = end;
    quote = end;
  }
  if (texts.length === 0) return { rest: json, restore: () => undefined };
  pieces.push(json.subarray(from));
  return { rest: Buffer.concat(pieces), restore: (value) => restoreTexts(value, mark, texts) };
}

/** The text between two quotes, or undefined if it is not a long data URL from end to end. */
function readText(json: Buffer, quote: number, end: number): string | undefined {
  const isInsideText = json[quote - 1] === BACKSLASH;
  if (isInsideText || end - quote < MIN_BYTES) return undefined;
  // Some encoders write `\/`. No other escape belongs to base64.
  const text = json.toString('latin1', quote + 1, end).replaceAll('\\/', '/');
  return text.includes('\\') ? undefined : text;
}

/** Without recursion: a client decides how deep the value is. */
function restoreTexts(value: object, mark: string, texts: readonly string[]): void {
  const holders: object[] = [value];
  for (let holder = holders.pop(); holder; holder = holders.pop()) {
    for (const [key, item] of Object.entries(holder)) {
      if (typeof item === 'string' && item.startsWith(mark)) {
        Object.defineProperty(holder, key, { value: texts[Number(item.slice(mark.length))] });
      } else if (typeof item === 'object' && item !== null) holders.push(item);
    }
  }
}
