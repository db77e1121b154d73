/** Indexes of the `count` largest values, largest first; of equal values, the lower index first. */
export function topKIndexes(row: ArrayLike<number>, count: number): number[] {
  const best: number[] = [];
  for (let at = 0; at < row.length; at++) {
    const score = row[at]!;
    if (best.length === count && score <= row[best[count - 1]!]!) continue;
    let place = best.length;
    while (place > 0 && row[best[place - 1]!]! < score) place--;
    best.splice(place, 0, at);
    if (best.length > count) best.pop();
  }
  return best;
}
