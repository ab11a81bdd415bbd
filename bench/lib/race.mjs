/** Contestants in turn, A B C A B C …, one computing at a time, so that what slows the machine slows them all. */
import { loadavg } from 'node:os';
import { Contestant } from './contestant.mjs';
import { median } from './statistics.mjs';

/**
 * @param group       a name for these contestants together
 * @param specs       of contestants; the first one's outcome is what the others must agree with
 * @param cases       `{ name, work, operations?, only? }`: `work` goes to the workers, `operations` is what one run
 *                    computes, `only` says which contestants (by name) take part
 * @param agree       (outcome, expected, spec) → facts to record; throws when the outcome is wrong
 * @param settings    `{ rounds, sliceMilliseconds, log }`
 * @returns a measurement per case and contestant
 */
export async function race({ group, specs, cases, agree, settings }) {
  const { rounds, sliceMilliseconds, log } = settings;
  const contestants = [];
  const measurements = [];
  try {
    for (const spec of specs) contestants.push(await Contestant.start(spec));
    for (const { name: caseName, work, operations, only = () => true } of cases) {
      const entrants = contestants.filter(({ name }) => only(name));
      const laps = [];
      let expected;
      for (const contestant of entrants) {
        const outcome = await contestant.prepare(work);
        expected ??= outcome;
        const agreement = agree(outcome, expected, contestant.spec);
        let [estimate] = await contestant.time(1);
        if (estimate < 1000) estimate = Math.min(...(await contestant.time(2)));
        const runs = Math.max(1, Math.min(500, Math.round(sliceMilliseconds / estimate)));
        laps.push({ contestant, agreement, runs, rounds: [], min: Infinity });
      }
      const loadBefore = loadavg()[0];
      for (let round = 0; round < rounds; round++) {
        for (const lap of laps) {
          const times = await lap.contestant.time(lap.runs);
          lap.rounds.push(median(times));
          lap.min = Math.min(lap.min, ...times);
        }
      }
      for (const { contestant, agreement, runs, rounds, min } of laps) {
        const { name, info, spec } = contestant;
        measurements.push({
          ...{ group, case: caseName, contestant: name, runtime: spec.runtime, info, agreement },
          ...{ runs, rounds, median: median(rounds), min, operations, load: [loadBefore, loadavg()[0]] },
        });
        const speed = operations ? `, ${(operations / median(rounds) / 1e6).toFixed(1)} GFLOP/s` : '';
        log(`${group} | ${caseName} | ${name}: ${median(rounds).toFixed(2)} ms (best ${min.toFixed(2)})${speed}`);
      }
    }
  } finally {
    await Promise.all(contestants.map((contestant) => contestant.stop()));
  }
  return measurements;
}
