/** `npm run build`: dist/ and the page, and nothing else, which is all that the container image needs. */
import type { Project } from '../project.ts';
import { buildProject, withSetupLock } from '../setup/setup.ts';

export async function build(project: Project): Promise<void> {
  await withSetupLock(project, () => buildProject(project));
}
