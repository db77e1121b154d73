import type { Prediction } from '@inferql/client';
import type { CardHeatmap } from '../state/card.ts';
import { formatLabel, formatShare } from '../state/format.ts';

interface LabelBarsProps {
  labels: NonNullable<Prediction['result']>['labels'];
  heatmap: CardHeatmap | undefined;
  /** Undefined if the model has no heatmaps. */
  onChoose: ((index: number) => void) | undefined;
}

/** The labels as bars. Each is a switch for its heatmap, if the model has heatmaps. */
export function LabelBars({ labels, heatmap, onChoose }: LabelBarsProps) {
  return (
    <ol className="bars">
      {labels.map(({ name, index, score }) => {
        const row = (
          <>
            <span className="bar-fill" style={{ width: `${score * 100}%` }} />
            {/* Cut at its end, which is at the left in some scripts. */}
            <span className="bar-name" dir="auto" title={onChoose ? undefined : formatLabel(name)}>
              {formatLabel(name)}
            </span>
            <span className="bar-share">{formatShare(score)}</span>
          </>
        );
        return (
          <li key={index}>
            {onChoose ? (
              <button
                type="button"
                className="bar"
                aria-pressed={heatmap?.index === index}
                title={`Show where the model saw: ${formatLabel(name)}`}
                onClick={() => onChoose(index)}
              >
                {row}
              </button>
            ) : (
              <div className="bar">{row}</div>
            )}
          </li>
        );
      })}
    </ol>
  );
}
