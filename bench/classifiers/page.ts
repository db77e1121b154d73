import type { ModelList } from './model-lists.ts';
import type { Measured, Row } from './rows.ts';

const HEAD = `# Classifiers of keras.applications and torchvision

How closely InferQL reproduces the models of the two large collections. Each model was built by its framework, written by the framework's exporters,
added unchanged, and compared with the framework on the same pixels. A cell has the largest difference of a probability on four images, and images
per second of processor time on one thread. The best label is the framework's on each image, unless a cell says on how many. All models run on
onnxruntime in float32, the engine that a worker chooses.

**The weights are random**, because published weights could not be downloaded for this measurement. Their scale keeps activations alive, batch
statistics are taken from the images, and the last layer makes answers differ. The machine also did other work, so rely on the ratios of the
rates only. For a whole system, see [measurements](measurements.md).

\`npm run bench -- classifiers\` writes this page from [its rows](../bench/classifiers/rows.jsonl). The command measures one model after the other, from
small to large, and continues from the place where it stopped. What has not been measured is listed below each table.

\`\`\`sh
python3.11 -m venv torch && torch/bin/pip install -r bench/classifiers/requirements-torchvision.txt
for version in 2 3; do
  python3.11 -m venv keras$version
  keras$version/bin/pip install -r bench/classifiers/requirements-keras$version.txt
  keras$version/bin/pip install --no-deps -r bench/classifiers/requirements-exporters.txt
done
npm run bench -- classifiers --python torch/bin/python --framework torchvision
npm run bench -- classifiers --python keras3/bin/python --framework keras  # or keras2/bin/python
\`\`\`

| form | written by |
|---|---|
| \`keras\`, \`h5\` | \`model.save('model.keras')\`, \`model.save('model.h5')\` |
| \`tfjs-layers\` | \`tensorflowjs_converter\`, layers model |
| \`tfjs-graph\` | \`tensorflowjs_converter\`, graph model of the SavedModel, with \`TF_ENABLE_ONEDNN_OPTS=0\` |
| \`onnx\` | Keras 3: \`model.export('model.onnx', format='onnx')\`; Keras 2: tf2onnx |
| \`onnx-dynamo\`, \`onnx-torchscript\` | \`torch.onnx.export(…, dynamo=True)\` and \`dynamo=False\` |
`;

const FORMS = ['keras', 'h5', 'tfjs-layers', 'tfjs-graph', 'onnx', 'onnx-dynamo', 'onnx-torchscript'];

/** How far the framework's and the served answers are from those of the same model in float64, by model and major version, for differences above 1e-4. */
const EXPLAINED: Readonly<Record<string, readonly [framework: string, served: string]>> = {
  'MobileNetV2, Keras 2': ['5.6e-5', '4.5e-5'],
  'EfficientNetV2M, Keras 2': ['5.9e-5', '4.4e-5'],
  'EfficientNetV2L, Keras 2': ['1.1e-4', '3.4e-5'],
  'RegNetX032, Keras 2': ['7.3e-5', '7.4e-5'],
  'RegNetY016, Keras 2': ['1.7e-4', '2.0e-4'],
  'RegNetY064, Keras 2': ['7.2e-5', '1.4e-4'],
  'RegNetY120, Keras 2': ['8.7e-5', '4.4e-5'],
  'ResNet101, Keras 2': ['1.6e-4', '7.2e-5'],
  'ResNet152V2, Keras 3': ['1.3e-4', '4.3e-5'],
  'ResNet152, Keras 2': ['2.7e-4', '1.3e-4'],
  'ResNet152, Keras 3': ['3.4e-4', '1.0e-4'],
  'ResNetRS152, Keras 2': ['9.6e-5', '9.0e-5'],
  'ResNetRS200, Keras 2': ['2.7e-4', '1.1e-4'],
  'ResNetRS270, Keras 2': ['3.1e-4', '6.6e-4'],
  'ResNetRS350, Keras 2': ['1.0e-3', '4.8e-4'],
  'ResNetRS420, Keras 2': ['1.6e-3', '1.6e-3'],
  'RegNetX160, Keras 2': ['8.9e-5', '3.3e-5'],
  'ResNet101, Keras 3': ['1.3e-4', '1.1e-4'],
  'resnet101, PyTorch 2': ['8.9e-5', '8.7e-5'],
  'resnet152, PyTorch 2': ['1.7e-4', '7.8e-5'],
};

/** The explanation of a row's difference, if it is above 1e-4 and has one. */
export function explain(row: Row): string | undefined {
  if (!isMeasured(row) || row.difference <= 1e-4) return undefined;
  const [framework = ''] = row.versions.split(' ');
  const distances = EXPLAINED[`${row.model}, ${row.versions.split('.')[0]}`];
  if (!distances) return undefined;
  const served = framework === 'Keras' ? 'served' : 'of onnxruntime';
  return `float32 rounds on both sides. From the same model in float64, the answers of ${framework} are off by ${distances[0]}, those ${served} by ${distances[1]}.`;
}

/** Why an exporter fails, by what it says. */
const EXPORTER_FAULTS: readonly [says: RegExp, why: string][] = [
  [/Unsupported Ops.*\bErfc\b/, 'tfjs has no Erfc, with which TensorFlow computes GELU'],
  [
    /Unsupported Ops.*PartitionedCall/,
    "Keras 2 compiles grouped convolutions into functions, which tfjs' converter does not take apart",
  ],
  [/process of the framework was killed/, 'it took more than 22 GB of memory'],
];

