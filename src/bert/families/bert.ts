import type { Family } from './family.ts';

/** Devlin et al. 2019, arXiv:1810.04805: what all others differ from. */
export const bert: Family = { modelType: 'bert', prefix: 'bert' };
