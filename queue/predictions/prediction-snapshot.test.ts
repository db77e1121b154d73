import { expect, test } from 'vitest';
import { newPredictionId } from '../contract.ts';
import { parseState } from './prediction-snapshot.ts';

function stateWith(errorCode: string): string {
  const fields = {
    id: newPredictionId('resnet50'),
    revision: '3',
    status: 'FAILED',
    model: 'resnet50',
    version: '0123456789ab',
    priority: 'NORMAL',
    jobId: '1-0',
    attempts: '1',
    createdAtMs: '1',
    deadlineMs: '2',
    finishedAtMs: '2',
    errorCode,
  };
  return JSON.stringify(Object.entries(fields).flat());
}

test('an end with a code of a newer release is still read as an end', () => {
  expect(parseState(stateWith('ENGINE_CRASHED'))).toMatchObject({ status: 'FAILED', errorCode: 'ENGINE_CRASHED' });
  expect(parseState(stateWith('CODE_OF_A_NEWER_RELEASE'))).toMatchObject({ status: 'FAILED', errorCode: undefined });
});
