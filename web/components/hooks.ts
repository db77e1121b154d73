import type { Connection, Model } from '@inferql/client';
import { useCallback, useEffect, useLayoutEffect, useState, useSyncExternalStore } from 'react';
import type { Api } from '../state/api.ts';
import type { Board } from '../state/board.ts';
import { onTick, readClock } from '../state/clock.ts';
import { loadModels } from '../state/models.ts';
import { type QueueHistory, watchQueue } from '../state/queue.ts';

const MODELS_RETRY_MS = 2_000;
/** No event reports that a model was added or removed. */
const MODELS_REFRESH_MS = 10_000;

/** The board's cards, newest first. */
export function useCards(board: Board) {
  return useSyncExternalStore(board.onChange, board.getCards);
}

/** Whether the page is connected to the server, and how. */
export function useConnection(api: Api) {
  return useSyncExternalStore(api.onConnection, api.getConnection);
}

/** Whether updates arrive. */
export function isConnected(connection: Connection): boolean {
  return connection !== 'idle' && connection !== 'connecting';
}

/** The time in milliseconds, updated each second. */
export function useNow(): number {
  return useSyncExternalStore(onTick, readClock);
}

/** The models, fetched at each new connection, since a restart may bring others, and regularly. */
export function useModels(api: Api): readonly Model[] {
  const [models, setModels] = useState<readonly Model[]>([]);
  const connection = useConnection(api);
  useEffect(() => {
    if (!isConnected(connection)) return;
    let left = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      const loaded = await loadModels(api);
      if (left) return;
      // Cards are not rendered again for the same models.
      if (loaded) setModels((known) => (JSON.stringify(known) === JSON.stringify(loaded) ? known : loaded));
      // A server may be up before its first worker.
      timer = setTimeout(load, loaded?.length ? MODELS_REFRESH_MS : MODELS_RETRY_MS);
    };
    void load();
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [api, connection]);
  return models;
}

/** A model's queue, live. */
export function useQueue(api: Api, model: string | undefined): QueueHistory {
  const [history, setHistory] = useState<QueueHistory>({ now: undefined, past: [] });
  useEffect(() => watchQueue(api, model, setHistory), [api, model]);
  return history;
}

/**
 * The path of the page's address, and a function that navigates without loading the page again. Going back to the board restores
 * its scroll position: the browser would scroll before there is anything to scroll to.
 */
export function usePath(): [string, (path: string) => void] {
  const [place, setPlace] = useState(() => ({ path: location.pathname, scrollY: readScroll() }));
  useEffect(() => {
    history.scrollRestoration = 'manual';
    const read = () => setPlace({ path: location.pathname, scrollY: readScroll() });
    addEventListener('popstate', read);
    addEventListener('pagehide', keepScroll);
    return () => {
      removeEventListener('popstate', read);
      removeEventListener('pagehide', keepScroll);
    };
  }, []);
  useLayoutEffect(() => {
    scrollTo(0, place.scrollY);
  }, [place]);
  const goTo = useCallback((path: string) => {
    keepScroll();
    history.pushState({ isFromBoard: location.pathname === '/' }, '', path);
    setPlace({ path, scrollY: 0 });
  }, []);
  return [place.path, goTo];
}

function keepScroll() {
  history.replaceState({ ...history.state, scrollY }, '');
}

function readScroll(): number {
  const { scrollY } = (history.state ?? {}) as { scrollY?: unknown };
  return typeof scrollY === 'number' ? scrollY : 0;
}
