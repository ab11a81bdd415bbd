import { ConfigError, show } from '../errors.ts';

export type ScheduleName = 'constant' | 'linear' | 'cosine' | 'polynomial';

export interface ScheduleOptions {
  /** Steps of the whole training. */
  totalSteps: number;
  /** Steps in which the rate rises from 0. Default 0. */
  warmupSteps?: number;
  /** Exponent of 'polynomial'. Default 1. */
  power?: number;
  /** Where 'polynomial' ends, as a share of the full rate. Default 1e-7 / 5e-5, transformers' with its usual rate. */
  end?: number;
}

/** Share of the full learning rate at a step, counted from 0: the step that is about to be made. */
export type Schedule = (step: number) => number;

/**
 * The schedules of transformers: a linear rise over the warmup, then 'constant'; 'linear' down to 0; 'cosine', half a wave
 * down to 0 (Loshchilov & Hutter 2017, without restarts); or 'polynomial' down to `end`.
 */
export function schedule(name: ScheduleName, options: ScheduleOptions): Schedule {
  const { totalSteps, warmupSteps = 0, power = 1, end = 0.002 } = options;
  const counts = { totalSteps, warmupSteps };
  for (const [what, value] of Object.entries(counts)) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new ConfigError({ what: `schedule: ${what}`, expected: 'a whole number of at least 0', got: show(value) });
  }
  const decays: Record<ScheduleName, (progress: number) => number> = {
    constant: () => 1,
    linear: (progress) => 1 - progress,
    cosine: (progress) => 0.5 * (1 + Math.cos(Math.PI * progress)),
    polynomial: (progress) => (1 - end) * (1 - progress) ** power + end,
  };
  if (!Object.hasOwn(decays, name)) {
    throw new ConfigError({ what: 'schedule', expected: Object.keys(decays).join(', '), got: show(name) });
  }
  return (step) => {
    if (step < warmupSteps) return step / warmupSteps;
    const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
    return decays[name](Math.min(progress, 1));
  };
}
