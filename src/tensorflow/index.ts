export { parseBundleIndex, type BundleEntry } from './bundle.ts';
