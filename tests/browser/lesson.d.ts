import type * as library from '../../src/index.ts';
import type * as training from '../../src/training/index.ts';

export function learn(
  modules: typeof library,
  trainingModules: typeof training,
  location: string,
  kernels: 'simd' | 'reference',
): Promise<number[]>;
