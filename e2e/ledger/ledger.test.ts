import { expect, test } from 'vitest';
import { createLedger } from './ledger.ts';

const seen = (id: string, status: string, best?: number) => ({ id, status, best, attempts: 1 });

function openBook() {
  const book = createLedger();
  book.answer('one', 1);
  return book;
}

test('an id that ends the same on every server is neither lost nor contradictory', () => {
  const book = openBook();
  book.see('a', seen('one', 'QUEUED'));
  book.see('a', seen('one', 'SUCCEEDED', 1));
  book.confirm('s1', 'one', seen('one', 'SUCCEEDED', 1));
  book.confirm('s2', 'one', seen('one', 'SUCCEEDED', 1));
  expect(book.judge(['s1', 's2'])).toMatchObject({ answered: 1, lost: [], contradictory: [], wrong: [], missed: [] });
});

test('an id that one server does not know, or has not ended, is lost', () => {
  const book = openBook();
  book.confirm('s1', 'one', seen('one', 'SUCCEEDED', 1));
  book.confirm('s2', 'one', null);
  expect(book.judge(['s1', 's2']).lost).toEqual(['one']);
  book.confirm('s2', 'one', seen('one', 'PROCESSING'));
  expect(book.judge(['s1', 's2']).lost).toEqual(['one']);
});

test('two ends, or any state after an end, are contradictory', () => {
  const book = openBook();
  book.see('a', seen('one', 'SUCCEEDED', 1));
  book.see('b', seen('one', 'CANCELED'));
  book.answer('two', undefined);
  book.see('c', seen('two', 'EXPIRED'));
  book.see('c', seen('two', 'PROCESSING'));
  book.answer('three', undefined);
  book.see('d', seen('three', 'SUCCEEDED', 3));
  book.see('e', seen('three', 'SUCCEEDED', 4));
  expect(book.judge([]).contradictory).toEqual(['one', 'two', 'three']);
});

test('the answer of another image is wrong, and a subscription that completes without an end has missed it', () => {
  const book = openBook();
  book.see('a', seen('one', 'SUCCEEDED', 2));
  book.see('b', seen('one', 'PROCESSING'));
  book.complete('b');
  expect(book.judge([])).toMatchObject({ wrong: ['one'], missed: ['b'] });
});
