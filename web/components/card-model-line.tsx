import type { Prediction } from '@inferql/client';
import { useState } from 'react';
import type { Card } from '../state/card.ts';
import { copyText } from '../state/clipboard.ts';
import { formatSeconds } from '../state/format.ts';
import { predictionPath } from '../state/location.ts';
import { LinkIcon } from './icons.tsx';
import { PageLink } from './page-link.tsx';

interface CardModelLineProps {
  card: Card;
  /** The name of the model, before the server has answered, too. */
  model: string | undefined;
  alone: boolean;
  goTo(path: string): void;
}

/** Details of the answer, and the link that opens it again. The line exists from the start, so that nothing moves. */
export function CardModelLine({ card: { prediction }, model, alone, goTo }: CardModelLineProps) {
  return (
    <div className="card-model-line">
      <p
        title={
          prediction?.cached ? 'Shared with an identical photo, sent at the same time or shortly before' : undefined
        }
      >
        {prediction?.status === 'SUCCEEDED' ? describeRun(prediction) : (model ?? '')}
      </p>
      {prediction && (
        <span className="card-links">
          {alone ? (
            <CopyLink path={predictionPath(prediction.id)} />
          ) : (
            <PageLink to={predictionPath(prediction.id)} goTo={goTo} className="card-link">
              Open
            </PageLink>
          )}
        </span>
      )}
    </div>
  );
}

function describeRun({ model, timings, batchSize, cached }: Prediction): string {
  if (cached) return `${model} · shared result`;
  const parts = [model];
  if (typeof timings?.totalMs === 'number') parts.push(`in ${formatSeconds(timings.totalMs)}`);
  if (batchSize) parts.push(batchSize === 1 ? 'not batched' : `batch of ${batchSize}`);
  return parts.join(' · ');
}

function CopyLink({ path }: { path: string }) {
  const [outcome, setOutcome] = useState<string>();
  const copy = async () => {
    const isCopied = await copyText(new URL(path, location.href).href);
    setOutcome(isCopied ? 'Copied' : 'Could not copy');
    setTimeout(() => setOutcome(undefined), 2_000);
  };
  // Only a page with a secure origin may write to the clipboard; the page's address can be copied by hand.
  if (!navigator.clipboard) return null;
  return (
    <button type="button" className="button button-quiet copy-link" onClick={() => void copy()}>
      <LinkIcon />
      {outcome ?? 'Copy link'}
    </button>
  );
}
