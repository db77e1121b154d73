import { useCallback, useEffect, useState, useSyncExternalStore } from 'react';
import type { Board } from '../state/board.ts';
import { loadModels, type Model } from '../state/models.ts';
import { followQueue, type QueueView } from '../state/queue.ts';
import type { Transport } from '../transport/client.ts';

/** The board's cards, newest first. */
export function useCards(board: Board) {
  return useSyncExternalStore(board.onChange, board.getCards);
}

/** Whether the page hears from the server. */
export function useConnection(transport: Transport) {
  return useSyncExternalStore(transport.onConnection, transport.getConnection);
}

/** The moment, read again every so often while `running`. */
export function useNow(intervalMs: number, running: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!running) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), intervalMs);
    return () => clearInterval(timer);
  }, [intervalMs, running]);
  return now;
}

/** The models, asked for at each new connection, since a restart may bring others. */
export function useModels(transport: Transport): readonly Model[] {
  const [models, setModels] = useState<readonly Model[]>([]);
  const connection = useConnection(transport);
  useEffect(() => {
    if (connection !== 'open') return;
    let left = false;
    void loadModels(transport).then((loaded) => {
      if (loaded && !left) setModels(loaded);
    });
    return () => {
      left = true;
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
