import type { Command } from 'commander';
import { urlOption } from '../options.ts';
import { connectServer, type Session } from '../session.ts';
import { formatTable, safeJson, safeText } from '../text.ts';

export function addModels(program: Command, session: Session): void {
  program
    .command('models')
    .description('List the models that can be asked for; * marks the default.')
    .addOption(urlOption(session.env))
    .option('--json', 'one JSON object a line and model')
    .action(async ({ url, json }: { url: string; json?: true }) => {
      const models = await connectServer(session, url, 0).models({ signal: session.signal });
      if (json) {
        for (const model of models) session.screen.print(safeJson(model));
        return;
      }
      const rows = models.map((model) => [
        `${model.name}${model.isDefault ? ' *' : ''}`,
        model.version,
        model.engine,
        model.precision.toLowerCase(),
        String(model.classCount),
        `${model.input.width}x${model.input.height}`,
        model.heatmap.available ? 'yes' : 'no',
        model.description,
      ]);
      const header = ['MODEL', 'VERSION', 'ENGINE', 'PRECISION', 'CLASSES', 'INPUT', 'HEATMAP', ''];
      session.screen.print(
        formatTable(
          header,
          rows.map((row) => row.map(safeText)),
          [4],
        ),
      );
    });
}
