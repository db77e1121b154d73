/** Real reverse proxies in front of a server, with the configurations of docs/behind-a-proxy.md or others. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from '@inferql/launcher/free-port';
import { projectDir } from '../build.ts';
import { hasEnded } from '../processes/has-ended.ts';

export const REVERSE_PROXIES = ['nginx', 'caddy', 'traefik'] as const;
export type ProxyName = (typeof REVERSE_PROXIES)[number];

export interface ReverseProxy {
  url: string;
  close(): Promise<void>;
}

/** The names, ports and files in the documented configurations, which are replaced by those of this machine. */
export const DOCUMENTED_NAME = 'images.example.com';
const DOCUMENTED_SERVER = '127.0.0.1:4000';
const DOCUMENTED_FOLDER = '/etc/traefik';
const START_TIMEOUT_MS = 60_000;
const PORT_TRIES = 5;

export const isProxyInstalled = (proxy: ProxyName): boolean =>
  spawnSync(proxy, [proxy === 'nginx' ? '-v' : 'version']).status === 0;

/** The documented configuration; Traefik's is two files, the static one first, each of which begins with its name. */
export function readDocumentedProxy(proxy: ProxyName): string {
  const document = readFileSync(join(projectDir, 'docs/behind-a-proxy.md'), 'utf8');
  const language = proxy === 'traefik' ? 'yaml' : proxy;
  const blocks = [...document.matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, 'g'))].map(
    ([, block]) => block!,
  );
  if (blocks.length === 0) throw new Error(`docs/behind-a-proxy.md has no configuration for ${proxy}`);
  return blocks.join('');
}

/**
 * @param configuration as the documentation has it: the server at 127.0.0.1:4000
 * @param dir a folder for its files
 * @throws if it ends, or does not pass requests on within a minute
 */
export async function startReverseProxy(
  proxy: ProxyName,
  configuration: string,
  serverUrl: string,
  dir: string,
): Promise<ReverseProxy> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnPort(await findFreePort(), proxy, configuration, serverUrl, dir);
    } catch (error) {
      // Another process may take a free port before it is used.
      if (attempt === PORT_TRIES || !/in use/.test(String(error))) throw error;
    }
  }
}

async function startOnPort(
  port: number,
  proxy: ProxyName,
  configuration: string,
  serverUrl: string,
  dir: string,
): Promise<ReverseProxy> {
  const child = START[proxy](configuration.replaceAll(DOCUMENTED_SERVER, new URL(serverUrl).host), port, dir);
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors = (errors + chunk).slice(-2_000);
  });
  const ended = once(child, 'close');
  const url = `http://127.0.0.1:${port}`;
  const close = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  const limitMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const isPassing = await passesRequests(url);
    // If the proxy has exited but something responds, another program had taken the port.
    if (isPassing && !hasEnded(child)) return { url, close };
    if (hasEnded(child) || performance.now() > limitMs) {
      await close();
      throw new Error(`${proxy} does not pass requests on: ${errors}`);
    }
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 50))]);
  }
}

const START: Record<ProxyName, (configuration: string, port: number, dir: string) => ChildProcess> = {
  nginx(configuration, port, dir) {
    const file = join(dir, 'nginx.conf');
    const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${dir}/${kind};`,
    );
    const user = process.getuid?.() === 0 ? 'user root;' : '';
    const http = `access_log off; ${folders.join(' ')} ${configuration.replace('listen 80;', `listen 127.0.0.1:${port};`)}`;
    writeFileSync(
      file,
      `pid ${dir}/nginx.pid; error_log stderr; worker_processes 1; daemon off; ${user} events {} http { ${http} }`,
    );
    return spawn('nginx', ['-c', file, '-p', dir], { stdio: ['ignore', 'ignore', 'pipe'] });
  },
  caddy(configuration, port, dir) {
    const file = join(dir, 'Caddyfile');
    writeFileSync(file, `{\n admin off\n}\n${configuration.replace(DOCUMENTED_NAME, `http://:${port}`)}`);
    const env = { ...process.env, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir };
    const args = ['run', '--config', file, '--adapter', 'caddyfile'];
    return spawn('caddy', args, { stdio: ['ignore', 'ignore', 'pipe'], env });
  },
  traefik(configuration, port, dir) {
    // Without a host name there is no certificate.
    const ported = configuration
      .replace("address: ':443'", `address: '127.0.0.1:${port}'`)
      .replace(/tls: \{.*\}\n/, '\n')
      .replace(`Host(\`${DOCUMENTED_NAME}\`)`, 'PathPrefix(`/`)')
      .replaceAll(DOCUMENTED_FOLDER, dir);
    const [fixed, dynamic] = ported.split('# inferql.yml\n');
    writeFileSync(join(dir, 'traefik.yml'), fixed!);
    writeFileSync(join(dir, 'inferql.yml'), dynamic!);
    return spawn('traefik', [`--configFile=${join(dir, 'traefik.yml')}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  },
};

async function passesRequests(url: string): Promise<boolean> {
  return fetch(`${url}/health/live`).then(
    ({ ok }) => ok,
    () => false,
  );
}
