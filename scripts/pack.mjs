// `npm run pack`: the packages as they would be published, as tarballs in tarballs/.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SHIPPED_PACKAGES } from './setup/assemble.mjs';
import { buildCode, buildPage, generateDocuments } from './setup/build.mjs';
import { installPackages } from './setup/packages.mjs';
import { distDir, projectDir } from './setup/places.mjs';
import { runCommand, say } from './setup/screen.mjs';
import { withSetupLock } from './setup/setup.mjs';
import { npmCommand } from './setup/tools.mjs';

const tarballsDir = join(projectDir, 'tarballs');

await runCommand(() =>
  withSetupLock(async () => {
    await installPackages();
    await generateDocuments();
    await buildCode();
    await buildPage();
    rmSync(tarballsDir, { recursive: true, force: true });
    mkdirSync(tarballsDir);
    const [npm, ...first] = npmCommand();
    for (const folder of SHIPPED_PACKAGES) {
      const packageDir = join(distDir, folder);
      cpSync(join(projectDir, 'LICENSE'), join(packageDir, 'LICENSE'));
      const output = execFileSync(npm, [...first, 'pack', '--json', '--pack-destination', tarballsDir], {
        cwd: packageDir,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      say(`  tarballs/${JSON.parse(output)[0].filename}`);
    }
  }),
);
