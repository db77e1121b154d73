/** Shared by the tests of subscriptions, on every transport. */
import { ENQUEUE, paint, type Server } from './server-harness.ts';

export const WATCH = `subscription ($id: ID!) { prediction(id: $id) { id status queuePosition estimatedStartMs result { labels(topK: 1) { index } } error { code } } }`;

export interface StreamedAnswer {
  data?: { prediction: { id: string; status: string; queuePosition: number | null; result: object | null } };
  errors?: { message: string; extensions?: Record<string, unknown> }[];
}

export async function enqueue(server: Server, red: number): Promise<string> {
  const { data } = await server.upload<{ classifyImage: { id: string } }>(ENQUEUE, [await paint(red)]);
  return data.classifyImage.id;
}

export async function collect(events: AsyncIterable<StreamedAnswer>): Promise<StreamedAnswer[]> {
  const all: StreamedAnswer[] = [];
  for await (const event of events) all.push(event);
  return all;
}
