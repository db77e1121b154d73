import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Opens a server's port.
 * @returns the server's origin, as for a browser
 * @throws the system's error, such as EADDRINUSE
 */
export async function startListening(server: Server, port: number | undefined, host: string): Promise<string> {
  server.listen(port, host);
  await once(server, 'listening');
  const { address, port: opened, family } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${opened}`;
}
