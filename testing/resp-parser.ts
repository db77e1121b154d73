/** Whole replies in Redis' protocol (RESP2 and RESP3), whose data TCP cuts anywhere. */

/** Replies of a length in bytes, and those that hold so many others; all other kinds are one line. */
const SIZED = '$=!';
const LISTS = '*~>';
const MAPS = '%|';

/**
 * @param keeps asked for each whole reply
 * @returns takes data as it comes, and gives back the whole replies in it that are kept
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

/** Where the reply that begins at `at` ends; undefined where it is not whole yet. */
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
