/** The plots, drawn by hand: bars and lines in SVG, readable on light and dark pages. */
import { gigaflops } from './results.mjs';

const colours = ['#2f6fde', '#7aa6f2', '#c2410c', '#f0a35e', '#4d7c0f', '#a3c465', '#7e22ce', '#888888', '#0e7490'];
const escape = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const colourOf = (names) => (name) => colours[names.indexOf(name) % colours.length];

export function plots(results) {
  const scaling = (suffix) => (m) => m.group.startsWith('scaling') && m.case.match(suffix);
  const lines = (matches, x) =>
    seriesOf(
      results.measurements.filter(matches),
      (m) => `${m.contestant}, ${m.runtime.replace('node', 'Node ')}`,
      (m) => [x(m), m.median],
    );
  return {
    encoder: encoderBars(results),
    tokens: lineChart(
      'Time of one sequence',
      'tokens',
      'ms',
      lines(scaling(/^1x/), (m) => Number(m.case.split('x')[1])),
    ),
    sequences: lineChart(
      'Time of a batch, 64 tokens each',
      'sequences',
      'ms',
      lines(scaling(/x64$/), (m) => Number(m.case.split('x')[0])),
    ),
    layers: lineChart(
      'Time by layers, 1 x 128 tokens',
      'layers',
      'ms',
      lines(
        (m) => m.group.startsWith('layers'),
        (m) => parseInt(m.case),
      ),
    ),
  };
}

function encoderBars(results) {
  const groups = ['node20', 'node24', 'node26'].map((runtime) => ({
    label: `Node ${runtime.slice(4)}`,
    bars: results.in(`all-MiniLM-L6-v2 ${runtime}`).filter((m) => m.case === '8x128'),
  }));
  const names = [...new Set(groups.flatMap(({ bars }) => bars.map((m) => m.contestant)))];
  const colour = colourOf(names);
  const most = Math.max(1, ...groups.flatMap(({ bars }) => bars.map(gigaflops)));
  const parts = [text(12, 22, 'all-MiniLM-L6-v2, 8 x 128 tokens, one thread: GFLOP/s', 15)];
  let y = 40;
  for (const { label, bars } of groups) {
    parts.push(text(12, y + 14, label, 13));
    for (const m of bars) {
      const width = (440 * gigaflops(m)) / most;
      parts.push(`<rect x="220" y="${y + 2}" width="${width.toFixed(1)}" height="14" fill="${colour(m.contestant)}"/>`);
      parts.push(text(212, y + 13, m.contestant, 11, 'end'), text(224 + width, y + 13, gigaflops(m).toFixed(0), 11));
      y += 19;
    }
    y += 12;
  }
  return svg(720, y, parts);
}

/** @returns a Map of name → points, sorted along x; of several measurements at one x the last counts */
function seriesOf(measurements, nameOf, pointOf) {
  const series = new Map();
  for (const m of measurements) {
    const points = series.get(nameOf(m)) ?? new Map();
    const [x, y] = pointOf(m);
    series.set(nameOf(m), points.set(x, y));
  }
  return new Map([...series].map(([name, points]) => [name, [...points].sort(([a], [b]) => a - b)]));
}

/** Both axes logarithmic: a straight line of slope 1 is time in proportion. */
function lineChart(title, xLabel, yLabel, series) {
  const [left, right, top, bottom] = [60, 460, 40, 320];
  const points = [...series.values()].flat();
  if (points.length === 0) return svg(720, 60, [text(12, 22, `${title}: not measured`, 15)]);
  const range = (values) => [Math.log(Math.min(...values)), Math.log(Math.max(...values) * 1.0001)];
  const [x0, x1] = range(points.map(([x]) => x));
  const [y0, y1] = range(points.map(([, y]) => y));
  const toX = (x) => left + ((right - left) * (Math.log(x) - x0)) / (x1 - x0 || 1);
  const toY = (y) => bottom - ((bottom - top) * (Math.log(y) - y0)) / (y1 - y0 || 1);
  const colour = colourOf([...series.keys()]);
  const parts = [
    text(12, 22, title, 15),
    text((left + right) / 2, 358, xLabel, 12, 'middle'),
    text(12, 36, yLabel, 12),
  ];
  for (const x of new Set(points.map(([x]) => x)))
    parts.push(rule(toX(x), top, toX(x), bottom), text(toX(x), 338, x, 10, 'middle'));
  for (let y = 10 ** Math.floor(y0 / Math.LN10); y <= Math.exp(y1); y *= 10) {
    for (const tick of [y, 2 * y, 5 * y].filter((t) => Math.log(t) >= y0 && Math.log(t) <= y1)) {
      parts.push(
        rule(left, toY(tick), right, toY(tick)),
        text(left - 6, toY(tick) + 4, Number(tick.toPrecision(1)), 10, 'end'),
      );
    }
  }
  [...series].forEach(([name, line], i) => {
    const path = line.map(([x, y]) => `${toX(x).toFixed(1)},${toY(y).toFixed(1)}`);
    parts.push(`<polyline points="${path.join(' ')}" fill="none" stroke="${colour(name)}" stroke-width="2"/>`);
    parts.push(
      `<rect x="476" y="${46 + 19 * i}" width="14" height="4" fill="${colour(name)}"/>`,
      text(496, 52 + 19 * i, name, 11),
    );
  });
  return svg(720, 370, parts);
}

const text = (x, y, content, size, anchor = 'start') =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" text-anchor="${anchor}">${escape(content)}</text>`;
const rule = (x1, y1, x2, y2) =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="#8884"/>`;
const svg = (width, height, parts) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif">
<style>text { fill: #333 } @media (prefers-color-scheme: dark) { text { fill: #ccc } }</style>
${parts.join('\n')}
</svg>
`;
