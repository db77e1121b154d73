import { defineSettings } from '../define-settings.ts';
import { type AllowedHost, hosts } from '../origins-and-proxies.ts';
import { choice, integer } from '../value-types.ts';

/** Images that the server accepts: uploads and URLs. */
export const uploads = defineSettings({
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
    description: 'Maximum number of pixels (width times height) of an image, checked before it is decoded.',
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
  uploadMemoryBytes: {
    name: 'INFERQL_UPLOAD_MEMORY_BYTES',
    type: integer(),
    default: 64 * 1024 * 1024,
    unit: 'bytes',
    description:
      'Memory for uploaded files of up to 1 MiB. Larger files, and those that no longer fit, are written to disk until they are decoded.',
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
      'Hosts for `INFERQL_IMAGE_URLS=allowlist`, separated by commas. A host with a port allows only that port, otherwise 80 and 443. A listed host may be private; `*.example.org` allows every subdomain with a public address.',
    readBy: ['server'],
  },
});
