/** Finds complete replies in Redis' protocol (RESP2 and RESP3), which TCP splits anywhere. */

/** Replies with a length in bytes, and those that contain other replies; all other kinds are one line. */
const SIZED = '$=!';
const LISTS = '*~>';
const MAPS = '%|';

/**
 * @param keeps called for each complete reply
 * @returns a function that takes data as it arrives, and returns the complete replies that are kept
 */
export function filterReplies(keeps: (reply: Buffer) => boolean): (data: Buffer) => Buffer {
  let rest: Buffer = Buffer.alloc(0);
  return (data) => {
    rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
    const kept: Buffer[] = [];
    for (let end = findEnd(rest, 0); end !== undefined; end = findEnd(rest, 0)) {
      const reply = rest.subarray(0, end);
      if (keeps(reply)) kept.push(reply);
      rest = rest.subarray(end);
    }
    return Buffer.concat(kept);
  };
}

/** The end of the reply that begins at `at`; undefined if it is not complete yet. */
function findEnd(data: Buffer, at: number): number | undefined {
  const lineEnd = data.indexOf('\r\n', at);
  if (lineEnd < 0) return undefined;
  const kind = String.fromCharCode(data[at]!);
  const count = Number(data.toString('latin1', at + 1, lineEnd));
  let end: number | undefined = lineEnd + 2;
  if (SIZED.includes(kind)) {
    if (count >= 0) end += count + 2;
    return end <= data.length ? end : undefined;
  }
  const items = LISTS.includes(kind) ? count : MAPS.includes(kind) ? 2 * count : 0;
  for (let item = 0; item < items && end !== undefined; item++) end = findEnd(data, end);
  return end;
}
