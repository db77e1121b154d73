/** The files of transformers and timm are read as these libraries prepare images: the same values in the model's input. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type FitRule, fitPixels } from '@inferql/images/fit-pixels';
import { drawPixels } from '@inferql/images/resize/golden/golden.fixture';
import { describe, expect, test } from 'vitest';
import { Findings } from '../inspect/findings.ts';
import { chooseResizing } from '../inspect/resizing.ts';
import { readTimm } from '../inspect/timm-config.ts';
import { readTransformers } from '../inspect/transformers-config.ts';
import { normalizationOf } from '../spec/normalization.ts';
import { parseSpec } from '../spec/spec.ts';

interface Case {
  /** Of timm, or of an image processor. */
  config: { image_processor_type: string } | { pretrained_cfg: object };
  from: [width: number, height: number];
  shape: [channels: number, height: number, width: number];
  /** Every `step`th value of the input, channels first. */
  step: number;
  samples: number[];
}

const folder = path.join(import.meta.dirname, 'processors');
const files = readdirSync(folder).filter((file) => file.endsWith('.json'));

/** What the model gets, and whether `add` is certain of the crop. */
function prepare({ config, from, shape: [, height, width] }: Case) {
  const preprocessing = 'pretrained_cfg' in config ? readTimm(config) : readTransformers(config, undefined);
  const findings = new Findings();
  const { normalization = 'none' } = preprocessing ?? {};
  const resizing = chooseResizing({}, preprocessing, { producer: '', width, height }, findings);
  // As `add` writes it: a rule that a spec may not have would be refused.
  const spec = {
    source: { type: 'folder', model: 'model.onnx', labels: 'labels.json' },
    format: 'onnx',
    input: { width, height, ...resizing, normalization },
    output: {},
  };
  const { input } = parseSpec(JSON.stringify(spec), 'the spec');
  const pixels = fitPixels(drawPixels(...from, 3), input as FitRule);
  const { mean, scale, reverseChannels } = normalizationOf({ channels: 3, normalization });
  const valueAt = (i: number) => {
    const channel = Math.floor(i / (height * width));
    const at = reverseChannels ? 2 - channel : channel;
    return ((pixels[(i % (height * width)) * 3 + at] ?? 0) - (mean[at] ?? 0)) * (scale[at] ?? 1);
  };
  return { valueAt, size: { width, height, ...preprocessing }, isCertain: !findings.isGuess('crop') };
}

describe.each(files)('%s', (file) => {
  const { cases } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as { cases: Case[] };
  const configs = new Map<string, Case[]>();
  for (const it of cases) {
    const key = JSON.stringify(it.config);
    configs.set(key, [...(configs.get(key) ?? []), it]);
  }
  const named = [...configs.values()].map((images, i) => {
    const { config } = images[0] as Case;
    const name = 'pretrained_cfg' in config ? JSON.stringify(config.pretrained_cfg) : config.image_processor_type;
    return [`${i}: ${name}`, images] as const;
  });

  test.each(named)('%s', (_, images) => {
    let largest = 0;
    const isCertain = images.every((it) => {
      const prepared = prepare(it);
      for (const [i, value] of it.samples.entries())
        largest = Math.max(largest, Math.abs(prepared.valueAt(i * it.step) - value));
      if (prepared.isCertain) expect([prepared.size.height, prepared.size.width]).toEqual(it.shape.slice(1));
      return prepared.isCertain;
    });
    if (isCertain) expect(largest).toBeLessThan(1e-4);
    // A doubt has a reason.
    else expect(largest).toBeGreaterThan(1e-4);
  });
});
