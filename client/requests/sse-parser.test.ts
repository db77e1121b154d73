import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createEventParser } from './sse-parser.ts';

test('an event stream gives the same events, however it is chunked and whatever ends its lines', () => {
  const events = [
    { event: 'next', data: '{"data":{"prediction":{"id":"a"}}}' },
    { event: 'message', data: 'two\nlines' },
    { event: 'next', data: 'ünï: cödé' },
    { event: 'complete', data: '' },
  ];
  const text = (newline: string) =>
    [
      ':',
      '',
      'event: next',
      `data: ${events[0]!.data}`,
      '',
      ': a comment',
      'data:two',
      'data: lines',
      'id: 7',
      'retry: 10',
      '',
      'event:next',
      `data: ${events[2]!.data}`,
      '',
      'event: complete',
      'data:',
      '',
      '',
    ].join(newline);
  fc.assert(
    fc.property(
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.array(fc.integer({ min: 0, max: 180 }), { maxLength: 12 }),
      (newline, cuts) => {
        const whole = text(newline);
        const parse = createEventParser();
        const places = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const found = places.slice(1).flatMap((end, i) => parse(whole.slice(places[i], end)));
        expect(found).toEqual(events);
      },
    ),
  );
});

test('an endless event is rejected before it fills the memory', () => {
  const parse = createEventParser();
  expect(() => {
    for (let i = 0; i < 20; i++) parse('x'.repeat(1_000_000));
  }).toThrow(RangeError);
});
