import { describe, expect, it } from 'vitest';
import { ConfigError, InputError } from '../../src/errors.ts';
import { lineChart, schedule, type ScheduleName, type ScheduleOptions } from '../../src/training/index.ts';
import { readFixture } from '../support/fixtures.ts';

type Case = ScheduleOptions & { name: ScheduleName; factors: number[] };
const cases = JSON.parse(new TextDecoder().decode(readFixture('training/schedules.json'))) as Case[];

describe('schedules, as in transformers', () => {
  it.each(cases.map((c) => [c.name, c.warmupSteps, c] as const))(
    '%s, warmup %i',
    (_, __, { name, factors, ...options }) => {
      const factor = schedule(name, options);
      const { totalSteps } = options;
      const within = factors.slice(0, totalSteps + 1); // beyond its end transformers' cosine rises again
      within.forEach((expected, step) => expect(factor(step)).toBeCloseTo(expected, 12));
      expect(factor(totalSteps + 2)).toBe(factor(totalSteps));
    },
  );

  it('differ from each other', () => {
    expect(schedule('cosine', { totalSteps: 8 })(2)).not.toBeCloseTo(schedule('linear', { totalSteps: 8 })(2), 3);
  });

  it('refuse options without sense', () => {
    expect(() => schedule('linear', { totalSteps: -1 })).toThrow(ConfigError);
    expect(() => schedule('warm' as ScheduleName, { totalSteps: 1 })).toThrow(ConfigError);
  });
});

describe('a chart', () => {
  const options = { title: 'loss < 1', xLabel: 'step', yLabel: 'loss' };

  it('is SVG with a path per series', () => {
    const svg = lineChart(
      [
        {
          name: 'train',
          points: [
            [0, 2],
            [1, 1],
          ],
        },
        { name: 'eval', points: [[1, 1.5]] },
      ],
      options,
    );
    expect(svg).toMatch(/^<svg [^]*<\/svg>\n$/);
    expect(svg.match(/fill="none"/g)).toHaveLength(2);
    expect(svg).toContain('loss &#60; 1');
  });

  it('needs finite points', () => {
    expect(() => lineChart([], options)).toThrow(InputError);
    expect(() => lineChart([{ name: 'a', points: [[0, NaN]] }], options)).toThrow(InputError);
    expect(lineChart([{ name: 'a', points: [[3, 3]] }], options)).not.toContain('NaN');
  });
});
