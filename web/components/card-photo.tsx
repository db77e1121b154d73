import { useState } from 'react';
import type { Card } from '../state/card.ts';
import { type Box, findHeatmapBox } from '../state/heatmap-box.ts';
import type { Model } from '../state/models.ts';

interface CardPhotoProps {
  card: Card;
  model: Model | undefined;
  busy: boolean;
}

/** The photograph's centre square, which is what a cropping model looks at, with progress and heatmap over it. */
export function CardPhoto({ card, model, busy }: CardPhotoProps) {
  const [size, setSize] = useState<Box>();
  const [broken, setBroken] = useState(false);
  const { name, photoUrl, phase, heatmap } = card;
  const box = model && findHeatmapBox(model.input, size ?? { width: 1, height: 1 });
  const label = card.prediction?.result?.labels.find(({ index }) => index === heatmap?.index)?.name;
  return (
    <div className="card-photo" data-heatmap={heatmap?.kind}>
      {photoUrl && !broken ? (
        <img
          src={photoUrl}
          alt={name ?? 'The photograph'}
          decoding="async"
          onLoad={({ currentTarget }) =>
            setSize({ width: currentTarget.naturalWidth, height: currentTarget.naturalHeight })
          }
          onError={() => setBroken(true)}
        />
      ) : (
        <p className="card-no-photo">{name ? 'No preview' : 'The server keeps no photographs'}</p>
      )}
      {heatmap?.kind === 'shown' && box && (
        <img
          className="card-heatmap"
          src={heatmap.image}
          alt={`Where the model saw: ${label ?? 'the label'}`}
          style={{ width: `${box.width * 100}%`, height: `${box.height * 100}%` }}
        />
      )}
      {heatmap?.kind === 'unavailable' && <p className="card-note">{heatmap.message}</p>}
      {heatmap?.kind === 'shown' && <p className="card-note">{label}</p>}
      {phase.kind === 'uploading' ? (
        <div
          className="card-progress"
          role="progressbar"
          aria-label={`Upload of ${name}`}
          aria-valuenow={Math.floor(phase.sent * 100)}
          aria-valuemin={0}
          aria-valuemax={100}
        >
          <span style={{ width: `${phase.sent * 100}%` }} />
        </div>
      ) : (
        busy && <div className="card-progress card-progress-open" aria-hidden="true" />
      )}
    </div>
  );
}
