import type { Prediction } from '@inferql/client';
import { createClient, InferqlError } from '@inferql/client';
import { expect, test, vi } from 'vitest';
import { isHeic } from './browser-images.ts';
import { type Card, canRetry } from './card.ts';
import { describeCard, describeProblem } from './card-texts.ts';
import { readDroppedFiles } from './dropped-files.ts';
import { formatLabel, formatSeconds, formatShare } from './format.ts';
import { findHeatmapBox } from './heatmap-box.ts';
import { predictionPath, readPredictionId } from './location.ts';
import { isPassing, readProblem } from './request-problem.ts';
import { createThrottle } from './throttle.ts';

test('a share never reads as all or nothing when it is not', () => {
  expect([0.9999, 0.996, 0.99, 0.616, 0.0123, 0.0004].map(formatShare)).toEqual([
    '> 99.9%',
    '99.6%',
    '99%',
    '62%',
    '1.2%',
    '< 0.1%',
  ]);
});

test('durations and labels read as people write them', () => {
  expect([12.4, 1_340, 42_000, 600_000].map(formatSeconds)).toEqual(['12 ms', '1.3 s', '42 s', '10 min']);
  expect(formatLabel('Egyptian_cat')).toBe('Egyptian cat');
});

const PHOTO = { width: 640, height: 320 };
test.each([
  ['stretches it', {}, PHOTO, { width: 2, height: 1 }],
  ['crops the middle of the short side', { shortSide: 256 }, PHOTO, { width: 0.875, height: 0.875 }],
  ['crops the middle of a stretched square', { stretchTo: 256 }, PHOTO, { width: 1.75, height: 0.875 }],
  ['crops a share of each side', { cropFraction: 0.5 }, PHOTO, { width: 1, height: 0.5 }],
  ['crops the part with its proportions', { cover: true, height: 112 }, PHOTO, { width: 2, height: 1 }],
  [
    'crops a share of the part with its proportions',
    { cover: true, cropFraction: 0.5 },
    PHOTO,
    { width: 0.5, height: 0.5 },
  ],
  ['fits all of it in', { padColor: '#000000' }, PHOTO, { width: 2, height: 2 }],
  ['fits the short side in', { shortSide: 112, padColor: '#000000' }, PHOTO, { width: 2, height: 2 }],
])('the heatmap covers what a model sees that %s', (_what, rule, photo, box) => {
  const whole = { shortSide: null, stretchTo: null, cropFraction: null, cover: false, padColor: null };
  expect(findHeatmapBox({ width: 224, height: 224, ...whole, ...rule }, photo)).toEqual(box);
});

test('a photo without labels is done, and is not sent again', () => {
  const prediction = { status: 'SUCCEEDED', result: { labels: [] }, error: null } as unknown as Prediction;
  const card = { phase: { kind: 'accepted' }, prediction, hasFile: true } as unknown as Card;
  expect(describeCard(card)).toEqual({
    title: 'Done',
    detail: 'The model found no label for this photo.',
    tone: 'good',
  });
  expect(canRetry(card)).toBe(false);
});

test("a prediction's link leads back to its id", () => {
  expect(readPredictionId(predictionPath('resnet50.Er9-_x'))).toBe('resnet50.Er9-_x');
  expect(readPredictionId('/')).toBeUndefined();
  expect(readPredictionId('/p/%E0%A4%A')).toBeUndefined();
});

test('a burst of changes is drawn at once and at its end, not at each step', () => {
  vi.useFakeTimers();
  try {
    const draw = vi.fn();
    const notify = createThrottle(draw, 40);
    notify();
    expect(draw).toHaveBeenCalledTimes(1);
    for (let change = 0; change < 500; change++) notify();
    expect(draw).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(40);
    expect(draw).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(1_000);
    expect(draw).toHaveBeenCalledTimes(2);
    notify();
    expect(draw).toHaveBeenCalledTimes(3);
  } finally {
    vi.useRealTimers();
  }
});

/** A browser's entries for a dropped file, and for a folder, which it lists in parts. */
const fileEntry = (name: string, type = 'image/jpeg') => ({
  name,
  isFile: true,
  file: (give: (file: File) => void) => give(new File(['x'], name, { type })),
});
const folderEntry = (name: string, ...parts: { name: string }[][]) => ({
  name,
  isFile: false,
  createReader: () => ({ readEntries: (give: (part: { name: string }[]) => void) => give(parts.shift() ?? []) }),
});

