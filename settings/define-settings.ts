/** Defines settings, and reads those of one process. */
import type { ValueType } from './value-types.ts';

/** Who reads a setting. `launcher` is `npm start` and the other commands of a clone. */
export type Reader = 'server' | 'worker' | 'launcher' | 'cli' | 'tests';

export interface Setting<Value = unknown> {
  /** The environment variable. */
  readonly name: string;
  /** Earlier names of the variable. They still work, with a warning. */
  readonly formerNames?: readonly string[];
  readonly type: ValueType<Value>;
  /** The value without the variable. A function if it depends on the machine. Left out: undefined. */
  readonly default?: Value | (() => Value);
  /** The default in words, for the documentation, if its value is not clear enough. */
  readonly defaultText?: string;
  readonly unit?: 'bytes' | 'MiB' | 'ms' | 's' | 'pixels';
  /** One or two sentences: what it does, and why one would change it. */
  readonly description: string;
  readonly readBy: readonly Reader[];
  /** It holds a secret: its value is not repeated in messages. */
  readonly secret?: boolean;
  /** Passed between InferQL's processes, or for tests: not in the documentation. */
  readonly internal?: boolean;
}

export type SettingTable = Record<string, Setting>;

type TypeOf<S> = S extends { type: ValueType<infer Value> } ? Value : never;
type ValueOf<S> = S extends { default: unknown } ? TypeOf<S> : TypeOf<S> | undefined;

/** The values of the settings in a table that one part reads. */
export type SettingValues<Table extends SettingTable, Part extends Reader> = {
  -readonly [Key in keyof Table as Part extends Table[Key]['readBy'][number] ? Key : never]: ValueOf<Table[Key]>;
};

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Types a table of settings. The keys are the names that the code uses.
 * @throws Error if two settings share a name
 * @example
 * const table = defineSettings({
 *   maxImages: { name: 'INFERQL_MAX_IMAGES', type: integer({ min: 1 }), default: 32, description: 'Most images.', readBy: ['server'] },
 * });
 */
export function defineSettings<const Table extends SettingTable>(table: Table): Table {
  const names = Object.values(table).flatMap(({ name, formerNames = [] }) => [name, ...formerNames]);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice) throw new Error(`two settings are named ${twice}`);
  return table;
}

/** Environment variables with wrong values; `problems` has a sentence for each. */
export class InvalidConfigurationError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`Invalid configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'InvalidConfigurationError';
    this.problems = problems;
  }
}

/**
 * Reads the settings of one part from environment variables. An empty variable counts as not set, as compose files need it.
 * @param otherProblems problems that the caller found, to be reported together
 * @throws InvalidConfigurationError that names each wrong variable, its value and what was expected
 */
export function readTable<Table extends SettingTable, Part extends Reader>(
  table: Table,
  part: Part,
  env: Environment,
  otherProblems: readonly string[] = [],
): SettingValues<Table, Part> {
  const problems = [...otherProblems];
  const values: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(table)) {
    if (!setting.readBy.includes(part)) continue;
    const given = [setting.name, ...(setting.formerNames ?? [])].find((name) => env[name]);
    if (given === undefined) {
      values[key] = typeof setting.default === 'function' ? setting.default() : setting.default;
      continue;
    }
    values[key] = setting.type.parse(env[given]!);
    if (values[key] === undefined) {
      const value = setting.secret ? 'has an invalid value' : `is '${env[given]}'`;
      problems.push(`${given} ${value}: expected ${setting.type.expected}.`);
    }
  }
  if (problems.length > 0) throw new InvalidConfigurationError(problems);
  return values as SettingValues<Table, Part>;
}

/** The environment with each former name replaced by the current one, for child processes that should not warn again. */
export function renameFormerSettings(table: SettingTable, env: Environment): Record<string, string | undefined> {
  const renamed: Record<string, string | undefined> = { ...env };
  for (const { name, formerNames = [] } of Object.values(table)) {
    for (const former of formerNames) {
      if (env[former]) renamed[name] ||= env[former];
      delete renamed[former];
    }
  }
  return renamed;
}
