/**
 * The environment of a process that may load onnxruntime. The library otherwise reports the names and properties of the models that it loads to its
 * vendor, and writes to the user's home folder. A user's ORT_DISABLE_TELEMETRY wins.
 */
export function withoutTelemetry(env: Readonly<NodeJS.ProcessEnv> = process.env): NodeJS.ProcessEnv {
  return { ORT_DISABLE_TELEMETRY: '1', ...env };
}
