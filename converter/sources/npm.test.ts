import { expect, test } from 'vitest';
import { findIntegrity } from './npm.ts';

test('a look-up that is interrupted does not say that there is no such package', async () => {
  await expect(findIntegrity('tiny-model', '1.2.3', AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELED' });
});
