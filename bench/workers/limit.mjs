/** The most that 128-bit vectors give here: multiply-adds that never leave the registers, written with our assembler. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** `sums`: registers that are multiplied and added to in turn; each is s = s · a + b, so nothing can be left out. */
export async function prepareLimit(dist, { sums, iterations }) {
  const simd = (file) => import(pathToFileURL(join(dist, 'tensor/simd', file)));
  const [{ ModuleBuilder }, f32x4] = [await simd('assembler.js'), await simd('instructions/f32x4.js')];
  const { mulAdd, relaxedFma } = await simd('arithmetic.js');
  const { WebAssembly } = globalThis;
  const pages = { initial: 1, maximum: 1, shared: false };
  const assemble = ({ multiplyAdd }) => {
    const module = new ModuleBuilder();
    module.define('loop', 'ii', (fn, count, to) => {
      const [a, b] = [fn.let(f32x4.const(0.5)), fn.let(f32x4.const(1))];
      const s = Array.from({ length: sums }, (_, i) => fn.let(f32x4.const(i)));
      fn.repeatAtLeastOnce(count, () => {
        for (const sum of s) fn.set(sum, multiplyAdd(sum, a, b));
      });
      s.forEach((sum, i) => fn.store(f32x4.store(to, sum, 16 * i)));
    });
    return module.assemble(pages);
  };
  const relaxed = assemble(relaxedFma);
  const bytes = WebAssembly.validate(relaxed) ? relaxed : assemble(mulAdd);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const run = () => exports.loop(iterations, 1024);
  return { run, outcome: () => ({ floats: new Float32Array(memory.buffer, 1024, 4 * sums).slice() }) };
}