/** Why a file was not served: what the exporter or the converter said, and the reason of an exporter's fault; undefined if the reason is not known. */
export function explainRefusal(refused: string): string | undefined {
  // The second way out is for models whose .keras file is refused, too.
  if (!refused.startsWith('the exporter fails')) return refused.split('. If that was refused')[0];
  const why = EXPORTER_FAULTS.find(([says]) => says.test(refused))?.[1];
  return why && `${refused} (${why})`;
}

/** One line for all models of a form that were refused with the same words. */
function describeRefused(rows: readonly Row[]): string[] {
  const models = new Map<string, string[]>();
  for (const row of rows) {
    if (!('refused' in row)) continue;
    const key = `\`${row.form}\`: ${explainRefusal(row.refused) ?? row.refused}`;
    models.set(key, [...(models.get(key) ?? []), row.model]);
  }
  return [...models].map(([key, names]) => `- ${names.join(', ')}, ${key}`);
}

const isMeasured = (row: Row): row is Row & Measured => 'difference' in row;

/** docs/classifiers.md: a table per framework, with a line per model and a column per form. */
export function formatPage(rows: readonly Row[], lists: readonly ModelList[]): string {
  const versions = [...new Set(rows.map((row) => row.versions))].sort();
  const parts = versions.map((version) => {
    const ofVersion = rows.filter((row) => row.versions === version);
    return formatFramework(
      ofVersion,
      lists.find((list) => list.versions === version),
    );
  });
  return `${[HEAD, ...parts].join('\n')}`;
}

/** Files of this size and more have a line with what adding them takes. */
const LARGE_MEGABYTES = 500;

function formatFramework(rows: readonly Row[], list: ModelList | undefined): string {
  const forms = [...(list?.forms ?? new Set(rows.map((row) => row.form)))];
  forms.sort((a, b) => FORMS.indexOf(a) - FORMS.indexOf(b));
  const models = [...new Set(rows.map((row) => row.model))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const lines = models.map((model) => {
    const cells = forms.map((form) => describe(rows.find((row) => row.model === model && row.form === form)));
    return `| ${model} | ${cells.join(' | ')} |`;
  });
  const measured = rows.filter(isMeasured);
  const largest = Math.max(...measured.map((row) => row.difference));
  const slowest = Math.max(...measured.map((row) => row.seconds ?? 0));
  const right = measured.filter((row) => row.isGuessRight).length;
  const guesses = `The normalization that \`add\` assumes is the family's for ${right === measured.length ? 'each' : right} of them.`;
  const conversion =
    slowest > 0 ? ` Converting one takes up to ${Number(slowest.toPrecision(2))} s of processor time.` : '';
  const refused = describeRefused(rows);
  const large = rows.flatMap((row) => (isMeasured(row) ? describeLarge(row) : []));
  const missing = (list?.models ?? []).filter((model) => !models.includes(model));
  const explained = new Set(rows.flatMap((row) => (explain(row) ? [`- ${row.model}: ${explain(row)}`] : [])));
  return [
    `## ${rows[0]?.versions}`,
    '',
    `${models.length} of ${list?.models.length ?? models.length} models, ${rows.length} files, ${measured.length} of them served, with a difference of at most ${largest.toExponential(1)}. ${guesses}${conversion}`,
    '',
    `| model | ${forms.join(' | ')} |`,
    `|---|${forms.map(() => '---|').join('')}`,
    ...lines,
    '',
    ...(explained.size > 0 ? ['Above 1e-4:', '', ...explained, ''] : []),
    ...(large.length > 0 ? [LARGE_HEAD, ...large, ''] : []),
    ...(refused.length > 0 ? ['Not served:', '', ...refused, ''] : []),
    ...(missing.length > 0 ? [`Not measured (${missing.length} models): ${missing.join(', ')}.`, ''] : []),
  ].join('\n');
}

const LARGE_HEAD = `Files of ${LARGE_MEGABYTES} MB and more, with what converting one takes:

| model | form | file | processor time | largest memory of the process |
|---|---|---|---|---|`;

function describeLarge({ model, form, megabytes = 0, seconds = 0, peakMegabytes }: Row & Measured): string[] {
  if (megabytes < LARGE_MEGABYTES) return [];
  const memory = peakMegabytes === undefined ? 'not measured' : `${peakMegabytes} MB`;
  return [`| ${model} | \`${form}\` | ${Math.round(megabytes)} MB | ${Number(seconds.toPrecision(2))} s | ${memory} |`];
}

/** Such as `3.2e-6, 12/s`, or `3.2e-6, 3/4, 12/s` if a best label differs. */
function describe(row: Row | undefined): string {
  if (!row) return 'not measured';
  if (!isMeasured(row)) return 'not served';
  const labels = row.agreeing === row.images ? [] : [`${row.agreeing}/${row.images}`];
  const rate = row.perSecond >= 10 ? row.perSecond.toFixed(0) : row.perSecond.toPrecision(2);
  return [row.difference.toExponential(1), ...labels, `${rate}/s`].join(', ');
}
