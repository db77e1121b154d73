import { defineSettings } from '../define-settings.ts';
import { integer } from '../value-types.ts';

/** Figures for Prometheus and for scaling. */
export const metrics = defineSettings({
  metricsPort: {
    name: 'METRICS_PORT',
    type: integer({ max: 65_535 }),
    defaultText: 'none: no metrics',
    description:
      'Port on which the server answers `GET /metrics` in Prometheus text format, at the address in `HOST`; 0 selects a free one. It requires no key, so do not expose it. See docs/metrics.md.',
    readBy: ['server'],
  },
  targetWaitMs: {
    name: 'INFERQL_TARGET_WAIT_MS',
    type: integer({ min: 1 }),
    default: 5_000,
    unit: 'ms',
    description:
      'Target time to finish the open work of a model, waiting and running. The metric `inferql_desired_workers` is the number of workers needed for it.',
    readBy: ['server'],
  },
});
