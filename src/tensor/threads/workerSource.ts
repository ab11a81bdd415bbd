/**
 * What a worker runs, for Node and for browsers, as text: a function turned into text would depend on what a bundler made
 * of it. It has its own instance of the kernels over the shared memory, waits there for work, and does nothing else.
 *
 * The state is int32 at `state`: how often work was given out; the claim word; how many calls are done; whether one failed;
 * how many workers are ready; address and bytes of the scratch memory of a thread, or zeros; the bytes of a module, when that is
 * what was given out, at `calls`. The claim word is calls << 12 | next: who raises it by one has claimed call `next`. The calls
 * are float64 at `calls`, SLOT numbers each: the function's number among the exports of all modules, how many arguments, the
 * arguments. SPINS take some tens of microseconds: the next kernel mostly comes sooner than a sleeper would wake.
 */
export const workerSource = `
'use strict';
const [GIVEN, CLAIM, DONE, FAILED, READY, SCRATCH, SCRATCH_BYTES, CODE_BYTES] = [0, 1, 2, 3, 4, 5, 6, 7];
const SLOT = 28;
const SPINS = 20000;
function work({ module, memory, state: at, calls: from, length, thread }) {
  const functions = [];
  const state = new Int32Array(memory.buffer, at, 8);
  const calls = new Float64Array(memory.buffer, from, length);
  let seen = 0;
  const load = (module) => {
    functions.push(...Object.values(new WebAssembly.Instance(module, { env: { memory } }).exports));
    Atomics.add(state, READY, 1);
  };
  load(module);
  for (;;) {
    for (let i = 0; i < SPINS && Atomics.load(state, GIVEN) === seen; i++);
    while (Atomics.load(state, GIVEN) === seen) Atomics.wait(state, GIVEN, seen);
    seen = Atomics.load(state, GIVEN);
    const bytes = Atomics.load(state, CODE_BYTES);
    if (bytes > 0) {
      load(new WebAssembly.Module(new Uint8Array(memory.buffer, from, bytes).slice()));
      continue;
    }
    for (;;) {
      const claim = Atomics.load(state, CLAIM);
      const next = claim & 4095;
      if (next >= claim >> 12) break;
      if (Atomics.compareExchange(state, CLAIM, claim, claim + 1) !== claim) continue;
      try {
        const slot = calls.subarray(next * SLOT, (next + 1) * SLOT);
        const more = state[SCRATCH] ? [state[SCRATCH] + thread * state[SCRATCH_BYTES]] : [];
        functions[slot[0]](...slot.subarray(2, 2 + slot[1]), ...more);
      } catch {
        Atomics.store(state, FAILED, 1);
      }
      Atomics.add(state, DONE, 1);
      Atomics.notify(state, DONE);
    }
  }
}
if (typeof WorkerGlobalScope === 'undefined') work(require('node:worker_threads').workerData);
else onmessage = (event) => work(event.data);
`;
