import { parse } from 'graphql';
import { expect, test } from 'vitest';
import { countVariableUses } from './variable-uses.ts';

test('each operation of a document is counted separately, with its fragments, however often it is asked', () => {
  const document = parse(`
    mutation One($image: Upload!) { a: classifyImage(image: $image) { id } }
    mutation Two($image: Upload!) { a: classifyImage(image: $image) { id } b: classifyImage(image: $image) { id } ...More }
    fragment More on Mutation { c: classifyImage(image: $image) { id } }
  `);
  for (let time = 0; time < 2; time++) {
    expect(countVariableUses(document, 'One').get('image')).toBe(2);
    expect(countVariableUses(document, 'Two').get('image')).toBe(3);
    expect(countVariableUses(document, 'Three').size).toBe(0);
  }
});
