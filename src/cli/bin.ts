#!/usr/bin/env node
import { main } from './main.ts';
import { nodeIo } from './nodeIo.ts';

// From src/cli and from dist/cli alike, the package is two folders up.
process.exitCode = await main(process.argv.slice(2), nodeIo(new URL('../../', import.meta.url)));
