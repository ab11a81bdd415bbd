export { calibrationBatches } from './calibration.ts';
export { roundEncoder } from './gptq.ts';
