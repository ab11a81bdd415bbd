/** The worker's side of lib/contestant.mjs. */
import { createInterface } from 'node:readline';

/**
 * @param start (options) → `{ info, prepare }`; `prepare(work)` → `{ run, outcome }`: `run` does the work once, and
 *              `outcome` turns what it returned into `{ floats?, … }` for the check
 */
export async function serve(start) {
  const answer = (message) => process.stdout.write(`@@${JSON.stringify(message)}\n`);
  let contestant;
  let run;
  const operations = {
    async prepare({ work }) {
      const prepared = await contestant.prepare(work);
      run = prepared.run;
      const { floats, ...rest } = await prepared.outcome(await run());
      return { ...rest, ...(floats && { floats: base64(floats) }) };
    },
    async time({ runs }) {
      const times = [];
      for (let i = 0; i < runs; i++) {
        const start = performance.now();
        const result = run();
        if (result instanceof Promise) await result;
        times.push(performance.now() - start);
      }
      return times;
    },
  };
  try {
    contestant = await start(JSON.parse(process.argv[2]));
    answer({ result: { runtime: process.version, v8: process.versions.v8, ...contestant.info } });
    for await (const line of createInterface({ input: process.stdin })) {
      const request = JSON.parse(line);
      answer({ result: await operations[request.operation](request) });
    }
  } catch (error) {
    answer({ error: error.stack ?? String(error) });
    process.exitCode = 1;
  }
  process.exit();
}

const base64 = (floats) => Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength).toString('base64');

/** Numbers that every contestant can make for itself. */
export const sines = (length, phase = 0) => Float32Array.from({ length }, (_, i) => Math.sin(i + phase));
