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
    Upload: { Input: UploadedFile; Output: never };
  };
}>({ defaultFieldNullability: false });

builder.queryType({ description: 'Reading: predictions, models and queues as they are at this moment.' });
builder.mutationType({
  description:
    'Sending photographs and taking them back. Over HTTP they need the header `x-graphql-yoga-csrf`, with any value, so that no other web page can make a browser send them.',
});
builder.subscriptionType({
  description:
    'Live progress, over server-sent events or a WebSocket (protocol `graphql-transport-ws`), both on the path of this endpoint.',
});
