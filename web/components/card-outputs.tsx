import type { PredictionResult } from '@inferql/client';
import { describeOutputs } from '../state/outputs.ts';
import { LabelBars } from './label-bars.tsx';

/** A card has room for a few per head; the API gives all. */
const LABELS_PER_HEAD = 3;

/** What a result has besides its labels: a further head as bars, the rest by name and size. Nothing for most models. */
export function CardOutputs({ result }: { result: PredictionResult }) {
  const others = describeOutputs(result);
  const heads = result.heads ?? [];
  if (heads.length === 0 && others === undefined) return null;
  return (
    <div className="card-outputs">
      {heads.map(({ name, labels, threshold }) => (
        <section key={name} aria-label={name}>
          <p className="head-name">{name}</p>
          {labels.length > 0 ? (
            <LabelBars labels={labels.slice(0, LABELS_PER_HEAD)} heatmap={undefined} onChoose={undefined} />
          ) : (
            <p className="head-empty">{threshold === null ? 'No label.' : `No label reaches ${threshold}.`}</p>
          )}
        </section>
      ))}
      {others && <p className="other-outputs">{others}</p>}
    </div>
  );
}
