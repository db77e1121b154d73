import type { Api } from '../state/api.ts';
import { formatSeconds } from '../state/format.ts';
import { isConnected, useConnection, useQueue } from './hooks.ts';
import { Sparkline } from './sparkline.tsx';

const NOTHING = '–';

/** The queue at a glance, live. Numbers keep their positions, so that nothing moves when they change. */
export function QueueStrip({ api, model }: { api: Api; model: string | undefined }) {
  const { now, past } = useQueue(api, model);
  const isStale = !isConnected(useConnection(api));
  const rate = now?.ratePerSecond;
  return (
    <section className="strip" aria-label="Queue" data-stale={isStale}>
      <dl>
        <div>
          <dt>Waiting</dt>
          <dd data-figure="waiting">{now ? now.waiting.toLocaleString('en') : NOTHING}</dd>
          <Sparkline values={past.map(({ waiting }) => waiting)} />
        </div>
        <div>
          <dt>Processing</dt>
          <dd data-figure="processing">{now ? now.processing.toLocaleString('en') : NOTHING}</dd>
          <Sparkline values={past.map(({ processing }) => processing)} />
        </div>
        <div>
          <dt>Rate</dt>
          <dd data-figure="rate">
            {typeof rate === 'number' ? formatRate(rate) : NOTHING}
            {typeof rate === 'number' && <small> /s</small>}
          </dd>
          <Sparkline values={past.map(({ ratePerSecond }) => ratePerSecond ?? 0)} />
        </div>
        <div>
          <dt>Latency</dt>
          <dd data-figure="latency">
            {typeof now?.latencyMs === 'number' ? <Duration ms={now.latencyMs} /> : NOTHING}
          </dd>
          <Sparkline values={past.map(({ latencyMs }) => latencyMs ?? 0)} />
        </div>
        <div>
          <dt>Workers</dt>
          <dd data-figure="workers">{now ? now.workers.length : NOTHING}</dd>
          <dd className="strip-note">
            {typeof now?.capacityPerSecond === 'number' && `up to about ${formatRate(now.capacityPerSecond)} /s`}
          </dd>
        </div>
      </dl>
    </section>
  );
}

/** A large number with a small unit. */
function Duration({ ms }: { ms: number }) {
  const [number, unit] = formatSeconds(ms).split(' ');
  return (
    <>
      {number}
      <small> {unit}</small>
    </>
  );
}

function formatRate(perSecond: number): string {
  return perSecond.toFixed(perSecond < 100 ? 1 : 0);
}
