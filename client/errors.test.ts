import { ERROR_CODES, ERRORS } from '@inferql/queue/error-codes';
import { expect, test } from 'vitest';
import { errorOfCode } from './errors.ts';

test('the client and the server agree on what is retryable', () => {
  const answers = ERROR_CODES.map((code) => {
    const error = errorOfCode(code, 'm');
    return [error.code, error.retryable];
  });
  expect(answers).toEqual(ERROR_CODES.map((code) => [code, ERRORS[code].retryable]));
});

test('an unknown code of a newer server is BAD_RESPONSE', () => {
  for (const code of ['TOO_NEW', 'toString', 'UNREACHABLE', undefined, 7]) {
    expect(errorOfCode(code, 'm')).toMatchObject({ code: 'BAD_RESPONSE', message: 'm', retryable: false });
  }
});
