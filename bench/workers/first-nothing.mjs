import { report } from './first.mjs';

report(null);
