/** A DNS server for tests: it answers every name by a table, and counts the questions. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

const TYPE_A = 1;
const NAME_AT = 12;
const NO_SUCH_NAME = 0x8183;
const ANSWER = 0x8180;

/**
 * @param addressesOf the IPv4 addresses of a name at its n-th question, from 0; none: the name does not exist
 * @returns its address, `127.0.0.1:port`
 */
export async function startDnsServer(addressesOf: (name: string, question: number) => string[]) {
  const socket = createSocket('udp4');
  const questions: string[] = [];
  socket.on('message', (query, from) => {
    const end = query.indexOf(0, NAME_AT);
    const name = readName(query.subarray(NAME_AT, end));
    const isForIPv4 = query.readUInt16BE(end + 1) === TYPE_A;
    const addresses = isForIPv4 ? addressesOf(name, questions.filter((asked) => asked === name).length) : [];
    if (isForIPv4) questions.push(name);
    const header = Buffer.alloc(NAME_AT);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(addresses.length > 0 || !isForIPv4 ? ANSWER : NO_SUCH_NAME, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(addresses.length, 6);
    const records = addresses.map((address) =>
      // A pointer to the name in the question, type A, class IN, no time to live, four bytes.
      Buffer.from([0xc0, NAME_AT, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]),
    );
    socket.send(Buffer.concat([header, query.subarray(NAME_AT, end + 5), ...records]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${(socket.address() as AddressInfo).port}`,
    questions,
    close(): void {
      socket.close();
    },
  };
}

function readName(labels: Buffer): string {
  const names: string[] = [];
  for (let at = 0; at < labels.length; at += labels[at]! + 1) {
    names.push(labels.toString('latin1', at + 1, at + 1 + labels[at]!));
  }
  return names.join('.').toLowerCase();
}
