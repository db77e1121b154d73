import type { IncomingMessage } from 'node:http';

/** The credential of a WebSocket: a browser cannot send headers with it, so it is in the connectionParams. Other programs can send the header. */
export function readConnectionAuthorization(
  params: Record<string, unknown> | undefined,
  request: Pick<IncomingMessage, 'headers'>,
): string | undefined {
  const given = params?.authorization ?? params?.Authorization;
  return typeof given === 'string' ? given : request.headers.authorization;
}
