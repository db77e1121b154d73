// The few words of Redis' protocol that the launcher needs before anything is installed.
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';

/**
 * Sends commands on a connection of its own and resolves to the first line (or bulk text) of each reply.
 * @param {{ host?: string, port?: number, path?: string, tls?: boolean }} address
 * @param {string[][]} commands
 * @param {number} timeoutMs for all of it
 * @returns {Promise<string[]>} errors of Redis are texts that start with '-'
 */
export function askRedis(address, commands, timeoutMs) {
  return new Promise((resolve, reject) => {
    const { tls, ...target } = address;
    const socket = tls ? connectTls({ ...target, servername: target.host }) : connectTcp(target);
    const replies = [];
    let received = '';
    const timer = setTimeout(() => fail(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    const fail = (error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    socket.once('error', fail);
    // SHUTDOWN has no reply, only an end.
    socket.once('close', () => fail(new Error('the connection was closed')));
    socket.once(tls ? 'secureConnect' : 'connect', () => socket.write(commands.map(encodeCommand).join('')));
    socket.on('data', (chunk) => {
      received += chunk.toString();
      for (let reply = takeReply(received); reply; reply = takeReply(received)) {
        replies.push(reply.text);
        received = received.slice(reply.length);
      }
      if (replies.length < commands.length) return;
      clearTimeout(timer);
      socket.removeAllListeners('close');
      socket.destroy();
      resolve(replies);
    });
  });
}

function encodeCommand(words) {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** One whole reply from the start of a text; an array comes back as its texts joined by line breaks. */
function takeReply(text) {
  const lineEnd = text.indexOf('\r\n');
  if (lineEnd === -1) return undefined;
  const kind = text[0];
  const line = text.slice(1, lineEnd);
  let length = lineEnd + 2;
  if (kind === '$') {
    const size = Number(line);
    if (size < 0) return { text: '', length };
    if (text.length < length + size + 2) return undefined;
    return { text: text.slice(length, length + size), length: length + size + 2 };
  }
  if (kind === '*') {
    const items = [];
    for (let index = 0; index < Number(line); index++) {
      const item = takeReply(text.slice(length));
      if (!item) return undefined;
      items.push(item.text);
      length += item.length;
    }
    return { text: items.join('\n'), length };
  }
  return { text: kind === '-' ? `-${line}` : line, length };
}

/** Whether it takes commands now. A Redis that still reads its file says -LOADING: not yet. */
export async function isAnswering(address, timeoutMs = 1_000) {
  try {
    const [reply] = await askRedis(address, [['PING']], timeoutMs);
    return reply === 'PONG' || reply.startsWith('-NOAUTH');
  } catch {
    return false;
  }
}
