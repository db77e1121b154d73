/** Reads what the Lua steps return: a prediction's fields as a JSON text, and its place in the queue. */
import { PredictionState } from '../contract.ts';

export interface Snapshot {
  state: PredictionState;
  /** 1 is the next to start; undefined if the prediction does not wait. */
  position: number | undefined;
}

/** @param text JSON of alternating fields and values, as HGETALL gives them inside a script */
export function parseState(text: string): PredictionState {
  const flat = JSON.parse(text) as string[];
  const fields: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) fields[flat[i]!] = flat[i + 1]!;
  return PredictionState.parse(fields);
}

/** `false` in Lua arrives as null. */
export function parseSnapshot(reply: unknown): Snapshot | null {
  if (reply === null) return null;
  const [text, rank] = reply as [string, number | null];
  return { state: parseState(text), position: rank === null ? undefined : rank + 1 };
}
