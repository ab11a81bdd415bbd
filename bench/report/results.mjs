import { median } from '../lib/statistics.mjs';

/** Measurements by group, case and contestant. */
export class Results {
  constructor({ parts, versions }) {
    this.parts = parts;
    this.versions = versions;
    this.measurements = Object.values(parts).flatMap((part) => part.measurements ?? []);
  }

  get quick() {
    return Object.values(this.parts).some(({ quick }) => quick);
  }

  find(group, caseName, contestant) {
    const matches = (m) => m.group === group && m.case === caseName && m.contestant === contestant;
    return this.measurements.find(matches);
  }

  in(group) {
    return this.measurements.filter((m) => m.group === group);
  }

  /** How many times as fast as the peer we are: the median over rounds, where the two ran one after the other. */
  ratio(group, caseName, mine, peer) {
    const [a, b] = [mine, peer].map((name) => this.find(group, caseName, name));
    return a && b ? median(a.rounds.map((time, round) => b.rounds[round] / time)) : undefined;
  }
}

export const gigaflops = ({ operations, median }) => operations / median / 1e6;
