import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { decode } from './decode.ts';
import { demo } from './demo.ts';
import { embed } from './embed.ts';
import { evaluate } from './evaluate.ts';
import { forward } from './forward.ts';
import { info } from './info.ts';
import { inspect } from './inspect.ts';
import { parity } from './parity.ts';
import { quantize } from './quantize.ts';
import { search } from './search.ts';
import { similarity } from './similarity.ts';
import { tokenize } from './tokenize.ts';
import { train } from './train.ts';

/** Every command, in the order of the help text. */
export const commands: readonly ((io: Io) => Command)[] = [
  tokenize,
  decode,
  embed,
  similarity,
  search,
  forward,
  parity,
  inspect,
  info,
  quantize,
  train,
  evaluate,
  demo,
];
