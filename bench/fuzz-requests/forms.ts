/** Multipart bodies around good and bad images, wrong in their structure, their JSON, their headers or their bytes. */
import { makePicture } from '@inferql/testing/data/test-images';
import { damage } from '../fuzz-images/damage.ts';
import { type Dice, deepText, oddText, oddValue } from './random-choices.ts';
import { toJson } from './requests.ts';

export interface Form {
  body: Buffer;
  /** The content type of the request. */
  type: string;
  how: string;
}

interface Part {
  head: string[];
  content: Buffer;
}

const ONE = `mutation ($image: Upload!, $timeoutMs: Int) { classifyImage(image: $image, timeoutMs: $timeoutMs) {
  __typename ... on Prediction { id status result { labels(topK: 1) { index } } } ... on Error { code message } } }`;
const MANY = `mutation ($images: [Upload!]!) { classifyImages(images: $images) {
  __typename ... on Prediction { id status } ... on Error { code message } } }`;
const DEFERRED = `mutation ($image: Upload!) { classifyImage(image: $image) {
  ... on Prediction { id ... @defer { result { labels(topK: 1) { index } } } } } }`;
const BOUNDARIES = [
  'x',
  '-'.repeat(60),
  "a'b()+_,-./:=?",
  'B'.repeat(70),
  'C'.repeat(300),
  '"quoted boundary"',
  '',
  'é',
  '--x',
  'a b',
];
const PATHS = [
  'variables.image',
  'variables.images.0',
  'variables',
  '',
  '.',
  'variables.',
  'variables.__proto__.x',
  '__proto__.image',
  'constructor.prototype',
  'variables.images.999999999',
  'variables.images.-1',
  'variables.images.length',
  'query',
  'variables.image.image',
  `variables.${'a.'.repeat(5_000)}a`,
];

/** Wrong ways to name a part. */
const DISPOSITIONS = [
  'Content-Disposition: form-data',
  'Content-Disposition: form-data; name=',
  'Content-Disposition: form-data; name="0"; name="1"; filename="x"',
  "Content-Disposition: form-data; name*=UTF-8''%00%ff; filename*=UTF-8''%zz",
  'Content-Disposition: attachment; name="0"; filename="x"',
  'Content-Disposition',
  ': : :',
  `Content-Disposition: form-data; name="${'n'.repeat(20_000)}"; filename="x"`,
  'Content-Disposition: form-data; name="__proto__"; filename="../../../../tmp/x"',
];

/** What `operations` holds in a good form. */
interface Operation {
  query: string;
  variables: Record<string, unknown>;
}

export function makeForm(dice: Dice): Form {
  const count = dice.pick([1, 1, 1, 2, 5, 33]);
  const isMany = count > 1;
  const query = isMany ? MANY : dice.pick([ONE, ONE, DEFERRED]);
  const variables = isMany
    ? { images: Array.from({ length: count }, () => null) }
    : { image: null, timeoutMs: dice.pick([null, 1, 1_000]) };
  const paths = Array.from({ length: count }, (_, i) => [isMany ? `variables.images.${i}` : 'variables.image']);
  let operations: string = JSON.stringify({ query, variables });
  let map: string = JSON.stringify(Object.fromEntries(paths.entries()));
  let boundary = 'frontier';
  const images = Array.from({ length: count }, () => makeImage(dice));
  const notes: string[] = [];

  if (dice.chance(0.15)) {
    operations = makeOddOperations({ query, variables }, operations, dice);
    notes.push('odd operations');
  }
  if (dice.chance(0.15)) {
    map = makeOddMap(dice);
    notes.push('an odd map');
  }
  const parts = [
    textPart('operations', operations),
    textPart('map', map),
    ...images.map((image, i) => filePart(String(i), image)),
  ];
  if (dice.chance(0.3)) notes.push(changeParts(parts, dice));
  if (dice.chance(0.08)) {
    boundary = dice.pick(BOUNDARIES);
    notes.push('an odd boundary');
  }
  const body = changeBody(join(parts, boundary.replaceAll('"', '')), dice, notes);
  return { body, type: `multipart/form-data; boundary=${boundary}`, how: notes.join(', ') || 'a good form' };
}

