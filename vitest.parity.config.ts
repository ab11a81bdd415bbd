import { defineConfig } from 'vitest/config';

/** The run against the full-precision model, which tools/fetch-original.mjs fetches. */
export default defineConfig({ test: { include: ['tests/parity/full/**/*.test.ts'], testTimeout: 300_000 } });
