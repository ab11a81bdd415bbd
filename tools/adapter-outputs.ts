/**
 * Prints as JSON what a model gives here for some token ids, with an adapter beside it and merged; for
 * tools/reference/adapters.py compare, which compares the numbers with those of PEFT and transformers.
 *
 *     npx tsx tools/adapter-outputs.ts BASE ADAPTER MERGED
 */
import { loadAnyModel, loadWithAdapter, type AnyOutput, type BertPreTrainedModel } from '../src/bert/index.ts';

const [base, adapter, merged] = process.argv.slice(2);
const inputIds = [
  [101, 3000, 2003, 1996, 103, 1997, 2605, 1012, 102],
  [101, 2054, 1037, 6919, 2143, 999, 1045, 3866, 102],
].map((ids) => Int32Array.from(ids));

function outputs(model: BertPreTrainedModel): number[][] {
  const output = model.forward({ inputIds }) as AnyOutput;
  const { logits, startLogits, endLogits } = output as unknown as Record<
    string,
    { data: Iterable<number> } | undefined
  >;
  return [logits, startLogits, endLogits].flatMap((x) => (x === undefined ? [] : [Array.from(x.data)]));
}

const beside = outputs(await loadWithAdapter(base, adapter));
const whole = outputs(await loadAnyModel(merged));
process.stdout.write(JSON.stringify({ ids: inputIds.map((ids) => Array.from(ids)), beside, merged: whole }));
