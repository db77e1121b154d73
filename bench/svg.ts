/** Lines over a few places of x, evenly spaced; y begins at 0, or is logarithmic. */
export interface Chart {
  title: string;
  xLabel: string;
  x: number[];
  lines: { name: string; y: number[] }[];
  logarithmic?: boolean;
}

const WIDTH = 640;
const HEIGHT = 360;
const AREA = { left: 60, right: 24, top: 56, bottom: 48 };
/** Distinguishable without red and green, on white and on black. */
const COLORS = ['#3b7dd8', '#e08a1e', '#8a63d2', '#1a9c8c', '#c2528b'];
const STEPS = [1, 2, 2.5, 5, 10];

/** A self-contained picture, readable on light and dark pages. */
export function drawChart({ title, xLabel, x, lines, logarithmic = false }: Chart): string {
  const values = lines.flatMap(({ y }) => y).filter(Number.isFinite);
  const ticks = logarithmic ? logarithmicTicks(values) : linearTicks(Math.max(...values));
  const low = logarithmic ? ticks[0]! : 0;
  const high = ticks.at(-1)!;
  const scale = (value: number) =>
    logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  const toX = (index: number) =>
    round(AREA.left + ((WIDTH - AREA.left - AREA.right) * (index + 0.5)) / Math.max(1, x.length));
  const toY = (value: number) => round(HEIGHT - AREA.bottom - (HEIGHT - AREA.top - AREA.bottom) * scale(value));
  const text = (atX: number, atY: number, content: string, anchor: string) =>
    `<text x="${atX}" y="${atY}" text-anchor="${anchor}">${escapeXml(content)}</text>`;

  const grid = ticks.map(
    (tick) =>
      `<path d="M${AREA.left} ${toY(tick)}H${WIDTH - AREA.right}" class="grid"/>${text(AREA.left - 8, toY(tick) + 4, String(tick), 'end')}`,
  );
  const places = x.map((place, index) => text(toX(index), HEIGHT - AREA.bottom + 20, String(place), 'middle'));
  const drawn = lines.map(({ name, y }, index) => {
    const color = COLORS[index % COLORS.length];
    const points = y.flatMap((value, place) => (Number.isFinite(value) ? [[toX(place), toY(value)] as const] : []));
    const dots = points.map(([atX, atY]) => `<circle cx="${atX}" cy="${atY}" r="3.5" fill="${color}"/>`).join('');
    const legendX = AREA.left + index * 170;
    return `<path d="M${points.map((point) => point.join(' ')).join('L')}" fill="none" stroke="${color}" stroke-width="2"/>${dots}<rect x="${legendX}" y="33" width="12" height="3" fill="${color}"/>${text(legendX + 18, 38, name, 'start')}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeXml(title)}">
<style>text{font:12px system-ui,sans-serif;fill:#333}.grid{stroke:#8884;fill:none}.title{font-weight:600;font-size:14px}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>
<text x="${AREA.left}" y="20" class="title">${escapeXml(title)}</text>
${[...grid, ...places, text((WIDTH + AREA.left - AREA.right) / 2, HEIGHT - 8, xLabel, 'middle'), ...drawn].join('\n')}
</svg>
`;
}

function linearTicks(highest: number): number[] {
  const rough = highest / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * STEPS.find((candidate) => candidate * power >= rough)!;
  const count = Math.ceil(highest / step);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

function logarithmicTicks(values: number[]): number[] {
  const from = Math.floor(Math.log10(Math.min(...values)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values))));
  return Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
