import { type FSWatcher, watch } from 'node:fs';

const QUIET_MS = 300;
/** Volumes of some kinds tell of no change. */
const LOOK_EVERY_MS = 30_000;

/**
 * Calls `onChange` when something under the folder has changed and then been quiet for a moment, so that a model that is being
 * copied is seen once and whole; and every half minute, whatever happens.
 * @returns a function that ends it
 */
export function watchFolder(folder: string, onChange: () => void): () => void {
  let quiet: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;
  const open = () => {
    try {
      watcher = watch(folder, { recursive: true }, () => {
        clearTimeout(quiet);
        quiet = setTimeout(onChange, QUIET_MS);
      });
      watcher.on('error', () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch {
      // The folder is not there yet; the next look tries again.
    }
  };
  open();
  const looks = setInterval(() => {
    if (!watcher) open();
    onChange();
  }, LOOK_EVERY_MS);
  return () => {
    watcher?.close();
    clearTimeout(quiet);
    clearInterval(looks);
  };
}
