/** The package.json of a project. */
import type { ProjectOptions } from './new-project-files.ts';

const START_SCRIPT = 'inferql serve ./models';

export function makeManifest({ name, version }: ProjectOptions) {
  return {
    name,
    private: true,
    type: 'module',
    engines: { node: '>=20.20' },
    scripts: {
      start: START_SCRIPT,
      dev: 'vite',
      build: 'tsc && vite build',
      types: 'inferql types --output src/inferql-models.d.ts',
    },
    dependencies: { '@inferql/client': version, inferql: version },
    devDependencies: { typescript: '^5.9.0', vite: '^7.3.0' },
    // onnx-proto, which is no longer maintained, asks for a version with published advisories.
    overrides: { protobufjs: '7.6.6' },
  };
}

export function printManifest(manifest: object): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

export interface CompletedManifest {
  manifest: Record<string, unknown>;
  /** What was missing, such as `scripts.start`. */
  added: string[];
  /** The command that starts the project. */
  start: string;
}

/**
 * Adds the scripts and packages of a project to a package.json, and changes nothing that is there. A text that is not a JSON object is left
 * as it is.
 */
export function completeManifest(text: string, options: ProjectOptions): CompletedManifest {
  const found = parseRecord(text);
  const manifest = { ...found };
  const added: string[] = [];
  const { scripts, dependencies, devDependencies, overrides } = makeManifest(options);
  const installed = { ...readRecord(found?.dependencies), ...readRecord(found?.devDependencies) };
  for (const [field, wanted] of Object.entries({ scripts, dependencies, devDependencies, overrides })) {
    const present = readRecord(found?.[field]);
    // npm refuses an override of a package that the project itself depends on.
    const known = field === 'scripts' ? present : { ...present, ...installed };
    const missing = Object.entries(wanted).filter(([name]) => !Object.hasOwn(known, name));
    if (!found || missing.length === 0) continue;
    manifest[field] = { ...present, ...Object.fromEntries(missing) };
    added.push(...missing.map(([name]) => `${field}.${name}`));
  }
  const startsSystem = readRecord(manifest.scripts).start === START_SCRIPT;
  return { manifest, added, start: startsSystem ? 'npm start' : `npx ${START_SCRIPT}` };
}

function parseRecord(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function readRecord(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
