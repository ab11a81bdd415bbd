import { defineActivate } from './activation.ts';
import type { Arithmetic } from './arithmetic.ts';
import { ModuleBuilder } from './assembler.ts';
import { defineAttention } from './attention.ts';
import { defineLinear, defineTileRows, type Tile } from './linear.ts';
import { defineLayerNorm, defineSoftmaxRow } from './rows.ts';

export function assembleKernels(tile: Tile, arithmetic: Arithmetic, pages: { initial: number; maximum: number; shared: boolean }): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const activate = defineActivate(module, arithmetic);
  const tileRows = defineTileRows(module, tile, arithmetic);
  const softmaxRow = defineSoftmaxRow(module, arithmetic);
  defineLinear(module, tile, tileRows, activate);
  defineAttention(module, tile, tileRows, softmaxRow);
  defineLayerNorm(module, arithmetic);
  return module.assemble(pages);
}
