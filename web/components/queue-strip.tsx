import type { QueueView } from '../state/queue.ts';
import { formatSeconds } from '../state/words.ts';
import { Sparkline } from './sparkline.tsx';

const NOTHING = '–';

/** The queue at a glance, live. Numbers keep their places, so that nothing moves when they change. */
export function QueueStrip({ view: { now, past } }: { view: QueueView }) {
  const rate = now?.ratePerSecond;
  return (
    <section className="strip" aria-label="The queue now">
      <dl>
        <div>
          <dt>Waiting</dt>
          <dd data-figure="waiting">{now ? now.waiting.toLocaleString('en') : NOTHING}</dd>
          <Sparkline values={past.map(({ waiting }) => waiting)} />
        </div>
        <div>
          <dt>At work</dt>
          <dd data-figure="processing">{now ? now.processing.toLocaleString('en') : NOTHING}</dd>
          <Sparkline values={past.map(({ processing }) => processing)} />
        </div>
        <div>
          <dt>Rate</dt>
          <dd data-figure="rate">
            {typeof rate === 'number' ? rate.toFixed(rate < 100 ? 1 : 0) : NOTHING}
            <small> /s</small>
          </dd>
          <Sparkline values={past.map(({ ratePerSecond }) => ratePerSecond ?? 0)} />
        </div>
        <div>
          <dt>Latency</dt>
          <dd data-figure="latency">{typeof now?.latencyMs === 'number' ? formatSeconds(now.latencyMs) : NOTHING}</dd>
          <Sparkline values={past.map(({ latencyMs }) => latencyMs ?? 0)} />
        </div>
        <div>
          <dt>Workers</dt>
          <dd data-figure="workers">{now ? now.workers.length : NOTHING}</dd>
          <Sparkline values={past.map(({ workers }) => workers.length)} />
        </div>
      </dl>
    </section>
  );
}
