import SchemaBuilder from '@pothos/core';
import type { UploadedFile } from '../uploads/uploaded-file.ts';
import type { ServerContext } from './context.ts';

/** The schema builder. Each file under schema/ adds one noun to it. */
export const builder = new SchemaBuilder<{
  Context: ServerContext;
  DefaultFieldNullability: false;
  Scalars: {
    DateTime: { Input: never; Output: number };
    JSON: { Input: never; Output: unknown };
    ID: { Input: string; Output: string };
    URL: { Input: string; Output: never };
    Upload: { Input: UploadedFile; Output: never };
  };
}>({ defaultFieldNullability: false });

builder.queryType({ description: 'Read the current state of predictions, models and queues.' });
builder.mutationType({
  description:
    'Send images, and cancel predictions. Over HTTP, mutations need the header `x-graphql-yoga-csrf` with any value, so that another web page cannot make a browser send them.',
});
builder.subscriptionType({
  description:
    'Live progress, over server-sent events or a WebSocket (protocol `graphql-transport-ws`), both at the path of this endpoint.',
});
