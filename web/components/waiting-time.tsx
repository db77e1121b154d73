import { formatSeconds } from '../state/format.ts';
import { useNow } from './hooks.ts';

/** Time since a card was created, in whole seconds. Hidden from screen readers, since it changes each second. */
export function WaitingTime({ sinceMs }: { sinceMs: number }) {
  const seconds = Math.max(0, Math.floor((useNow() - sinceMs) / 1_000));
  return (
    <p className="card-waiting" aria-hidden="true">
      {seconds > 0 ? `${formatSeconds(seconds * 1_000).replace('.0 s', ' s')} so far` : ' '}
    </p>
  );
}
