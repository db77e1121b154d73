import type { Prediction } from '@inferql/client';
import { formatSeconds } from '../state/format.ts';

const NOTHING = '–';

/** Details of one prediction. Each has its position from the start, so that nothing moves when it becomes known. */
export function PredictionFacts({ prediction }: { prediction: Prediction | undefined }) {
  const { model, timings, batchSize, cached, attempts, createdAt } = prediction ?? {};
  const facts: [name: string, value: string | undefined][] = [
    ['Model', model],
    ['Sent at', createdAt && new Date(createdAt).toLocaleTimeString()],
    ['In the queue', formatMs(timings?.queueMs)],
    [
      attempts && attempts > 1 ? `Model run, attempt ${attempts}` : 'Model run',
      cached ? 'none' : formatMs(timings?.inferenceMs),
    ],
    ['Batch', cached ? undefined : describeBatch(batchSize)],
    ['Total', formatMs(timings?.totalMs)],
  ];
  return (
    <dl className="run-facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd title={value}>{value ?? NOTHING}</dd>
        </div>
      ))}
    </dl>
  );
}

function formatMs(ms: number | null | undefined): string | undefined {
  return typeof ms === 'number' ? formatSeconds(ms) : undefined;
}

function describeBatch(size: number | null | undefined): string | undefined {
  if (!size) return undefined;
  return size === 1 ? '1 image' : `${size} images`;
}
