import { defineActivateWithSlopes } from './activationBackward.ts';
import { defineAddScaled, defineAttention, definePackers } from './attention.ts';
import { defineAttentionBackward } from './attentionBackward.ts';
import { defineAddPanel, defineProduct, defineTileRows } from './linear.ts';
import type { KernelModule } from './machine.ts';
import { defineMaskRow } from './mask.ts';
import { defineProductOfQuarters, defineSumQuarters } from './quarters.ts';
import { defineSoftmaxRow } from './rows.ts';
import { defineAdamW, defineAddRow, defineAddRows, defineLayerNormBackward, defineSumSquares } from './rowsBackward.ts';
import { defineSumPanels, defineTranspose, defineTurnPanel } from './transpose.ts';

/** The kernels that training adds, and `attention` with dropout in place of the one without. */
export const defineBackwardKernels: KernelModule = (module, tile, arithmetic) => {
  const tileRows = defineTileRows(module, tile, arithmetic);
  const functions = {
    softmaxRow: defineSoftmaxRow(module, arithmetic),
    maskRow: defineMaskRow(module),
    addScaled: defineAddScaled(module, arithmetic),
    ...definePackers(module, tile),
  };
  defineAttention(module, tile, tileRows, functions);
  const addPanel = defineAddPanel(module, tile, tileRows);
  const product = defineProduct(module, tile, addPanel);
  const addRows = defineAddRows(module);
  defineSumQuarters(module);
  defineProductOfQuarters(module, tile, addPanel, addRows);
  const transpose = defineTranspose(module);
  defineTurnPanel(module, 4 * tile.vectors, transpose);
  defineSumPanels(module, tile.vectors);
  defineAttentionBackward(module, tile, arithmetic, { ...functions, product, transpose, addRows });
  defineLayerNormBackward(module, arithmetic);
  defineActivateWithSlopes(module, arithmetic);
  defineAddRow(module, 4 * tile.vectors);
  defineAdamW(module, arithmetic);
  defineSumSquares(module, arithmetic);
};
