import type { Model } from '@inferql/client';
import { type CSSProperties, useState } from 'react';
import type { Card } from '../state/card.ts';
import { formatLabel } from '../state/format.ts';
import { type Box, findHeatmapBox } from '../state/heatmap-box.ts';

interface CardPhotoProps {
  card: Card;
  model: Model | undefined;
  busy: boolean;
}

const CHANGE_TEXTS = {
  smaller: 'Sent smaller: it was over the limit',
  converted: 'Sent as JPEG: converted from HEIC',
};

/** The center of the image, with progress and heatmap over it. */
export function CardPhoto({ card, model, busy }: CardPhotoProps) {
  const [size, setSize] = useState<Box>();
  const [brokenUrl, setBrokenUrl] = useState<string>();
  const { name, photoUrl, phase, heatmap } = card;
  // A later URL of the same image may work.
  const broken = brokenUrl !== undefined && brokenUrl === photoUrl;
  const place = model && size && placeHeatmap(findHeatmapBox(model.input, size), size);
  const chosen = card.prediction?.result?.labels.find(({ index }) => index === heatmap?.index);
  const label = chosen && formatLabel(chosen.name);
  return (
    <div className="card-photo" data-heatmap={heatmap?.kind}>
      {photoUrl && !broken ? (
        <img
          src={photoUrl}
          alt={name ?? 'The photo'}
          decoding="async"
          loading="lazy"
          onLoad={({ currentTarget }) =>
            setSize({ width: currentTarget.naturalWidth, height: currentTarget.naturalHeight })
          }
          onError={() => setBrokenUrl(photoUrl)}
        />
      ) : (
        <p className="card-no-photo">
          {!card.isPhotoComing && (name ? 'No preview' : 'The server does not keep photos')}
        </p>
      )}
      {heatmap?.kind === 'shown' && (place || !photoUrl || broken) && (
        <img
          className="card-heatmap"
          src={heatmap.image}
          alt={`Where the model saw: ${label ?? 'the label'}`}
          style={place}
        />
      )}
      {heatmap?.kind === 'unavailable' && <p className="card-note">{heatmap.message}</p>}
      {heatmap?.kind === 'shown' && <p className="card-note">{label}</p>}
      {!heatmap && card.change && <p className="card-note">{CHANGE_TEXTS[card.change]}</p>}
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

/** For the style sheet, which determines how large the image is drawn. */
function placeHeatmap(box: Box, photo: Box): CSSProperties {
  const short = Math.min(photo.width, photo.height);
  return {
    '--short-by-width': short / photo.width,
    '--short-by-height': short / photo.height,
    '--map-width': box.width,
    '--map-height': box.height,
  } as CSSProperties;
}
