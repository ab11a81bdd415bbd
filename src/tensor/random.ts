import { mix } from './kernels/mix.ts';

/**
 * Counter-based random numbers: draw n of a stream is a function of the stream and n alone, so weights and masks do not
 * depend on the order, the thread or the kernel set in which they are drawn. Not for secrets.
 */
export function randomStream(seed: number, name: string): number {
  let stream = mix(seed >>> 0);
  for (let i = 0; i < name.length; i++) stream = mix(stream ^ name.charCodeAt(i));
  return stream;
}

/** Draw n of a stream, uniform in (0, 1), in steps of 2⁻³². */
export function randomUniform(stream: number, n: number): number {
  return (mix(stream ^ mix(n)) + 0.5) * 2 ** -32;
}

/** Fills `out` with draws from the uniform distribution between -limit and limit. */
export function fillUniform(out: Float32Array | Float64Array, limit: number, stream: number): void {
  for (let i = 0; i < out.length; i++) out[i] = limit * (2 * randomUniform(stream, i) - 1);
}

/** Fills `out` with draws from the normal distribution of mean 0. Source: Box & Muller 1958. */
export function fillNormal(out: Float32Array | Float64Array, std: number, stream: number): void {
  for (let i = 0; i < out.length; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(randomUniform(stream, i)));
    const angle = 2 * Math.PI * randomUniform(stream, i + 1);
    out[i] = radius * Math.cos(angle);
    if (i + 1 < out.length) out[i + 1] = radius * Math.sin(angle);
  }
}
