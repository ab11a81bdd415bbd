// Writes PARITY.md: every class, what it was compared with, and how far off it was, from the committed fixtures.
//
//     npx tsx tools/support-table.ts
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BertModel, loadAnyModel } from '../src/bert/index.ts';
import type { MemoryFiles } from '../src/hub/index.ts';
import { compareWithReference, runReference } from '../src/parity/index.ts';
import { Engine, type Engine as AnyEngine } from '../src/tensor/index.ts';
import {
  checkpoints,
  classFiles,
  families,
  fileContents,
  loadReference,
  modelFiles,
  referenceLabels,
} from '../tests/support/fixtures.ts';
import { root } from '../tests/support/paths.ts';

const engines = {
  reference: new Engine({ kernels: 'reference' }),
  simd: new Engine({ kernels: 'simd' }),
  float64: new Engine({ dtype: 'float64' }),
};

interface Row {
  references: number;
  tensors: number;
  oracle: string;
  errors: Record<keyof typeof engines, number>;
}
const rows = new Map<string, Row>();

async function measure(checkpoint: string, label: string, files: MemoryFiles, encoder: boolean): Promise<void> {
  const float32 = loadReference(checkpoint, 'f32', label);
  const metadata = (key: string) => float32.metadata.get(key)!;
  const oracle = `transformers ${metadata('transformers')}, torch ${metadata('torch')}`;
  const none = { reference: 0, simd: 0, float64: 0 };
  const row = rows.get(metadata('class')) ?? { references: 0, tensors: 0, oracle, errors: none };
  rows.set(metadata('class'), row);
  row.references++;
  for (const [name, engine] of Object.entries(engines) as [keyof typeof engines, AnyEngine][]) {
    const wide = name === 'float64';
    if (wide && !referenceLabels(checkpoint, 'f64').includes(label)) continue;
    const reference = wide ? loadReference(checkpoint, 'f64', label) : float32;
    const model = await (encoder ? BertModel.fromPretrained(files, { engine }) : loadAnyModel(files, { engine }));
    const outputs = runReference(model, reference, { hiddenStates: true, attentions: true, activations: true });
    const { comparisons, missing } = compareWithReference(reference, outputs);
    if (missing.length > 0) throw new Error(`${checkpoint} ${label}: no ${missing.join(', ')}`);
    row.errors[name] = Math.max(row.errors[name], ...comparisons.map(({ max_rel }) => max_rel));
    if (name === 'reference') row.tensors += comparisons.length;
  }
}

for (const checkpoint of checkpoints) {
  for (const label of referenceLabels(checkpoint)) {
    const config = `config.${label}.json`;
    const files = modelFiles(checkpoint, config in fileContents(checkpoint) ? { config } : {});
    await measure(checkpoint, label, files, label === 'BertModel');
  }
}
for (const family of families) {
  for (const label of referenceLabels(`families/${family}`)) {
    await measure(`families/${family}`, label, classFiles(family, label.split('.')[0]), false);
  }
}

const text = `# Parity

Every model class against PyTorch, as \`npx tsx tools/support-table.ts\` measured it on the committed fixtures (tests/fixtures/bert and
tests/fixtures/families: small checkpoints of random weights; rows padded on the right, and for the encoders on the left and with holes
in the mask). An error is the largest |ours − PyTorch's| of a tensor over its largest |value|; the largest of all tensors is shown:
hidden states, attentions, logits, and what each module returns. float32 is compared with PyTorch's float32, whose own rounding
is most of the difference; float64 with its float64. The tests hold each class to 1e-5 (BERT to 4e-6), and 1e-12.

| class | references | tensors | float32, reference kernels | float32, SIMD | float64 | oracle |
|---|---|---|---|---|---|---|
${[...rows]
  .map(([name, { references, tensors, oracle, errors }]) => {
    const error = (kind: keyof typeof engines) => (errors[kind] === 0 ? '–' : errors[kind].toExponential(1));
    return `| ${name} | ${references} | ${tensors} | ${error('reference')} | ${error('simd')} | ${error('float64')} | ${oracle} |`;
  })
  .join('\n')}
`;
writeFileSync(join(root, 'PARITY.md'), text);
