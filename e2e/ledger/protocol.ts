/** The messages between a test and the ledger's process. */

/** A state, terminal or not, as a client saw it. */
export interface Sighting {
  id: string;
  status: string;
  /** Class of the best label, if there is a result. */
  best?: number | undefined;
  errorCode?: string | undefined;
  attempts: number;
}

export type LedgerRequest =
  /** A client was given this id: the prediction is accepted. `expected` is the class that its picture must get. */
  | { type: 'answered'; id: string; expected?: number | undefined }
  /** A client saw a state. `watch` names one uninterrupted stream of states; nothing may follow the end within it. */
  | ({ type: 'seen'; watch: string; via: string } & Sighting)
  /** A subscription completed, which it may do only after the end was seen. */
  | { type: 'completed'; watch: string; id: string }
  /** Asks every server for every id until all have ended, and answers with the verdict. With keys, each of them, since an id is known to its tenant alone. */
  | { type: 'judge'; urls: string[]; timeoutMs: number; keys: string[] };

export interface Verdict {
  type: 'verdict';
  /** Predictions whose id reached a client. */
  answered: number;
  /** Terminal states seen, by anyone. */
  sightings: number;
  ended: Record<string, number>;
  /** Ids that never reached an end, or that a server no longer knows. */
  lost: string[];
  /** Ids of which two different ends were seen, or anything else after an end. */
  contradictory: string[];
  /** Subscriptions that completed without an end. */
  missed: string[];
  /** Ids with the answer of another image. */
  wrong: string[];
  /** Ids that took more than one attempt. */
  retried: string[];
}
