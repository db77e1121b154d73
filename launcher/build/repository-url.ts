/** Where the sources of a package are published, for its package.json. */
import { execFileSync } from 'node:child_process';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The address of the repository that a package is built from, or undefined if none is known. The registry compares it with the signed
 * provenance, so a fork names itself: it comes from the CI's variables, else from the clone's remote `origin`.
 * @param dir the clone
 */
export function findRepository(dir: string, env: Environment = process.env): string | undefined {
  const { GITHUB_SERVER_URL, GITHUB_REPOSITORY, CI_PROJECT_URL } = env;
  if (GITHUB_SERVER_URL && GITHUB_REPOSITORY) return toPublicUrl(`${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}`);
  if (CI_PROJECT_URL) return toPublicUrl(CI_PROJECT_URL);
  try {
    const args = ['config', '--get', 'remote.origin.url'];
    return toPublicUrl(execFileSync('git', args, { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    return undefined;
  }
}

/** `git+https://host/owner/name.git` for the forms that git takes. Undefined for a folder: it means nothing to others. */
export function toPublicUrl(remote: string): string | undefined {
  // git@host:owner/name is ssh's short form.
  const short = /^(?:[\w.-]+@)?([\w-]+(?:\.[\w-]+)+):(?!\/)(\S+)$/.exec(remote.trim());
  const text = short ? `ssh://${short[1]}/${short[2]}` : remote.trim();
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, pathname } = new URL(text);
  if (!/^(git\+)?(https?|ssh|git):$/.test(protocol) || !hostname) return undefined;
  // Without user and password: a token in the remote's address must not be published.
  return `git+https://${hostname}${pathname.replace(/\/+$/, '').replace(/\.git$/, '')}.git`;
}
