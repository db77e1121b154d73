import { type Dirent, type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';

const QUIET_MS = 300;
/** Interval of the regular check: some kinds of volumes report no changes. */
const LOOK_EVERY_MS = 10_000;

/**
 * Calls `onChange` when something in the folder or in a folder directly below it, which may be a link, has changed and then been quiet for a moment, so
 * that a model that is being copied is seen once, when it is complete. Also calls it every ten seconds in any case.
 * @returns a function that ends it
 */
export function watchFolder(
  folder: string,
  onChange: () => void,
  { quietMs = QUIET_MS, lookEveryMs = LOOK_EVERY_MS } = {},
): () => void {
  /** One watcher per folder: Node's recursive watch on Linux misses changes in a folder that was just created. */
  const watchers = new Map<string, FSWatcher>();
  let quiet: NodeJS.Timeout | undefined;

  function forget(path: string): void {
    watchers.get(path)?.close();
    watchers.delete(path);
  }

  function follow(path: string, onEvent: (name: string | null) => void): void {
    if (watchers.has(path)) return;
    try {
      const watcher = watch(path, (_event, name) => onEvent(name));
      watcher.on('error', () => forget(path));
      watchers.set(path, watcher);
    } catch {
      // Gone again, or not there yet: the next check retries.
    }
  }

  function followAll(): void {
    follow(folder, (name) => {
      // A folder that was replaced by another of the same name needs a new watcher.
      if (name !== null) forget(join(folder, name));
      noteChange();
    });
    let names: string[] = [];
    try {
      names = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
        isFolder(folder, entry) ? entry.name : [],
      );
    } catch {
      forget(folder);
    }
    const paths = new Set(names.map((name) => join(folder, name)));
    for (const path of watchers.keys()) if (path !== folder && !paths.has(path)) forget(path);
    for (const path of paths) follow(path, noteChange);
  }

  function noteChange(): void {
    followAll();
    clearTimeout(quiet);
    quiet = setTimeout(onChange, quietMs);
  }

  followAll();
  const looks = setInterval(() => {
    followAll();
    onChange();
  }, lookEveryMs);
  return () => {
    clearTimeout(quiet);
    clearInterval(looks);
    for (const path of [...watchers.keys()]) forget(path);
  };
}

function isFolder(parent: string, entry: Dirent): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  try {
    return statSync(join(parent, entry.name)).isDirectory();
  } catch {
    return false;
  }
}
