import { InputError } from '../errors.ts';
import type { Labels } from '../bert/index.ts';
import type { ModelInputs } from '../layers/index.ts';
import { parseSafetensors, toFloat64, toInt32, type TensorView } from '../safetensors/index.ts';

/** A file of inputs, and of the outputs that some implementation gave for them. */
export interface Reference {
  /** Sequences as the model takes them; of multiple choice, all choices of the first question, then of the second. */
  inputs: ModelInputs;
  /** Sequences a question has: more than 1 only for multiple choice, whose `input_ids` are [B, C, S]. */
  choices: number;
  /** Rows (B, or B·C) and columns (S) of the inputs. */
  sequences: number;
  columns: number;
  /** What the loss is computed from; null when the file has no labels. */
  labels: Labels | null;
  /** attention_mask, [sequences · columns]; all 1 when the file has none. */
  mask: Int32Array;
  /** Every tensor of the file, inputs too. */
  tensors: ReadonlyMap<string, TensorView>;
  metadata: ReadonlyMap<string, string>;
}

const inputNames = ['input_ids', 'attention_mask', 'token_type_ids', 'position_ids'] as const;
const labelNames = ['labels', 'next_sentence_label', 'sentence_order_label', 'start_positions', 'end_positions'];
const outputNames =
  /^(last_hidden_state|pooler_output|sentence_embedding|loss|(\w+_)?logits|(hidden_states|attentions)\.\d+|(activations|grad)\..+)$/;

/** Whether a tensor of a reference file is something a model is given, not something it returns. */
export function isInputName(name: string): boolean {
  return (inputNames as readonly string[]).includes(name) || isLabelName(name);
}

/** Whether it is an input that serves the loss alone. */
export function isLabelName(name: string): boolean {
  return labelNames.includes(name);
}

/** Whether it is something that models return. */
export function isOutputName(name: string): boolean {
  return outputNames.test(name);
}

/**
 * Reads a reference file: safetensors with `input_ids` and, optionally, `attention_mask`, `token_type_ids` and
 * `position_ids`, each [B, S] or, for multiple choice, [B, C, S].
 *
 * @throws CheckpointError if the file is corrupt; InputError if the inputs do not fit each other
 */
export function parseReference(bytes: Uint8Array, file = 'reference'): Reference {
  const { tensors, metadata } = parseSafetensors(bytes, file);
  const ids = tensors.get('input_ids');
  if (ids === undefined || (ids.shape.length !== 2 && ids.shape.length !== 3)) {
    throw new InputError({
      what: `${file}: input_ids`,
      expected: 'a tensor [batch, tokens], or [batch, choices, tokens]',
      got: ids ? `[${ids.shape.join(', ')}]` : 'none',
    });
  }
  const columns = ids.shape.at(-1)!;
  const choices = ids.shape.length === 3 ? ids.shape[1] : 1;
  const sequences = ids.shape[0] * choices;
  const read = (name: (typeof inputNames)[number]): Int32Array | undefined => {
    const view = tensors.get(name);
    if (view === undefined) return undefined;
    // position_ids may be one row that serves all sequences.
    const broadcast = name === 'position_ids' && view.shape.length === 2 && view.shape[0] === 1;
    if (view.shape.join() !== ids.shape.join() && !(broadcast && view.shape[1] === columns)) {
      throw new InputError({
        what: `${file}: ${name}`,
        expected: `the shape of input_ids, [${ids.shape.join(', ')}]`,
        got: `[${view.shape.join(', ')}]`,
        ...(view.shape.length > ids.shape.length && {
          fix: 'mask whole tokens; masks between pairs are not supported',
        }),
      });
    }
    const values = toInt32(view);
    return broadcast ? Int32Array.from({ length: sequences * columns }, (_, i) => values[i % columns]) : values;
  };
  const rows = (values: Int32Array | undefined): Int32Array[] | undefined =>
    values && Array.from({ length: sequences }, (_, s) => values.subarray(s * columns, (s + 1) * columns));
  const mask = read('attention_mask');
  return {
    inputs: {
      inputIds: rows(read('input_ids'))!,
      attentionMask: rows(mask),
      tokenTypeIds: rows(read('token_type_ids')),
      positionIds: rows(read('position_ids')),
    },
    labels: readLabels(tensors, ids.shape),
    choices,
    sequences,
    columns,
    mask: mask ?? new Int32Array(sequences * columns).fill(1),
    tensors,
    metadata,
  };
}

/** Labels under their names in camelCase, those per token in a row for each sequence. */
function readLabels(tensors: ReadonlyMap<string, TensorView>, [rows]: readonly number[]): Labels | null {
  const read = (name: string) => {
    const view = tensors.get(name);
    if (view === undefined) return undefined;
    const values = /^(F|BF)/.test(view.dtype) ? toFloat64(view) : toInt32(view);
    if (view.shape.length < 2) return values;
    const width = values.length / rows;
    return Array.from({ length: rows }, (_, row) => values.subarray(row * width, (row + 1) * width));
  };
  const flat = (name: string) => read(name) as Int32Array | undefined;
  const given = {
    labels: read('labels'),
    nextSentenceLabel: flat('next_sentence_label'),
    sentenceOrderLabel: flat('sentence_order_label'),
    startPositions: flat('start_positions'),
    endPositions: flat('end_positions'),
  };
  const labels = Object.fromEntries(Object.entries(given).filter(([, values]) => values !== undefined)) as Labels;
  return Object.keys(labels).length > 0 ? labels : null;
}
