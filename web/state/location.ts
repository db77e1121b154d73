const PREDICTION_PATH = /^\/p\/([^/]+)\/?$/;

/** The id in the page's address, if it is a prediction's link. */
export function readPredictionId(path: string): string | undefined {
  const id = PREDICTION_PATH.exec(path)?.[1];
  try {
    return id && decodeURIComponent(id);
  } catch {
    return undefined;
  }
}

/** The link that opens a prediction again. */
export function predictionPath(id: string): string {
  return `/p/${encodeURIComponent(id)}`;
}
