import { createInferQL, type InferQL } from '@inferql/server';

// Next.js evaluates modules more than once; connections should be opened once per process.
const shared = globalThis as { inferql?: InferQL };
shared.inferql ??= createInferQL({
  redisUrl: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  endpoint: '/api/graphql',
});

export const { inferql } = shared as { inferql: InferQL };
