import { defineActivate, defineActivateBackward } from './activation.ts';
import type { Arithmetic } from './arithmetic.ts';
import { ModuleBuilder } from './assembler.ts';
import { defineAddScaled, defineAttention, definePackers } from './attention.ts';
import { defineAttentionBackward } from './attentionBackward.ts';
import { defineBinary, defineGate } from './elementwise.ts';
import { defineLinearQ8, defineRoundRows, type Group } from './int8.ts';
import { defineGather, defineMatrixRows } from './matrix.ts';
import { defineLinear, defineProduct, defineTileRows, type Tile } from './linear.ts';
import { defineMaskRow } from './mask.ts';
import { defineRotary, defineTerms } from './positions.ts';
import { defineLayerNorm, defineSoftmaxRow } from './rows.ts';
import { defineAdamW, defineAddRow, defineLayerNormBackward, defineSumSquares } from './rowsBackward.ts';
import { defineSumPanels, defineTranspose, defineTurnPanel } from './transpose.ts';

/**
 * All kernels for one tile and arithmetic, with int8 weights in groups of so many. `tag` goes into a custom section: V8 caches modules by their bytes, process-wide,
 * so that a module compiled before a flag was set would stay as it was.
 */
export function assembleKernels(
  tile: Tile,
  arithmetic: Arithmetic,
  group: Group,
  pages: { initial: number; maximum: number; shared: boolean },
  tag: string,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const activate = defineActivate(module, arithmetic);
  const tileRows = defineTileRows(module, tile, arithmetic);
  const softmaxRow = defineSoftmaxRow(module, arithmetic);
  defineLinear(module, tile, tileRows, activate);
  const packers = definePackers(module, tile);
  const maskRow = defineMaskRow(module);
  const addScaled = defineAddScaled(module, arithmetic);
  defineAttention(module, tile, tileRows, { softmaxRow, maskRow, addScaled, ...packers });
  defineTerms(module, tile, tileRows, packers.packKeys);
  defineRotary(module);
  defineBinary(module);
  defineGate(module, activate);
  defineLayerNorm(module, arithmetic);
  defineMatrixRows(module, 4 * tile.vectors, group);
  defineGather(module, 4 * tile.vectors, group);
  defineRoundRows(module, group);
  defineLinearQ8(module, tile, group, activate);
  const product = defineProduct(module, tile, tileRows);
  const transpose = defineTranspose(module);
  defineTurnPanel(module, 4 * tile.vectors, transpose);
  defineSumPanels(module, tile.vectors);
  defineAttentionBackward(module, tile, arithmetic, {
    ...{ product, transpose, softmaxRow, maskRow, addScaled },
    ...packers,
  });
  defineLayerNormBackward(module, arithmetic);
  defineActivateBackward(module, arithmetic);
  defineAddRow(module, 4 * tile.vectors);
  defineAdamW(module, arithmetic);
  defineSumSquares(module, arithmetic);
  return module.assemble(pages, tag);
}
