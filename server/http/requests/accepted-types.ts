/**
 * Whether the `Accept` header of a request allows a media type, by the framework's rules: weights do not count, and no header allows everything.
 * @param type such as `text/event-stream`
 */
export function accepts(request: Request, type: string): boolean {
  const group = `${type.split('/')[0]}/*`;
  return (request.headers.get('accept') || '*/*').split(',').some((entry) => {
    const range = entry.split(';')[0]!.trim().toLowerCase();
    return range === type || range === group || range === '*/*';
  });
}
