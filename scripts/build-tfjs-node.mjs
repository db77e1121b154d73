/**
 * Builds the native part of @tensorflow/tfjs-node from packages of npm and PyPI, for the engine 'tensorflow'. Its own install
 * step fetches libtensorflow from another host, which many networks do not let through.
 *
 *   node scripts/build-tfjs-node.mjs
 *
 * Needs Linux on x64, python3 with pip, and g++. Takes 207 MB of download and 590 MB of disk under .inferql/tensorflow.
 * A second call only looks whether all is there.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A wheel whose C interface serves tfjs-node 4.22. */
const WHEEL = 'tensorflow-cpu==2.15.1';
const WHEEL_SHA256 = '54660c074d7241a503e81edfd9f5ef5af88f64051b72e2945f26318c790f2d26';
const NAPI_VERSION = 8;
/** What the binding includes, directly or not, of the 9,899 headers of the wheel. */
const HEADERS = ['tensorflow/c/', 'tensorflow/core/platform/', 'tensorflow/core/framework/', 'tsl/'];

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const home = join(root, '.inferql', 'tensorflow', `${WHEEL.split('==')[1]}-napi${NAPI_VERSION}`);
const require = createRequire(join(root, 'package.json'));
const run = promisify(execFile);

const EXTRACT = `
import sys, zipfile
wheel, target, *headers = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        is_header = any(name.startswith('tensorflow/include/' + header) for header in headers)
        is_library = name in ('tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2')
        if is_header or is_library:
            archive.extract(name, target)
`;

async function exists(path) {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

function packageDir(name) {
  return dirname(require.resolve(`${name}/package.json`));
}

/** The libraries and the binding in a separate folder, which gets its name only once it is complete. */
async function build(tfjsNode) {
  const staging = `${home}.${process.pid}.partial`;
  await rm(staging, { recursive: true, force: true });
  await mkdir(join(staging, 'lib'), { recursive: true });
  try {
    console.log(`pulling ${WHEEL} (207 MB)`);
    const requirements = join(staging, 'requirements.txt');
    await writeFile(requirements, `${WHEEL} --hash=sha256:${WHEEL_SHA256}\n`);
    const target = '--implementation cp --python-version 3.11 --abi cp311 --platform manylinux2014_x86_64'.split(' ');
    const options = ['--no-deps', '--no-cache-dir', '--only-binary=:all:', '--disable-pip-version-check', '--quiet'];
    await run('python3', ['-m', 'pip', 'download', ...options, ...target, '-r', requirements, '-d', staging]);
    const wheel = (await readdir(staging)).find((name) => name.endsWith('.whl'));

    console.log('unpacking');
    await run('python3', ['-c', EXTRACT, join(staging, wheel), staging, ...HEADERS]);
    const unpacked = join(staging, 'tensorflow');
    for (const library of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']) {
      await rename(join(unpacked, library), join(staging, 'lib', library));
    }

    console.log('compiling the binding');
    const sources = (await readdir(join(tfjsNode, 'binding')))
      .filter((name) => name.endsWith('.cc'))
      .map((name) => join(tfjsNode, 'binding', name));
    await run('g++', [
      ...['-std=c++17', '-O2', '-shared', '-fPIC', `-DNAPI_VERSION=${NAPI_VERSION}`],
      ...['-I', join(unpacked, 'include'), '-I', join(packageDir('node-api-headers'), 'include'), '-I', tfjsNode],
      ...sources,
      ...['-o', join(staging, 'tfjs_binding.node')],
      ...['-L', join(staging, 'lib'), '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
      `-Wl,-rpath,${join(home, 'lib')}`,
    ]);
    for (const rest of [wheel, 'requirements.txt', 'tensorflow']) {
      await rm(join(staging, rest), { recursive: true });
    }
    await rename(staging, home).catch(async (error) => {
      // Another call may have been faster; what has the name is whole.
      if (!(await exists(join(home, 'tfjs_binding.node')))) throw error;
    });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Puts the binding where tfjs-node looks for it; `npm ci` takes it away each time. */
async function install(tfjsNode) {
  const folder = join(tfjsNode, 'lib', `napi-v${NAPI_VERSION}`);
  const staging = join(folder, `.${process.pid}.partial`);
  await mkdir(folder, { recursive: true });
  await copyFile(join(home, 'tfjs_binding.node'), staging);
  await rename(staging, join(folder, 'tfjs_binding.node'));
}

async function main() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`this script supports only Linux on x64, not ${process.platform} on ${process.arch}`);
  }
  let tfjsNode;
  try {
    tfjsNode = packageDir('@tensorflow/tfjs-node');
  } catch {
    throw new Error('@tensorflow/tfjs-node is not installed: run npm install with optional packages first');
  }
  if (!(await exists(join(home, 'tfjs_binding.node')))) await build(tfjsNode);
  await install(tfjsNode);
  console.log('the engine tensorflow is ready');
}

try {
  await main();
} catch (error) {
  console.error(`tfjs-node could not be built: ${error.stderr || error.message}`);
  process.exitCode = 1;
}
