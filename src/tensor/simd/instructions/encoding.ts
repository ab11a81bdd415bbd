/**
 * What instructions are made by. They are functions, in one file per type, so that a bundle has those that its kernels use;
 * for that, making one has no side effects, as bundlers are told. Their names are the specification's.
 */

export type ValueType = 'i32' | 'f32' | 'f64' | 'v128';

/** An expression: the instructions that leave one value on the stack. Using it twice computes it twice; see `let`. */
export interface Value<T extends ValueType = ValueType> {
  readonly type: T;
  readonly code: readonly number[];
}

/** A local variable; as an expression, its current value. */
export interface Local<T extends ValueType = ValueType> extends Value<T> {
  readonly index: number;
}

/** An i32, which may be given as a number. */
export type Integer = Value<'i32'> | number;

/** A store to memory, for `FunctionBuilder.store`. */
export interface Store {
  readonly code: readonly number[];
}

export type Address = Value<'i32'>;

/* @__NO_SIDE_EFFECTS__ */
export const unary =
  <A extends ValueType, R extends ValueType>(type: R, opcode: readonly number[]) =>
  (a: Value<A>): Value<R> => ({ type, code: [...a.code, ...opcode] });

/* @__NO_SIDE_EFFECTS__ */
export const binary =
  <A extends ValueType, R extends ValueType>(type: R, opcode: readonly number[]) =>
  (a: Value<A>, b: Value<A>): Value<R> => ({ type, code: [...a.code, ...b.code, ...opcode] });

/* @__NO_SIDE_EFFECTS__ */
export const ternary =
  (opcode: readonly number[]) =>
  (a: Value<'v128'>, b: Value<'v128'>, c: Value<'v128'>): Value<'v128'> => ({
    type: 'v128',
    code: [...a.code, ...b.code, ...c.code, ...opcode],
  });

/* @__NO_SIDE_EFFECTS__ */
export const integers =
  (opcode: number) =>
  (a: Integer, b: Integer): Value<'i32'> => ({ type: 'i32', code: [...valueOf(a).code, ...valueOf(b).code, opcode] });

/** A load of `2 ** alignment` aligned bytes at address + offset. */
/* @__NO_SIDE_EFFECTS__ */
export const loading =
  <R extends ValueType>(type: R, alignment: number, opcode: readonly number[]) =>
  (address: Address, offset = 0): Value<R> => ({
    type,
    code: [...address.code, ...opcode, alignment, ...unsigned(offset)],
  });

/* @__NO_SIDE_EFFECTS__ */
export const storing =
  <A extends ValueType>(alignment: number, opcode: readonly number[]) =>
  (address: Address, value: Value<A>, offset = 0): Store => ({
    code: [...address.code, ...value.code, ...opcode, alignment, ...unsigned(offset)],
  });

/* @__NO_SIDE_EFFECTS__ */
export const simd = (opcode: number) => [0xfd, ...unsigned(opcode)];

/* @__NO_SIDE_EFFECTS__ */
export const vectorUnary = (opcode: number) => unary<'v128', 'v128'>('v128', simd(opcode));

/* @__NO_SIDE_EFFECTS__ */
export const vectorBinary = (opcode: number) => binary<'v128', 'v128'>('v128', simd(opcode));

/* @__NO_SIDE_EFFECTS__ */
export const extracting =
  <R extends ValueType>(type: R, opcode: number) =>
  (vector: Value<'v128'>, lane: number): Value<R> => ({ type, code: [...vector.code, ...simd(opcode), lane] });

/* @__NO_SIDE_EFFECTS__ */
export const shifting =
  (opcode: number) =>
  (vector: Value<'v128'>, bits: number): Value<'v128'> => ({
    type: 'v128',
    code: [...vector.code, ...integer(bits).code, ...simd(opcode)],
  });

export function unsigned(value: number): number[] {
  const bytes = [];
  do {
    const low = value & 0x7f;
    value >>>= 7;
    bytes.push(value === 0 ? low : low | 0x80);
  } while (value !== 0);
  return bytes;
}

export function signed(value: number): number[] {
  const bytes = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    if ((value === 0 && !(low & 0x40)) || (value === -1 && low & 0x40)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

export const bitsOf = (value: number): number => new Int32Array(Float32Array.of(value).buffer)[0];

export const integer = (value: number): Value<'i32'> => ({ type: 'i32', code: [0x41, ...signed(value)] });

export const valueOf = <T extends ValueType>(value: Value<T> | number) =>
  typeof value === 'number' ? (integer(value) as Value<T>) : value;
