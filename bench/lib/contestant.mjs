/** One process that can do the measured work; it is asked over its standard input and answers in JSON lines. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { bench, runtimePath } from './paths.mjs';

/** Marks the lines of the protocol; whatever else a library prints is passed over. */
const MARK = '@@';

export class Contestant {
  #process;
  #waiting = [];
  #lines;

  /** @param spec `{ name, runtime, worker, options }` as lib/contestants.mjs makes them */
  constructor(spec) {
    this.name = spec.name;
    this.spec = spec;
    const environment = { ...process.env, OMP_NUM_THREADS: '1', TOKENIZERS_PARALLELISM: 'false' };
    this.#process = spawn(
      runtimePath(spec.runtime),
      [join(bench, 'workers', spec.worker), JSON.stringify(spec.options)],
      { stdio: ['pipe', 'pipe', process.env.BENCH_VERBOSE ? 'inherit' : 'ignore'], env: environment },
    );
    this.#process.on('exit', (code) => this.#fail(`ended with code ${code} (set BENCH_VERBOSE=1 to see why)`));
    this.#lines = createInterface({ input: this.#process.stdout });
    this.#lines.on('line', (line) => {
      if (line.startsWith(MARK)) this.#waiting.shift()?.(JSON.parse(line.slice(MARK.length)));
    });
  }

  static async start(spec) {
    const contestant = new Contestant(spec);
    contestant.info = await contestant.#answer();
    return contestant;
  }

  /** Gets ready for a case and does it once. @returns the outcome, its numbers as a Float32Array */
  async prepare(work) {
    const outcome = await this.#ask({ operation: 'prepare', work });
    if (outcome.floats) {
      const bytes = Buffer.from(outcome.floats, 'base64');
      outcome.floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    }
    return outcome;
  }

  /** Does the prepared case so many times. @returns milliseconds of each */
  time(runs) {
    return this.#ask({ operation: 'time', runs });
  }

  async stop() {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.stdin.end();
    await ended;
  }

  async #ask(request) {
    this.#process.stdin.write(JSON.stringify(request) + '\n');
    return this.#answer();
  }

  async #answer() {
    const answer = await new Promise((resolve) => this.#waiting.push(resolve));
    if (answer.error) throw new Error(`${this.name}: ${answer.error}`);
    return answer.result;
  }

  #fail(error) {
    for (const resolve of this.#waiting.splice(0)) resolve({ error });
  }
}
