/** What exporters and people write into an ONNX file besides the model. */
import { LABEL_KEYS, parseJsonLabels } from '../spec/label-json.ts';
import type { Companions } from './companion-files.ts';
import { readUltralytics } from './ultralytics.ts';

/** What a maker wrote into an ONNX file: class names under one of several keys; ultralytics also the size and the task. */
export function readOnnxMetadata(metadata: ReadonlyMap<string, string>): Companions {
  const found: Companions = {};
  for (const key of LABEL_KEYS) {
    const text = metadata.get(key);
    const names = text === undefined ? undefined : (parseJsonLabels(text) ?? splitNames(text));
    if (names && !found.labels) found.labels = { names, from: `metadata of the ONNX file (${key})` };
  }
  const ultralytics = readUltralytics(metadata, 'metadata of ultralytics');
  if (ultralytics?.preprocessing) found.preprocessing = ultralytics.preprocessing;
  return found;
}

function splitNames(text: string): string[] | undefined {
  // A list or dict that is not one of names.
  if (/^\s*[[({]/.test(text)) return undefined;
  const names = text
    .trim()
    .split(/\r?\n|,|;/)
    .map((name) => name.trim());
  return names.length > 1 && names.every((name) => name !== '') ? names : undefined;
}
