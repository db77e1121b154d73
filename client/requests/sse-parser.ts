export interface ServerEvent {
  event: string;
  data: string;
}

/** A larger event, in characters, does not come from InferQL. */
const LONGEST_EVENT = 16_000_000;

/**
 * Splits the text of an event stream (WHATWG HTML, 'Server-sent events') into events, however it was chunked.
 * @example
 * const parse = createEventParser();
 * for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
 *   for (const { event, data } of parse(text)) console.log(event, data);
 * }
 */
export function createEventParser(): (text: string) => ServerEvent[] {
  let rest = '';
  let afterCarriageReturn = false;
  let event = '';
  let data: string[] = [];

  function readLine(line: string): ServerEvent | undefined {
    if (line === '') {
      const finished = event || data.length > 0 ? { event: event || 'message', data: data.join('\n') } : undefined;
      event = '';
      data = [];
      return finished;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
    return undefined;
  }

  return (text) => {
    // A chunk may end between CR and LF.
    const fresh = afterCarriageReturn && text.startsWith('\n') ? text.slice(1) : text;
    if (text !== '') afterCarriageReturn = text.endsWith('\r');
    const lines = (rest + fresh).split(/\r\n|\n|\r/);
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_EVENT) throw new RangeError('an event is too long');
    return lines.flatMap((line) => readLine(line) ?? []);
  };
}
