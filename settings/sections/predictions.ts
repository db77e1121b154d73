import { defineSettings } from '../define-settings.ts';
import { flag, integer, number, pattern, timerMs } from '../value-types.ts';

/** How predictions are queued, shared and reported. A model's own limits are in its `model.json5`. */
export const predictions = defineSettings({
  defaultModel: {
    name: 'INFERQL_DEFAULT_MODEL',
    formerNames: ['DEFAULT_MODEL'],
    type: pattern('the name of a model (a-z, 0-9, _ and -)', /^[a-z0-9][a-z0-9_-]{0,63}$/),
    defaultText: "the default in the repository's `repository.json5`, else the first by name",
    description: 'Model for requests that do not name one.',
    readBy: ['server'],
  },
  maxWaitMs: {
    name: 'INFERQL_MAX_WAIT_MS',
    formerNames: ['MAX_WAIT_MS'],
    type: timerMs(),
    default: 60_000,
    unit: 'ms',
    description: 'Maximum time that a mutation waits for its result. The prediction continues after that.',
    readBy: ['server'],
  },
  share: {
    name: 'INFERQL_SHARE',
    formerNames: ['SHARE'],
    type: flag,
    default: true,
    description: 'Computes identical requests only once while they are in flight.',
    readBy: ['server'],
  },
  shareAcrossTenants: {
    name: 'INFERQL_SHARE_ACROSS_TENANTS',
    formerNames: ['SHARE_ACROSS_TENANTS'],
    type: flag,
    default: false,
    description:
      'Shares identical requests and cached results across tenants. Response times can then reveal to a tenant that another one sent the same image.',
    readBy: ['server'],
  },
  tenantQueueShare: {
    name: 'INFERQL_TENANT_QUEUE_SHARE',
    type: number({ min: 0.01, max: 1 }),
    default: 0.8,
    description:
      'Share of a queue that a single tenant may fill. If several tenants fill it, each may hold less, so that others are still accepted. Callers that are not identified may fill all of it.',
    readBy: ['server'],
  },
  cacheTtlMs: {
    name: 'INFERQL_CACHE_TTL_MS',
    formerNames: ['CACHE_TTL_MS'],
    type: integer(),
    default: 60_000,
    unit: 'ms',
    description: 'How long a result is reused for identical requests (`Prediction.cached`); 0 turns the cache off.',
    readBy: ['server'],
  },
  cancelAbandoned: {
    name: 'INFERQL_CANCEL_ABANDONED',
    formerNames: ['CANCEL_ABANDONED'],
    type: flag,
    default: true,
    description: 'Cancels a waiting prediction if its caller disconnects before receiving its id.',
    readBy: ['server'],
  },
  positionIntervalMs: {
    name: 'INFERQL_POSITION_INTERVAL_MS',
    formerNames: ['POSITION_INTERVAL_MS'],
    type: timerMs(),
    default: 500,
    unit: 'ms',
    description: 'Minimum time between two queue positions sent to one subscription.',
    readBy: ['server'],
  },
  auditIntervalMs: {
    name: 'INFERQL_AUDIT_INTERVAL_MS',
    formerNames: ['AUDIT_INTERVAL_MS'],
    type: timerMs(),
    default: 2_000,
    unit: 'ms',
    description: 'How often a server checks whether it missed messages about open predictions.',
    readBy: ['server'],
  },
});
