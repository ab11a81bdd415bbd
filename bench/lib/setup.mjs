/** Makes what a run needs and is not there yet: the built package, the ONNX files, the int8 checkpoint. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bench, cache, dist, firstExisting, models, root, runtimePath } from './paths.mjs';

const MODEL = 'all-MiniLM-L6-v2';

/** @returns where the checkpoints are, and the library of the built package */
export async function setUp({ checkpoint, log }) {
  const original = firstExisting(
    [checkpoint, join(root, 'weights/original', MODEL), join(root, '../main/weights/original', MODEL)],
    'Run node tools/fetch-original.mjs, or give --checkpoint FOLDER.',
  );
  const node = runtimePath('node20');
  log('building the package');
  execFileSync(node, ['tools/build.mjs', dist], { cwd: root, stdio: 'inherit' });
  copyFileSync(join(root, 'package.json'), join(cache, 'package.json')); // bundlers read it
  if (!existsSync(join(models, 'bert-base-random/onnx/model_quantized_per_channel.onnx'))) {
    log('exporting ONNX files');
    const script = join(bench, 'export-onnx.py');
    execFileSync(runtimePath('python'), [script, models, original, '--base'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }
  return {
    original,
    int8: int8Checkpoint(original, node, log),
    base: join(models, 'bert-base-random'),
    library: await import(pathToFileURL(join(dist, 'node/index.js'))),
  };
}

/** The shipped int8 model, or what our own quantize command makes of the original. */
function int8Checkpoint(original, node, log) {
  const candidates = [join(root, 'weights', MODEL), join(root, '../main/weights', MODEL), join(cache, `int8-${MODEL}`)];
  const found = candidates.find((folder) => existsSync(join(folder, 'model.safetensors')));
  if (found) return found;
  const folder = candidates.at(-1);
  log(`quantizing to ${folder}`);
  execFileSync(node, [join(dist, 'cli/bin.js'), 'quantize', '--model', original, '--output', folder]);
  return folder;
}
