const WIDTH = 60;
const HEIGHT = 16;

/** A small line of the last values, newest at the right edge. */
export function Sparkline({ values }: { values: readonly number[] }) {
  const top = Math.max(1, ...values);
  const points = values
    .map((value, index) => `${WIDTH - (values.length - 1 - index)},${HEIGHT - 1 - (value / top) * (HEIGHT - 2)}`)
    .join(' ');
  return (
    <svg className="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {values.length > 1 && <polyline points={points} />}
    </svg>
  );
}
