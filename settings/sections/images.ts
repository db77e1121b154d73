import { availableParallelism, totalmem } from 'node:os';
import { defineSettings } from '../define-settings.ts';
import { type AllowedHost, hosts } from '../network-types.ts';
import { choice, integer } from '../value-types.ts';

const GIB = 1024 ** 3;

/** Of the machine, or of the container if that is less. */
function totalMemory(): number {
  return Math.min(totalmem(), process.constrainedMemory?.() || Number.POSITIVE_INFINITY);
}

/** Uploads and their decoding. */
export const images = defineSettings({
  maxUploadBytes: {
    name: 'INFERQL_MAX_UPLOAD_BYTES',
    formerNames: ['MAX_UPLOAD_BYTES'],
    type: integer({ min: 1 }),
    default: 10 * 1024 * 1024,
    unit: 'bytes',
    description: 'Maximum size of a file.',
    readBy: ['server'],
  },
  maxPixels: {
    name: 'INFERQL_MAX_PIXELS',
    formerNames: ['MAX_PIXELS'],
    type: integer({ min: 1 }),
    default: 64_000_000,
    unit: 'pixels',
    description: 'Maximum width times height of an image, checked before it is decoded.',
    readBy: ['server'],
  },
  maxImages: {
    name: 'INFERQL_MAX_IMAGES',
    formerNames: ['MAX_IMAGES'],
    type: integer({ min: 1 }),
    default: 32,
    description: 'Maximum number of files in one request.',
    readBy: ['server'],
  },
  maxBodyBytes: {
    name: 'INFERQL_MAX_BODY_BYTES',
    formerNames: ['MAX_BODY_BYTES'],
    type: integer({ min: 1 }),
    default: 128 * 1024 * 1024,
    unit: 'bytes',
    description: 'Maximum size of a request body with files.',
    readBy: ['server'],
  },
  imageUrls: {
    name: 'INFERQL_IMAGE_URLS',
    type: choice(['off', 'https', 'allowlist']),
    default: 'off' as const,
    description:
      'Whether `classifyImage(source: { url })` reads images from the web: `https` from every public host, `allowlist` from the hosts of `INFERQL_IMAGE_URL_HOSTS` only. See docs/security.md.',
    readBy: ['server'],
  },
  imageUrlHosts: {
    name: 'INFERQL_IMAGE_URL_HOSTS',
    type: hosts,
    default: [] as AllowedHost[],
    defaultText: 'none',
    description:
      'Hosts for `INFERQL_IMAGE_URLS=allowlist`, separated by commas. With a port, only that port; without, 80 and 443. A listed host may be private; `*.example.org` is every subdomain with a public address.',
    readBy: ['server'],
  },
  uploadMemoryBytes: {
    name: 'INFERQL_UPLOAD_MEMORY_BYTES',
    type: integer(),
    default: 64 * 1024 * 1024,
    unit: 'bytes',
    description:
      'Memory for uploaded files of up to 1 MiB. Larger files, and those for which there is no room, are written to disk until they are decoded.',
    readBy: ['server'],
  },
  decodeMemoryBytes: {
    name: 'INFERQL_DECODE_MEMORY',
    type: integer({ min: 64 * 1024 * 1024 }),
    default: () => Math.round(Math.min(2 * GIB, Math.max(GIB / 2, totalMemory() / 4))),
    defaultText: 'a quarter of the memory, 512 MiB to 2 GiB',
    unit: 'bytes',
    description:
      'Memory for images that are being decoded, by their expected need. Images wait until there is enough; an image that needs more than the total is refused.',
    readBy: ['server'],
  },
  decodeProcesses: {
    name: 'INFERQL_DECODE_PROCESSES',
    type: integer({ min: 1 }),
    default: () => Math.max(1, availableParallelism() >> 1),
    defaultText: 'half of the cores',
    description:
      'Processes that decode expensive images at a lower priority. A process whose image takes too long is ended. They run only while there are such images.',
    readBy: ['server'],
  },
  decodeConcurrency: {
    name: 'INFERQL_DECODE_CONCURRENCY',
    formerNames: ['DECODE_CONCURRENCY'],
    type: integer({ min: 1 }),
    default: () => 2 * availableParallelism() + 4,
    defaultText: 'twice the cores plus 4',
    description:
      'Small images that are given to the decoding threads (`UV_THREADPOOL_SIZE`) at once. The default keeps all threads busy.',
    readBy: ['server'],
  },
});
