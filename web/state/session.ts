import type { Board } from './board.ts';

const KEY = 'inferql.session';

interface Kept {
  id: string;
  name: string | undefined;
}

/**
 * Keeps the board through a reload of the page, and through a phone that puts the page away: its predictions are remembered for
 * this tab when the page goes, and opened again when it comes back.
 */
export function keepSession(board: Board): void {
  for (const { id, name } of readKept()) board.open(id, name);
  addEventListener('pagehide', () => {
    const kept: Kept[] = board
      .getCards()
      .flatMap(({ prediction, name }) => (prediction ? [{ id: prediction.id, name }] : []));
    try {
      sessionStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // Without storage the board begins empty, as it did before.
    }
  });
}

function readKept(): Kept[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
    if (!Array.isArray(kept)) return [];
    return kept.filter(
      (item): item is Kept => typeof item?.id === 'string' && ['string', 'undefined'].includes(typeof item.name),
    );
  } catch {
    return [];
  }
}
