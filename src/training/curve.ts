import { InputError } from '../errors.ts';

/** A line of a chart: its name and its points, x rising. */
export interface Series {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
}

export interface ChartOptions {
  title: string;
  xLabel: string;
  yLabel: string;
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [720, 400, 64, 16, 40, 48];
const COLOURS = ['#1f6feb', '#d1242f', '#1a7f37', '#8250df', '#9a6700', '#57606a'];

/** A line chart as SVG text: the losses of a training, for one. */
export function lineChart(series: readonly Series[], { title, xLabel, yLabel }: ChartOptions): string {
  const points = series.flatMap((line) => line.points);
  if (points.length === 0) throw new InputError({ what: 'lineChart', expected: 'at least one point', got: 'none' });
  const [x0, x1] = extent(points.map(([x]) => x));
  const [y0, y1] = extent(points.map(([, y]) => y));
  const x = (value: number) => LEFT + ((value - x0) / (x1 - x0)) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => HEIGHT - BOTTOM - ((value - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
  const text = (at: [number, number], content: string, more = '') =>
    `<text x="${round(at[0])}" y="${round(at[1])}" ${more}>${escape(content)}</text>`;
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  const parts = [
    text([WIDTH / 2, 20], title, 'text-anchor="middle" font-size="15" font-weight="bold"'),
    text([(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8], xLabel, 'text-anchor="middle"'),
    text([14, middle], yLabel, `text-anchor="middle" transform="rotate(-90 14 ${middle})"`),
    ...ticks(y0, y1).flatMap((value) => [
      `<path d="M${LEFT} ${round(y(value))}H${WIDTH - RIGHT}" stroke="#d0d7de"/>`,
      text([LEFT - 6, y(value) + 4], label(value), 'text-anchor="end"'),
    ]),
    ...ticks(x0, x1).map((value) => text([x(value), HEIGHT - BOTTOM + 18], label(value), 'text-anchor="middle"')),
    ...series.flatMap(({ name, points }, i) => {
      const colour = COLOURS[i % COLOURS.length];
      const line = points.map(([px, py], n) => `${n === 0 ? 'M' : 'L'}${round(x(px))} ${round(y(py))}`).join('');
      return [
        `<path d="${line}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
        text([WIDTH - RIGHT - 4, TOP + 16 * (i + 0.75)], name, `text-anchor="end" fill="${colour}"`),
      ];
    }),
  ];
  const frame = `xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12"`;
  return `<svg ${frame}>\n<rect width="100%" height="100%" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`;
}

/** Least and greatest, apart even when all are the same. */
function extent(values: readonly number[]): [number, number] {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value))
      throw new InputError({ what: 'lineChart', expected: 'finite numbers', got: `${value}` });
    [least, most] = [Math.min(least, value), Math.max(most, value)];
  }
  return least < most ? [least, most] : [least - 0.5, most + 0.5];
}

/** Round numbers between two, about five. */
function ticks(from: number, to: number): number[] {
  const rough = (to - from) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)!;
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, i) => (first + i) * step);
}

const label = (value: number) => String(Number(value.toPrecision(6)));
const round = (value: number) => String(Math.round(value * 10) / 10);
const escape = (text: string) => text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** A table of counts as SVG: the rows' names at the left, the columns' below, the darker the more of its row. */
export function heatmap(
  names: readonly string[],
  counts: readonly (readonly number[])[],
  { title, xLabel, yLabel }: ChartOptions,
): string {
  if (names.length === 0) throw new InputError({ what: 'heatmap', expected: 'at least one class', got: 'none' });
  const cell = 48;
  const margin = 24 + 7 * Math.max(...names.map(({ length }) => Math.min(length, 24)));
  const [width, height] = [margin + cell * names.length + 24, 40 + cell * names.length + margin];
  const short = (name: string) => escape(name.length > 24 ? `${name.slice(0, 23)}…` : name);
  const cells = counts.flatMap((row, r) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    return row.map((count, c) => {
      const share = total === 0 ? 0 : count / total;
      const [x, y] = [margin + cell * c, 40 + cell * r];
      const ink = share > 0.5 ? '#fff' : '#000';
      return (
        `<rect x="${x}" y="${y}" width="${cell}" height="${cell}" fill="#1f6feb" fill-opacity="${round(10 * share)}e-1"/>` +
        `<text x="${x + cell / 2}" y="${y + cell / 2 + 4}" text-anchor="middle" fill="${ink}">${count}</text>`
      );
    });
  });
  const labels = names.flatMap((name, i) => {
    const middle = cell * i + cell / 2;
    const [x, y] = [margin + middle + 4, 48 + cell * names.length];
    return [
      `<text x="${margin - 6}" y="${44 + middle}" text-anchor="end">${short(name)}</text>`,
      `<text x="${x}" y="${y}" text-anchor="end" transform="rotate(-90 ${x} ${y})">${short(name)}</text>`,
    ];
  });
  const frame = `xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12"`;
  const heading = `<text x="${margin}" y="16" font-weight="bold">${escape(title)}</text><text x="${margin}" y="32">${escape(yLabel)} (rows), ${escape(xLabel)} (columns)</text>`;
  return `<svg ${frame}>\n<rect width="100%" height="100%" fill="#fff"/>\n${[heading, ...cells, ...labels].join('\n')}\n</svg>\n`;
}
