import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { classify } from './classify.ts';
import { decode } from './decode.ts';
import { demo } from './demo.ts';
import { distill } from './distill.ts';
import { embed } from './embed.ts';
import { fillMaskCommand } from './fillMask.ts';
import { evaluate } from './evaluate.ts';
import { forward } from './forward.ts';
import { info } from './info.ts';
import { inspect } from './inspect.ts';
import { ner } from './ner.ts';
import { parity } from './parity.ts';
import { pretrain } from './pretrain.ts';
import { prune } from './prune.ts';
import { qa } from './qa.ts';
import { quantize } from './quantize.ts';
import { rerankCommand } from './rerank.ts';
import { search } from './search.ts';
import { similarity } from './similarity.ts';
import { summarize } from './summarize.ts';
import { tokenize } from './tokenize.ts';
import { zeroShot } from './zeroShot.ts';
import { train } from './train.ts';
import { trainTokenizer } from './trainTokenizer.ts';

/** Every command, in the order of the help text. */
export const commands: readonly ((io: Io) => Command)[] = [
  tokenize,
  decode,
  embed,
  similarity,
  search,
  rerankCommand,
  classify,
  zeroShot,
  ner,
  qa,
  fillMaskCommand,
  summarize,
  forward,
  parity,
  inspect,
  info,
  quantize,
  train,
  evaluate,
  pretrain,
  distill,
  prune,
  trainTokenizer,
  demo,
];
