/**
 * What a worker runs, for Node and for browsers, as text: a function turned into text would depend on what a bundler made
 * of it. It has its own instance of the kernels over the shared memory, waits there for work, and does nothing else.
 *
 * The state, int32 at `address`: how often work was given out; how many workers are done; whether one failed; how many are
 * ready; then, for each worker, the address of its list. A list is float64: calls, then for each the number of the
 * function among the exports, the number of arguments, and the arguments.
 */
export const workerSource = `
'use strict';
const [GIVEN, DONE, FAILED, READY, LISTS] = [0, 1, 2, 3, 4];
const SPINS = 20000; // some tens of microseconds: the next kernel mostly comes sooner than a sleeper would wake
function work({ module, memory, address, index }) {
  const functions = Object.values(new WebAssembly.Instance(module, { env: { memory } }).exports);
  const state = new Int32Array(memory.buffer, address, LISTS + index + 1);
  let seen = 0;
  Atomics.add(state, READY, 1);
  for (;;) {
    for (let i = 0; i < SPINS && Atomics.load(state, GIVEN) === seen; i++);
    while (Atomics.load(state, GIVEN) === seen) Atomics.wait(state, GIVEN, seen);
    seen++;
    try {
      const list = new Float64Array(memory.buffer, Atomics.load(state, LISTS + index));
      for (let call = 0, at = 1; call < list[0]; call++) {
        const [number, count] = [list[at], list[at + 1]];
        functions[number](...list.subarray(at + 2, at + 2 + count));
        at += 2 + count;
      }
    } catch {
      Atomics.store(state, FAILED, 1);
    }
    Atomics.add(state, DONE, 1);
    Atomics.notify(state, DONE);
  }
}
if (typeof WorkerGlobalScope === 'undefined') work(require('node:worker_threads').workerData);
else onmessage = (event) => work(event.data);
`;
