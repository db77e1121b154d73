/** The context of resolvers: the caller, and the services that they use. */
import type { Principal } from '../access/principal.ts';
import type { PredictionView } from '../predictions/predictions.ts';
import type { Services } from '../resolver-services.ts';

export interface ServerContext {
  caller: Principal;
  services: Services;
  /** Aborted when the client has gone; absent in subscriptions, which end through their iterator. */
  signal: AbortSignal | undefined;
  /** Takes the timings of submitted predictions, for a response header; absent on WebSockets. */
  onSubmitted?(view: PredictionView): void;
}
