/** InferQL as a route handler of Next.js: queries, uploads, and subscriptions over server-sent events. */
import { inferql } from '../../../lib/inferql.ts';

export const dynamic = 'force-dynamic';

export const GET = (request: Request) => inferql.fetch(request);
export const POST = (request: Request) => inferql.fetch(request);
