/** Values as Python prints them: what `str` and `repr` make of lists, tuples and dicts. */

/** Labels are in a list, a dict, or a dict in a dict. */
const MAX_DEPTH = 8;
const TOKEN =
  /\s*(?:([[\](){},:])|[ub]?(?:'([^'\\]*(?:\\[\s\S][^'\\]*)*)'|"([^"\\]*(?:\\[\s\S][^"\\]*)*)")|(-?\d+(?:\.\d*)?(?:e[+-]?\d+)?|True|False|None)(?![\w.]))/iy;
const CLOSING: Record<string, string> = { '[': ']', '(': ')', '{': '}' };
const ESCAPE = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/g;
const CONTROLS: Record<string, string> = { n: '\n', r: '\r', t: '\t' };

interface Token {
  /** A bracket, a comma or a colon. */
  mark?: string | undefined;
  value?: unknown;
}

/**
 * Parses a list, tuple or dict. Tuples become arrays and dicts become objects, whose keys are texts.
 * @throws SyntaxError
 */
export function parsePythonLiteral(text: string): unknown {
  let at = 0;
  const fail = (): never => {
    throw new SyntaxError(`not a Python literal at ${at}`);
  };

  function next(): Token {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) return fail();
    at = TOKEN.lastIndex;
    const [, mark, single, double, word] = match;
    if (mark !== undefined) return { mark };
    return { value: word === undefined ? decodeEscapes(single ?? double ?? '') : toValue(word) };
  }

  function read({ mark, value }: Token, depth: number): unknown {
    if (mark === undefined) return value;
    const closing = CLOSING[mark];
    if (closing === undefined || depth > MAX_DEPTH) return fail();
    const items: unknown[] = [];
    for (let token = next(); token.mark !== closing; ) {
      const item = read(token, depth + 1);
      if (mark === '{') {
        if (next().mark !== ':') fail();
        items.push([String(item), read(next(), depth + 1)]);
      } else items.push(item);
      token = next();
      if (token.mark === ',') token = next();
      else if (token.mark !== closing) fail();
    }
    return mark === '{' ? Object.fromEntries(items as [string, unknown][]) : items;
  }

  const value = read(next(), 0);
  if (text.slice(at).trim() !== '') fail();
  return value;
}

function toValue(word: string): unknown {
  if (word === 'None') return null;
  return word === 'True' || word === 'False' ? word === 'True' : Number(word);
}

function decodeEscapes(text: string): string {
  return text.replace(ESCAPE, (_, two?: string, four?: string, eight?: string, one = '') => {
    const code = two ?? four ?? eight;
    if (code === undefined) return CONTROLS[one] ?? one;
    const point = Number.parseInt(code, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : '\uFFFD';
  });
}
