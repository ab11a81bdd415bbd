import { existsSync, readFileSync } from 'node:fs';
import { MemoryFiles } from '../../src/hub/index.ts';
import { parseSafetensors } from '../../src/safetensors/index.ts';

const FOLDER = new URL('../fixtures/pipelines/', import.meta.url);
const read = (name: string) => new Uint8Array(readFileSync(new URL(name, FOLDER)));

export type Checkpoint = 'sentiment' | 'topics' | 'regression' | 'ranker' | 'inference' | 'ner' | 'qa' | 'masked';

/** Families with fixtures of their own, whose tokenizers are unlike BERT's. */
export const otherFamilies = ['roberta', 'xlmRoberta', 'debertaV2'] as const;
export type PipelineFamily = 'bert' | (typeof otherFamilies)[number];

/** The files of a small checkpoint of tests/fixtures/pipelines: the encoder that all share, and a head, as two shards. */
export function pipelineFiles(
  name: Checkpoint,
  changes: Record<string, string | Uint8Array> = {},
  family: PipelineFamily = 'bert',
): Record<string, string | Uint8Array> {
  const folder = family === 'bert' ? '' : `${family}/`;
  const shards = ['encoder.safetensors', `${name}.safetensors`].map((shard) => [shard, read(folder + shard)] as const);
  const weightMap = Object.fromEntries(
    shards.flatMap(([shard, bytes]) => [...parseSafetensors(bytes, shard).tensors.keys()].map((key) => [key, shard])),
  );
  const own = ['tokenizer.json', 'tokenizer_config.json', 'vocab.txt'].filter((file) =>
    existsSync(new URL(folder + file, FOLDER)),
  );
  return {
    'config.json': new TextDecoder().decode(read(`${folder}${name}.config.json`)),
    'model.safetensors.index.json': JSON.stringify({ metadata: {}, weight_map: weightMap }),
    ...Object.fromEntries(shards),
    'tokenizer_config.json': JSON.stringify({ model_max_length: 64, do_lower_case: true }),
    ...Object.fromEntries(own.map((file) => [file, new TextDecoder().decode(read(folder + file))])),
    ...changes,
  };
}

export const pipelineModel = (
  name: Checkpoint,
  changes: Record<string, string | Uint8Array> = {},
  family: PipelineFamily = 'bert',
) => new MemoryFiles(pipelineFiles(name, changes, family));

interface PythonEntity {
  entity?: string;
  entity_group?: string;
  score: number;
  word: string;
  start: number;
  end: number;
  index?: number;
}

interface Expected {
  'text-classification': {
    model: Checkpoint;
    text: string;
    text_pair?: string;
    function?: 'sigmoid' | 'none';
    top_k?: number;
    labels: { label: string; score: number }[];
  }[];
  'zero-shot-classification': {
    labels: string[];
    options: { multi_label?: boolean; hypothesis_template?: string };
    result: { sequence: string; labels: string[]; scores: number[] };
  }[];
  'token-classification': {
    text: string;
    strategy: 'none' | 'simple' | 'first' | 'average' | 'max';
    ignore: string[];
    entities: PythonEntity[];
    /** In other families: whether the pipeline says the same; not where it knows no words. */
    same?: boolean;
  }[];
  'fill-mask': {
    text: string;
    options: { top_k?: number; targets?: string[] };
    result: { score: number; token: number; token_str: string; sequence: string }[][];
  }[];
  'question-answering': {
    question: string;
    context: string;
    options: {
      top_k?: number;
      handle_impossible_answer?: boolean;
      align_to_words?: boolean;
      max_answer_len?: number;
      max_seq_len?: number;
      doc_stride?: number;
    };
    answers: { windows: number; list: { score: number; start: number; end: number; answer: string }[] };
  }[];
  'feature-extraction': { text: string; vectors: number[][] }[];
  'integrated-gradients': {
    /** Default: sentiment. */
    model?: Checkpoint;
    text: string;
    pair: string | null;
    target: number;
    token: number | null;
    scores: number[];
    logit: number;
    baseline_logit: number;
  }[];
  'attention-rollout': { text: string; rollout: number[][] };
}

const expectedIn = (folder: string) => JSON.parse(new TextDecoder().decode(read(`${folder}expected.json`))) as Expected;

/** What transformers' pipelines answer with these checkpoints; see tools/reference/pipelines.py. */
export const expected = expectedIn('');

/** The same of every family; see tools/reference/pipelines_families.py. Features and rollout are only BERT's. */
export const expectedOf: Readonly<Record<PipelineFamily, Expected>> = {
  bert: expected,
  roberta: expectedIn('roberta/'),
  xlmRoberta: expectedIn('xlmRoberta/'),
  debertaV2: expectedIn('debertaV2/'),
};
