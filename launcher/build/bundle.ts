/** Joins each program and what it imports into a few files, because Node spends most of a start on finding and loading modules. */
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { Plugin } from 'esbuild';
import { SHIPPED_PACKAGES } from './dist-packages.ts';

const BUNDLES = 'bundles';
const PROGRAMS = ['server/main', 'worker/main', 'worker/container-health-check', 'converter/main', 'cli/main'] as const;
type Program = (typeof PROGRAMS)[number];
/** They load native code or files next to their modules; h5wasm is large, and only needed to read HDF5 files. */
const EXTERNAL = ['sharp', 'onnxruntime-node', '@tensorflow/*', 'h5wasm'];
/** A program that a module starts as a process or a thread. */
const CHILD_PROGRAM = /new URL\('(\.\/[\w-]+)\.js', import\.meta\.url\)/g;
/** What is CommonJS calls `require` for Node's modules. */
const BANNER =
  "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);";

/** The file that runs a program. @param builtDir the compiled packages @param program `server/main` */
export function bundledProgram(builtDir: string, program: Program): string {
  return join(builtDir, BUNDLES, `${program}.js`);
}

/**
 * Bundles the programs of compiled packages, and the programs that they start, into `bundles/` of the same folder. They are for this
 * folder only and are never published: they contain dependencies, whose licenses are in node_modules, and read files of the packages next to them.
 * @param outDir the compiled packages
 * @throws if a program or something that it imports is missing
 */
export async function bundlePrograms(outDir: string): Promise<void> {
  const root = realpathSync(outDir);
  const programs = [...PROGRAMS, ...findChildPrograms(root)];
  // Loaded here, since most starts do not build.
  const { build, stop } = await import('esbuild');
  await build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(programs.map((path) => [bundleOf(path), join(root, `${path}.js`)])),
    outdir: join(root, BUNDLES),
    bundle: true,
    // What is imported when it is needed stays a separate file.
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    platform: 'node',
    format: 'esm',
    target: 'node20.20',
    external: EXTERNAL,
    // Otherwise graphql looks at each value that is of another type for a second copy of itself, several times per field.
    define: { 'process.env.NODE_ENV': '"production"' },
    banner: { js: BANNER },
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'silent',
    plugins: [
      { name: 'places-of-modules', setup: (build) => keepPlaces(build, root) },
      { name: 'one-graphql', setup: takeGraphqlModules },
    ],
  });
  await stop();
}

/** `worker/engine-process-main` of `worker/engines/process/engine-process-main`: all bundles are two folders deep. */
function bundleOf(path: string): string {
  return `${path.split('/')[0]}/${basename(path)}`;
}

function findChildPrograms(root: string): string[] {
  return SHIPPED_PACKAGES.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.js'))
      .flatMap((path) => {
        const source = readFileSync(join(root, folder, path), 'utf8');
        return [...source.matchAll(CHILD_PROGRAM)].map(([, name]) => join(folder, dirname(path), name!));
      }),
  );
}

/**
 * Takes graphql's ES modules, also for what requires it: of its CommonJS files each module that imports it would get a separate object with a
 * getter per export, 42 times 300, and each use would go through two getters.
 */
function takeGraphqlModules(build: Parameters<Plugin['setup']>[0]): void {
  build.onResolve({ filter: /^graphql(\/|$)/ }, async ({ path, ...options }) => {
    if (options.pluginData === 'resolved') return undefined;
    const { errors, path: file } = await build.resolve(path, { ...options, pluginData: 'resolved' });
    if (errors.length > 0) return { errors };
    return { path: file.replace(/\.js$/, '.mjs'), sideEffects: false };
  });
}

/** Modules find files and packages by their own place, which differs from the bundle's; programs that they start are bundled, too. */
function keepPlaces(build: Parameters<Plugin['setup']>[0], root: string): void {
  build.onLoad({ filter: /\.js$/ }, ({ path }) => {
    const inside = relative(root, path);
    if (!SHIPPED_PACKAGES.includes(inside.split('/')[0]!)) return undefined;
    const source = readFileSync(path, 'utf8');
    if (!source.includes('import.meta.')) return undefined;
    const place = `new URL('../../${inside}', import.meta.url)`;
    const contents = source
      .replaceAll(CHILD_PROGRAM, (_, name) => `new URL('../${bundleOf(join(dirname(inside), name))}.js', BUNDLE_URL)`)
      .replaceAll('import.meta.url', `${place}.href`)
      .replaceAll('import.meta.dirname', `import.meta.dirname + '/../../${dirname(inside)}'`)
      .replaceAll('BUNDLE_URL', 'import.meta.url');
    return { contents, loader: 'js' };
  });
}
