/** To the nearest whole number, halves to the even one: the rounding of Python's `round` and of processors. */
export function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  const part = value - below;
  if (part !== 0.5) return part < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}
