/** The name of an output of the spec's `outputs` in the ONNX files that the converter writes. */
export function outputPort(name: string): string {
  return `inferql_output_${name}`;
}
