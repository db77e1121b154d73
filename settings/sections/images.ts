import { availableParallelism } from 'node:os';
import { defineSettings } from '../define-settings.ts';
import { integer } from '../value-types.ts';

/** Uploads and their decoding. */
export const images = defineSettings({
  maxUploadBytes: {
    name: 'INFERQL_MAX_UPLOAD_BYTES',
    formerNames: ['MAX_UPLOAD_BYTES'],
    type: integer({ min: 1 }),
    default: 10 * 1024 * 1024,
    unit: 'bytes',
    description: 'Largest file.',
    readBy: ['server'],
  },
  maxPixels: {
    name: 'INFERQL_MAX_PIXELS',
    formerNames: ['MAX_PIXELS'],
    type: integer({ min: 1 }),
    default: 64_000_000,
    unit: 'pixels',
    description: 'Largest image, checked before it is decoded.',
    readBy: ['server'],
  },
  maxImages: {
    name: 'INFERQL_MAX_IMAGES',
    formerNames: ['MAX_IMAGES'],
    type: integer({ min: 1 }),
    default: 32,
    description: 'Most files in one request.',
    readBy: ['server'],
  },
  maxBodyBytes: {
    name: 'INFERQL_MAX_BODY_BYTES',
    formerNames: ['MAX_BODY_BYTES'],
    type: integer({ min: 1 }),
    default: 128 * 1024 * 1024,
    unit: 'bytes',
    description: 'Largest request body with files.',
    readBy: ['server'],
  },
  decodeConcurrency: {
    name: 'INFERQL_DECODE_CONCURRENCY',
    formerNames: ['DECODE_CONCURRENCY'],
    type: integer({ min: 1 }),
    default: () => 2 * availableParallelism() + 4,
    defaultText: 'twice the cores plus 4',
    description:
      'Images that are handed to the decoding threads (`UV_THREADPOOL_SIZE` of them) at once: enough that no thread waits for the main one. Each is held in memory.',
    readBy: ['server'],
  },
});
