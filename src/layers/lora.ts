import { fillUniform, linear, randomStream, scale, type Tensor } from '../tensor/index.ts';
import { Module } from './module.ts';
import { MatrixParameter } from './weights.ts';

/** A change of low rank beside a linear layer: x ↦ (x·Aᵀ)·Bᵀ · scale, added to its output (Hu et al. 2022, arXiv:2106.09685, §4.1). */
export class LoraAdapter extends Module {
  /** A, [rank, inFeatures]. */
  readonly down: MatrixParameter;
  /** B, [outFeatures, rank]. */
  readonly up: MatrixParameter;
  readonly scale: number;

  /** @param name of the layer it belongs to */
  constructor(name: string, down: MatrixParameter, up: MatrixParameter, scale: number) {
    super(name);
    this.down = down;
    this.up = up;
    this.scale = scale;
  }

  /**
   * Untrained: A uniform within ±1/√inFeatures, as PEFT starts it, and B zero, so that at first nothing is changed.
   *
   * @param weight of the layer, [outFeatures, inFeatures]
   */
  static beside(name: string, weight: MatrixParameter, { rank, alpha, seed = 0 }: LoraOptions): LoraAdapter {
    const { engine, shape } = weight;
    const [outFeatures, inFeatures] = shape;
    const values = new Float64Array(rank * inFeatures);
    fillUniform(values, 1 / Math.sqrt(inFeatures), randomStream(seed, `${name}.lora_A`));
    const down = engine.keepMatrix(rank, inFeatures, 'f32');
    down.set(values);
    const up = engine.keepMatrix(outFeatures, rank, 'f32');
    return new LoraAdapter(
      name,
      new MatrixParameter(`${name}.lora_A.weight`, down),
      new MatrixParameter(`${name}.lora_B.weight`, up),
      alpha / rank,
    );
  }

  /** x: [rows, inFeatures] → [rows, outFeatures] */
  forward(x: Tensor): Tensor {
    return scale(linear(linear(x, this.down), this.up), this.scale);
  }

  /** scale · B·A, row-major: what it adds to the layer's weight. */
  delta(): Float64Array {
    const [rank, inFeatures] = this.down.shape;
    const [outFeatures] = this.up.shape;
    const [a, b] = [this.down.toTensor().data, this.up.toTensor().data];
    const sum = new Float64Array(outFeatures * inFeatures);
    for (let o = 0; o < outFeatures; o++) {
      for (let r = 0; r < rank; r++) {
        const factor = this.scale * b[o * rank + r];
        for (let i = 0; i < inFeatures; i++) sum[o * inFeatures + i] += factor * a[r * inFeatures + i];
      }
    }
    return sum;
  }
}

export interface LoraOptions {
  rank: number;
  /** The change is multiplied by alpha / rank. */
  alpha: number;
  seed?: number;
}
