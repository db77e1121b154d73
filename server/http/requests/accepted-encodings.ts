/**
 * Whether a response is better sent with a content coding than without, by the `Accept-Encoding` header of its request (RFC 9110, 12.5.3).
 * Without the header, any coding is allowed, but a client that says nothing may not read any.
 * @param coding such as `br`
 */
export function prefersEncoding(request: Request, coding: string): boolean {
  const weights = readWeights(request.headers.get('accept-encoding') ?? '');
  const weight = weights.get(coding) ?? weights.get('*') ?? 0;
  // Unless it has a weight, the response without a coding is the last choice.
  return weight > 0 && weight >= (weights.get('identity') ?? 0);
}

function readWeights(header: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const entry of header.split(',')) {
    const [name = '', ...parameters] = entry.split(';').map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    if (name) weights.set(name, weight === undefined ? 1 : Number(weight) || 0);
  }
  return weights;
}
