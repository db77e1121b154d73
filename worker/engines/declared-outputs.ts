/** Outputs as a spec declares them. Engine processes do not import this file: they get by without the parsers of the wire format. */
import { dtypeOf, elementsOf, type ModelOutput } from '@inferql/queue/outputs';
import type { EngineOutputSpec } from './output-arrays.ts';

/** What an engine needs to know of an output of the spec: name, type and number of elements per image. */
export function toEngineOutput(output: ModelOutput & Pick<EngineOutputSpec, 'from' | 'activation'>): EngineOutputSpec {
  const { name, from, activation } = output;
  return { name, dtype: dtypeOf(output), elements: elementsOf(output), from, ...(activation && { activation }) };
}
