import { defineSettings } from '../define-settings.ts';
import { integer } from '../value-types.ts';

/** Figures for Prometheus and for scaling. */
export const metrics = defineSettings({
  metricsPort: {
    name: 'METRICS_PORT',
    type: integer({ max: 65_535 }),
    defaultText: 'none: no metrics',
    description:
      'Port on which the server answers `GET /metrics` in Prometheus text format, at the address in `HOST`; 0 takes a free one. It asks for no key: do not publish it. See docs/metrics.md.',
    readBy: ['server'],
  },
  targetWaitMs: {
    name: 'INFERQL_TARGET_WAIT_MS',
    type: integer({ min: 1 }),
    default: 5_000,
    unit: 'ms',
    description:
      'The time in which the waiting work of a model should be done. The metric `inferql_desired_workers` is the number of workers for that.',
    readBy: ['server'],
  },
});
