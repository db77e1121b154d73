import { resolve } from 'node:path';
import type { PreparedModel } from '@inferql/converter/prepared-model';
import type { BaselineRequest, BaselineResponse } from './baseline/plan.ts';
import type { RpcChild } from './child-rpc.ts';
import type { LoadPlan, LoadResult } from './load/plan.ts';
import type { Chart } from './svg.ts';

/** The folder of prepared models and measurements. */
export const STATE_DIR = resolve('.inferql');

/** The context of every scenario. */
export interface Bench {
  /** Fewer and shorter rounds. */
  quick: boolean;
  images: string[];
  /** How many clients send at once, one measurement each. */
  clients: number[];
  model: PreparedModel;
  /** The bare engine, loaded, on all cores. */
  baseline: RpcChild<BaselineRequest, BaselineResponse>;
  load: RpcChild<LoadPlan, LoadResult>;
  /** A folder for this run's files. */
  dir: string;
  print(line: string): void;
}

/** A scenario's results: a table for people, and the same and more for programs. */
export interface Section {
  title: string;
  /** How it was measured, in a sentence or two. */
  how: string;
  columns: string[];
  rows: (string | number)[][];
  data: unknown;
  /** Goals of this scenario; `met` compares the measured figure, not the rounded one. */
  goals?: { goal: string; figure: string; met: boolean }[];
  charts?: { file: string; chart: Chart }[];
}

export type Scenario = (bench: Bench) => Promise<Section[]>;

/** Constant answers; images are prepared as the compared servers prepare theirs, by Pillow. */
export const NOOP_MODEL = {
  name: 'no-op',
  input: { width: 224, height: 224, channels: 3 as const, shortSide: 256, resize: 'pillow-bilinear' },
};
