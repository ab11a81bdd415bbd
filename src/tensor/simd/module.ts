import { defineActivate } from './activation.ts';
import type { Arithmetic } from './arithmetic.ts';
import { ModuleBuilder } from './assembler.ts';
import { defineAttention, definePackKeys } from './attention.ts';
import { defineBinary, defineGate } from './elementwise.ts';
import { defineLinearQ8, defineRoundRows } from './int8.ts';
import { defineGather, defineMatrixRows } from './matrix.ts';
import { defineLinear, defineTileRows, type Tile } from './linear.ts';
import { defineRotary, defineTerms } from './positions.ts';
import { defineLayerNorm, defineSoftmaxRow } from './rows.ts';

/**
 * All kernels for one tile and arithmetic. `tag` goes into a custom section: V8 caches modules by their bytes, process-wide,
 * so that a module compiled before a flag was set would stay as it was.
 */
export function assembleKernels(
  tile: Tile,
  arithmetic: Arithmetic,
  pages: { initial: number; maximum: number; shared: boolean },
  tag: string,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const activate = defineActivate(module, arithmetic);
  const tileRows = defineTileRows(module, tile, arithmetic);
  const softmaxRow = defineSoftmaxRow(module, arithmetic);
  defineLinear(module, tile, tileRows, activate);
  const packKeys = definePackKeys(module, 4 * tile.vectors);
  defineAttention(module, tile, arithmetic, tileRows, softmaxRow, packKeys);
  defineTerms(module, tile, tileRows, packKeys);
  defineRotary(module);
  defineBinary(module);
  defineGate(module, activate);
  defineLayerNorm(module, arithmetic);
  defineMatrixRows(module, 4 * tile.vectors);
  defineGather(module, 4 * tile.vectors);
  defineRoundRows(module);
  defineLinearQ8(module, tile, activate);
  return module.assemble(pages, tag);
}
