import { defineActivate } from './activation.ts';
import { defineAddScaled, defineAttention, definePackers } from './attention.ts';
import { defineBinary, defineGate } from './elementwise.ts';
import { defineLinearQ8, defineRoundRows } from './int8.ts';
import { defineLinear, defineTileRows } from './linear.ts';
import type { KernelModule } from './machine.ts';
import { defineGather, defineMatrixRows } from './matrix.ts';
import { defineNormalizeRows, definePool } from './pool.ts';
import { defineLayerNorm, defineSoftmaxRow } from './rows.ts';
import { defineSumQuadrants } from './strassen.ts';

/** The kernels of a forward pass. */
export const defineKernels: KernelModule = (module, tile, arithmetic, group) => {
  const activate = defineActivate(module, arithmetic);
  const tileRows = defineTileRows(module, tile, arithmetic);
  const softmaxRow = defineSoftmaxRow(module, arithmetic);
  defineLinear(module, tile, tileRows, activate);
  const packers = definePackers(module, tile);
  const addScaled = defineAddScaled(module, arithmetic);
  defineAttention(module, tile, tileRows, { softmaxRow, maskRow: null, addScaled, ...packers });
  defineBinary(module);
  defineGate(module, activate);
  defineLayerNorm(module, arithmetic);
  defineMatrixRows(module, 4 * tile.vectors, group);
  definePool(module, arithmetic);
  defineNormalizeRows(module);
  defineGather(module, 4 * tile.vectors, group);
  defineRoundRows(module, group);
  if (group === 2) defineSumQuadrants(module);
  defineLinearQ8(module, tile, group, activate);
};
