import { clean, displayWidth, fit } from './display.ts';
import type { Io } from './io.ts';

/** Columns of a cell. */
const CELL = 6;
/** Density for a score from 0 to 1, where there is no colour. */
const SHADES = [' ', '░', '▒', '▓', '█'];
/** Dark to bright in the 256-colour palette: navy, blue, teal, green, yellow. */
const COLOURS = [17, 18, 19, 25, 31, 37, 36, 71, 107, 149, 185, 227];

/**
 * A square of similarities, each cell shaded by its score; rows carry their labels, columns their numbers.
 *
 * @returns undefined when it does not fit into the width of the terminal
 */
export function shadedMatrix(
  labels: readonly string[],
  score: (a: number, b: number) => number,
  io: Io,
): string | undefined {
  const colour = io.stdout.isTTY && !io.env.NO_COLOR && io.env.TERM !== 'dumb';
  const count = labels.length;
  const numberWidth = String(count).length;
  const room = Math.min(io.stdout.columns, 100) - numberWidth - 1 - CELL * count;
  if (room < 12) return undefined;
  const cleaned = labels.map(clean);
  const labelWidth = Math.min(room, Math.max(...cleaned.map(displayWidth)) + 1);
  const margin = ' '.repeat(numberWidth + 1 + labelWidth);
  const header = margin + labels.map((_, i) => `${String(i + 1).padStart(CELL - 1)} `).join('');
  const rows = cleaned.map((label, i) => {
    const cells = cleaned.map((_, j) => (colour ? colouredCell : plainCell)(score(i, j)));
    return `${String(i + 1).padStart(numberWidth)} ${fit(label, labelWidth - 1)} ${cells.join('')}`;
  });
  return `${[header, ...rows].map((line) => line.trimEnd()).join('\n')}\n`;
}

/** 0.437 → ".44", -0.05 → "-.05", 1 → "1.0": as much as fits a narrow cell. */
export function shortScore(score: number): string {
  if (score > 0.995) return '1.0';
  return score
    .toFixed(2)
    .replace(/^(-?)0/, '$1')
    .replace('-.00', '.00');
}

function plainCell(score: number): string {
  const number = shortScore(score);
  return `${step(SHADES, score).repeat(CELL - 1 - number.length)}${number} `;
}

function colouredCell(score: number): string {
  const ink = score > 0.6 ? 16 : 255;
  return `\x1b[48;5;${step(COLOURS, score)};38;5;${ink}m${shortScore(score).padStart(CELL - 1)} \x1b[0m`;
}

function step<T>(steps: readonly T[], score: number): T {
  const index = Math.round(score * (steps.length - 1));
  return steps[Math.max(0, Math.min(steps.length - 1, index || 0))]; // a NaN is no step at all: the first
}