function makeOddOperations({ query, variables }: Operation, operations: string, dice: Dice): string {
  return dice.pick([
    () => toJson(oddValue(dice)),
    () => toJson({ query, variables: oddValue(dice) }),
    () => toJson({ query: oddValue(dice), variables }),
    () => `{"query":"{__typename}","variables":${deepText(dice)}}`,
    () => `${operations},`,
    () => `[${operations}]`,
    () => operations.replace('null', '"x"'),
    () => JSON.stringify({ query, variables, operationName: oddValue(dice), extensions: oddValue(dice) }),
  ])();
}

function makeOddMap(dice: Dice): string {
  return dice.pick([
    () => toJson(oddValue(dice)),
    () => deepText(dice),
    () => toJson({ 0: oddValue(dice) }),
    () => toJson({ 0: [dice.pick(PATHS), dice.pick(PATHS)] }),
    () => toJson(Object.fromEntries(Array.from({ length: 3 }, () => [oddText(dice), [dice.pick(PATHS)]]))),
    () => toJson({ 0: Array.from({ length: 5_000 }, () => 'variables.image') }),
  ])();
}

/** Leaves most as they are. @param notes gets what was done */
function changeBody(body: Buffer, dice: Dice, notes: string[]): Buffer {
  let changed = body;
  if (dice.chance(0.12)) {
    const damaged = damage(changed, changed, dice.random);
    changed = damaged.file;
    notes.push(damaged.how);
  }
  if (dice.chance(0.04)) {
    changed = Buffer.from(changed.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    notes.push('bare line feeds');
  }
  if (dice.chance(0.04)) {
    changed = Buffer.concat([Buffer.alloc(dice.below(70_000), 45), changed, Buffer.alloc(dice.below(70_000), 45)]);
    notes.push('a preamble and an epilogue');
  }
  return changed;
}

function makeImage(dice: Dice): Buffer {
  const good = Buffer.from(makePicture(dice.below(3_000)));
  if (dice.chance(0.6)) return good;
  if (dice.chance(0.2)) return Buffer.alloc(dice.pick([0, 1, 12, 70_000, 3_000_000]), dice.below(256));
  return damage(good, good, dice.random).file;
}

function textPart(name: string, text: string): Part {
  return { head: [`Content-Disposition: form-data; name="${name}"`], content: Buffer.from(text) };
}

function filePart(name: string, content: Buffer): Part {
  return {
    head: [`Content-Disposition: form-data; name="${name}"; filename="x.png"`, 'Content-Type: image/png'],
    content,
  };
}

/** Changes the list in place and names what it did. */
function changeParts(parts: Part[], dice: Dice): string {
  const at = dice.below(parts.length);
  const part = parts[at]!;
  const ways: Record<string, () => void> = {
    'a part is missing': () => parts.splice(at, 1),
    'a part comes twice': () => parts.splice(dice.below(parts.length), 0, part),
    'the order is another': () => parts.reverse(),
    'a part has an odd name': () => {
      part.head[0] = dice.pick(DISPOSITIONS);
    },
    'a part has no headers': () => {
      part.head = [];
    },
    'a part has odd headers': () => {
      part.head.push(
        dice.pick([
          'Content-Type: text/plain; charset=utf-7',
          'Content-Transfer-Encoding: base64',
          'Content-Type: multipart/mixed; boundary=inner',
          'Content-Length: 999999999',
          `X: ${'y'.repeat(90_000)}`,
          ...Array.from({ length: 1 }, () => 'A: b\r\n'.repeat(3_000)),
        ]),
      );
    },
    'text instead of a file': () => {
      part.head[0] = part.head[0]!.replace('; filename="x.png"', '');
    },
    'a file instead of text': () => {
      part.head[0] += '; filename="y"';
    },
    'a large part': () => {
      part.content = Buffer.alloc(dice.pick([300_000, 11_000_000]), 97);
    },
    'thousands of parts': () => {
      for (let left = 3_000; left > 0; left--) parts.push(textPart(`p${left}`, ''));
    },
  };
  const how = dice.pick(Object.keys(ways));
  ways[how]!();
  return how;
}

function join(parts: Part[], boundary: string): Buffer {
  const pieces = parts.flatMap(({ head, content }) => [
    Buffer.from(`--${boundary}\r\n${head.map((line) => `${line}\r\n`).join('')}\r\n`, 'utf8'),
    content,
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}