test('a dropped folder gives the files that may be images and names the rest; a dropped file is always taken', async () => {
  const inner = folderEntry('b', [fileEntry('2.jpg')], [fileEntry('1.png', 'image/png')]);
  const entries = [
    folderEntry(
      'album',
      [fileEntry('c.jpg'), inner],
      [fileEntry('a.jpg'), fileEntry('notes.txt', 'text/plain')],
      [fileEntry('IMG_1.HEIC', ''), fileEntry('scan', '')],
    ),
    fileEntry('readme.txt', 'text/plain'),
    fileEntry('.hidden.jpg'),
  ];
  const items = entries.map((entry) => ({ webkitGetAsEntry: () => entry }));
  const { files, leftOut } = await readDroppedFiles({ items } as unknown as DataTransfer);
  expect(files.map(({ name }) => name)).toEqual([
    'a.jpg',
    '1.png',
    '2.jpg',
    'c.jpg',
    'IMG_1.HEIC',
    'scan',
    'readme.txt',
  ]);
  expect(leftOut).toEqual(['notes.txt']);
});

test('what the browser cannot read of a drop is named, and the rest is sent', async () => {
  const unreadable = (_give: unknown, refuse: (error: Error) => void) => refuse(new Error('no permission'));
  const gone = { name: 'gone.jpg', isFile: true, file: unreadable };
  const entries = [
    fileEntry('a.jpg'),
    { name: 'locked.jpg', isFile: true, file: unreadable },
    { name: 'locked', isFile: false, createReader: () => ({ readEntries: unreadable }) },
    folderEntry('album', [fileEntry('b.jpg'), gone]),
  ];
  const items = entries.map((entry) => ({ webkitGetAsEntry: () => entry }));
  const dropped = await readDroppedFiles({ items } as unknown as DataTransfer);
  expect(dropped.files.map(({ name }) => name)).toEqual(['a.jpg', 'b.jpg']);
  expect(dropped).toMatchObject({ leftOut: [], unreadable: ['locked.jpg', 'locked', 'gone.jpg'] });
});

/** The problem with an answer that is not of the API, as the client reports it. */
async function answered(status: number) {
  const answer = async () => new Response('<html>', { status });
  const client = createClient({ url: 'http://server', fetch: answer, retryForMs: 0 });
  return readProblem(await client.models().catch((error: unknown) => error));
}

test.each([
  [200, 'FOREIGN_ANSWER', true],
  [401, 'SIGN_IN', false],
  [403, 'BLOCKED', false],
  [404, 'BLOCKED', false],
  [408, 'REQUEST_TIMEOUT', true],
  [413, 'REQUEST_TOO_LARGE', false],
  [429, 'RATE_LIMITED', true],
  [502, 'GATEWAY', true],
])('an answer %i that is not of the API is %s', async (status, code, passes) => {
  const problem = await answered(status);
  expect(problem.code).toBe(code);
  expect(isPassing(problem)).toBe(passes);
  expect(describeProblem(problem).title).not.toBe('Something went wrong');
});

test.each(['UNREACHABLE', 'GATEWAY', 'FOREIGN_ANSWER', 'UNAVAILABLE', 'REQUEST_TIMEOUT'])(
  'after minutes of %s, the card does not promise another attempt',
  (code) => {
    expect(describeProblem({ code, message: '' }).detail).toContain('Retrying');
    expect(describeProblem({ code: `${code}_FOR_LONG`, message: '' }).detail).toContain('Try again');
  },
);

test('no answer at all passes, and a deleted file does not', () => {
  expect(isPassing(readProblem(new InferqlError('UNREACHABLE', '')))).toBe(true);
  expect(readProblem(new InferqlError('UNREADABLE_FILE', '')).code).toBe('FILE_CHANGED');
  expect(isPassing({ code: 'FILE_CHANGED', message: '' })).toBe(false);
});

test('HEIC is known by its first bytes, whatever the name says', async () => {
  const file = (brand: string) => new Blob([`\0\0\0\x18ftyp${brand}`]);
  expect(await Promise.all(['heic', 'mif1', 'avif', 'mp42'].map((brand) => isHeic(file(brand))))).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(await isHeic(new Blob([]))).toBe(false);
});

test('the card shows what the server says about a format, such as the two ways out for HEIC', () => {
  const message = 'This server does not read HEIC. Send a JPEG, or install the decoder.';
  expect(describeProblem({ code: 'UNSUPPORTED_FORMAT', message }).detail).toBe(message);
});
