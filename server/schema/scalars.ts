/** The scalars of the schema. */
import { UploadScalar } from '../uploads/upload-scalar.ts';
import { builder } from './builder.ts';

builder.addScalarType('Upload', UploadScalar);

builder.scalarType('JSON', {
  description: 'Any JSON value.',
  serialize: (value) => value,
});

builder.scalarType('DateTime', {
  description: 'A time in UTC, as ISO 8601 text with milliseconds: `2026-11-23T15:04:05.678Z`.',
  serialize: (unixMs) => new Date(unixMs).toISOString(),
});
