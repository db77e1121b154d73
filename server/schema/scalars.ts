/** The scalars of the schema. */
import { GraphQLError } from 'graphql';
import { UploadScalar } from '../uploads/upload-scalar.ts';
import { builder } from './builder.ts';

builder.addScalarType('Upload', UploadScalar);

builder.scalarType('URL', {
  description: 'An absolute URL: `https://example.org/cat.jpg`.',
  specifiedByURL: 'https://url.spec.whatwg.org/',
  parseValue(value) {
    // Which URLs are allowed is an error of the result, not of the document.
    if (typeof value === 'string') return value;
    throw new GraphQLError('A URL must be a string.');
  },
});

builder.scalarType('JSON', {
  description: 'Any JSON value.',
  serialize: (value) => value,
});

builder.scalarType('DateTime', {
  description: 'A time in UTC, in ISO 8601 format with milliseconds: `2026-11-23T15:04:05.678Z`.',
  serialize: (unixMs) => new Date(unixMs).toISOString(),
});
