import { useCallback, useEffect, useState, useSyncExternalStore } from 'react';
import type { Board } from '../state/board.ts';
import { onTick, readClock } from '../state/clock.ts';
import { loadModels, type Model } from '../state/models.ts';
import { followQueue, type QueueView } from '../state/queue.ts';
import type { Transport } from '../transport/client.ts';

const MODELS_RETRY_MS = 2_000;

/** The board's cards, newest first. */
export function useCards(board: Board) {
  return useSyncExternalStore(board.onChange, board.getCards);
}

/** Whether the page hears from the server. */
export function useConnection(transport: Transport) {
  return useSyncExternalStore(transport.onConnection, transport.getConnection);
}

/** The moment, in milliseconds, read again each second. */
export function useNow(): number {
  return useSyncExternalStore(onTick, readClock);
}

/** The models, asked for at each new connection, since a restart may bring others. */
export function useModels(transport: Transport): readonly Model[] {
  const [models, setModels] = useState<readonly Model[]>([]);
  const connection = useConnection(transport);
  useEffect(() => {
    if (connection !== 'open') return;
    let left = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      const loaded = await loadModels(transport);
      if (left) return;
      if (loaded) setModels(loaded);
      // A server may be there before its first worker.
      if (!loaded?.length) timer = setTimeout(load, MODELS_RETRY_MS);
    };
    void load();
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [transport, connection]);
  return models;
}

/** A model's queue, live. */
export function useQueue(transport: Transport, model: string | undefined): QueueView {
  const [view, setView] = useState<QueueView>({ now: undefined, past: [] });
  useEffect(() => followQueue(transport, model, setView), [transport, model]);
  return view;
}

/** The path of the page's address, and the way to another one without loading the page again. */
export function usePath(): [string, (path: string) => void] {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const read = () => setPath(location.pathname);
    addEventListener('popstate', read);
    return () => removeEventListener('popstate', read);
  }, []);
  const goTo = useCallback((next: string) => {
    history.pushState(null, '', next);
    setPath(next);
    scrollTo(0, 0);
  }, []);
  return [path, goTo];
}
