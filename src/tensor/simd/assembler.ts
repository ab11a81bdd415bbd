/**
 * A small WebAssembly writer: functions are built from typed expressions, so that a kernel's source reads like its loop.
 * Instructions carry the names of the specification. Only what the kernels need is here.
 * Source: WebAssembly Core Specification, §5 (binary format); relaxed SIMD proposal for `relaxed_madd`.
 */
export type ValueType = 'i32' | 'f32' | 'f64' | 'v128';

const typeCodes: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const EMPTY_BLOCK = 0x40;

/** An expression: the instructions that leave one value on the stack. Using it twice computes it twice; see `let`. */
export interface Value<T extends ValueType = ValueType> {
  readonly type: T;
  readonly code: readonly number[];
}

/** An i32, which may be given as a number. */
export type Integer = Value<'i32'> | number;

/** A local variable; as an expression, its current value. */
export interface Local<T extends ValueType = ValueType> extends Value<T> {
  readonly index: number;
}

export interface FunctionReference<R extends ValueType | null = ValueType | null> {
  readonly index: number;
  readonly result: R;
}

/** The types of parameters, one letter each. */
type Letter = 'i' | 'f' | 'v';
const letters: Record<Letter, ValueType> = { i: 'i32', f: 'f32', v: 'v128' };

/** The arguments of a signature: of `'iif'` two i32 and an f32. */
type Arguments<S extends string> = S extends `${infer L extends Letter}${infer Rest}`
  ? [Local<{ i: 'i32'; f: 'f32'; v: 'v128' }[L]>, ...Arguments<Rest>]
  : [];

/** One function under construction. Methods append instructions in the order of the calls. */
export class FunctionBuilder {
  readonly #code: number[] = [];
  readonly #locals: ValueType[] = [];
  readonly #parameterCount: number;
  /** By their bits, which tell -0 from 0. */
  readonly #constants = new Map<number, Local<'v128'>>();

  constructor(parameterCount: number) {
    this.#parameterCount = parameterCount;
  }

  /** A new local; it starts at zero each time the function is entered. */
  local<T extends ValueType>(type: T): Local<T> {
    const index = this.#parameterCount + this.#locals.push(type) - 1;
    return { type, index, code: [0x20, ...unsigned(index)] };
  }

  /** As many new locals as are taken: `const [from, to] = fn.locals('i32')`. */
  *locals<T extends ValueType>(type: T): Generator<Local<T>, never> {
    for (;;) yield this.local(type);
  }

  /** A new local that holds the value from here on. */
  let<T extends ValueType>(value: Value<T>): Local<T> {
    const local = this.local(value.type);
    this.set(local, value);
    return local;
  }

  /** Four lanes of one number, set up once where the function begins. */
  constant(value: number): Local<'v128'> {
    const bits = bitsOf(value);
    const known = this.#constants.get(bits) ?? this.local('v128');
    this.#constants.set(bits, known);
    return known;
  }

  set<T extends ValueType>(local: Local<T>, value: Value<T>): void {
    this.#code.push(...value.code, 0x21, ...unsigned(local.index));
  }

  /** local += amount */
  advance(local: Local<'i32'>, amount: Integer): void {
    this.set(local, i32.add(local, amount));
  }

  store(statement: Store): void {
    this.#code.push(...statement.code);
  }

  /** Leaves the function with this value. Without one, falling off the end does it. */
  return(value: Value): void {
    this.#code.push(...value.code, 0x0f);
  }

  call(callee: FunctionReference<null>, ...values: (Value | number)[]): void {
    this.#code.push(...call(callee, values).code);
  }

  /** Computes a value for the sake of the computing. */
  drop(value: Value): void {
    this.#code.push(...value.code, 0x1a);
  }

  /** Runs the body `count` times; a count of 0 or less runs it not at all. */
  repeat(count: Value<'i32'>, body: () => void): void {
    const left = this.let(count);
    this.if(i32.gt_s(left, 0), () => this.#untilZero(left, 1, body));
  }

  /** The same for a count that is known to be at least 1, as the innermost loops have it. */
  repeatAtLeastOnce(count: Value<'i32'>, body: () => void): void {
    this.#untilZero(this.let(count), 1, body);
  }

  /**
   * The same with `times` copies of the body in one round, each told its number, and `advance` at the end of a whole round.
   * Between copies the loop may end, so that any count goes, and so that V8 computes a copy before it loads for the next.
   */
  repeatUnrolled(count: Value<'i32'>, times: number, body: (copy: number) => void, advance: () => void): void {
    const left = this.let(count);
    this.#code.push(0x02, EMPTY_BLOCK, 0x03, EMPTY_BLOCK);
    for (let copy = 0; copy < times; copy++) {
      if (copy > 0) this.#code.push(...i32.eq(left, copy).code, 0x0d, 1);
      body(copy);
    }
    advance();
    this.#code.push(...i32.sub(left, times).code, 0x22, ...unsigned(left.index), 0x0d, 0, 0x0b, 0x0b);
  }

  /** Runs the body while `condition` holds, tested before each round. */
  while(condition: Value<'i32'>, body: () => void): void {
    this.if(condition, () => {
      this.#code.push(0x03, EMPTY_BLOCK);
      body();
      this.#code.push(...condition.code, 0x0d, 0, 0x0b);
    });
  }

  if(condition: Value<'i32'>, then: () => void, otherwise?: () => void): void {
    this.#code.push(...condition.code, 0x04, EMPTY_BLOCK);
    then();
    if (otherwise) {
      this.#code.push(0x05);
      otherwise();
    }
    this.#code.push(0x0b);
  }

  #untilZero(left: Local<'i32'>, step: number, body: () => void): void {
    this.#code.push(0x03, EMPTY_BLOCK);
    body();
    // left -= step, and go round again unless it is zero
    this.#code.push(...i32.sub(left, step).code, 0x22, ...unsigned(left.index), 0x0d, 0, 0x0b);
  }

  /** The body as the binary format wants it: local declarations in runs of one type, then the instructions. */
  assemble(): number[] {
    const runs: { count: number; type: ValueType }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ count: 1, type });
    }
    const declarations = runs.map(({ count, type }) => [...unsigned(count), typeCodes[type]]);
    const prologue = [...this.#constants].flatMap(([bits, { index }]) => [
      ...v128.const(bits).code,
      0x21,
      ...unsigned(index),
    ]);
    return [...vector(declarations), ...prologue, ...this.#code, 0x0b];
  }
}

/** A module with one imported memory, `env.memory`, and exported functions. */
export class ModuleBuilder {
  readonly #types: number[][] = [];
  readonly #functions: { name: string; type: number; body: number[] }[] = [];

  /** Adds and exports a function with parameters of the types that `signature` spells. The body is written through `fn`. */
  define<S extends string, V extends Value | void>(
    name: string,
    signature: S,
    body: (fn: FunctionBuilder, ...args: Arguments<S>) => V,
  ): FunctionReference<V extends Value<infer R> ? R : null> {
    const types = Array.from(signature, (letter) => letters[letter as Letter]);
    const fn = new FunctionBuilder(types.length);
    const args = types.map((type, index) => ({ type, index, code: [0x20, ...unsigned(index)] }));
    const result = body(fn, ...(args as Arguments<S>));
    const code = fn.assemble();
    if (result) code.splice(-1, 0, ...result.code); // its value is left on the stack at the end
    const results = result ? [[typeCodes[result.type]]] : [];
    const type = [0x60, ...vector(types.map((type) => [typeCodes[type]])), ...vector(results)];
    this.#types.push(type);
    this.#functions.push({ name, type: this.#types.length - 1, body: code });
    return { index: this.#functions.length - 1, result: (result?.type ?? null) as V extends Value<infer R> ? R : null };
  }

  /** The bytes of the module. `pages` are the limits of the memory it will be given; `tag` is kept in a custom section. */
  assemble(pages: { initial: number; maximum: number; shared: boolean }, tag = ''): Uint8Array<ArrayBuffer> {
    const limits = [pages.shared ? 3 : 1, ...unsigned(pages.initial), ...unsigned(pages.maximum)];
    const memory = [...string('env'), ...string('memory'), 2, ...limits];
    const exports = this.#functions.map(({ name }, index) => [...string(name), 0, ...unsigned(index)]);
    const bodies = this.#functions.map(({ body }) => [...unsigned(body.length), ...body]);
    return Uint8Array.from([
      ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
      ...section(1, vector(this.#types)),
      ...section(2, vector([memory])),
      ...section(3, vector(this.#functions.map(({ type }) => unsigned(type)))),
      ...section(7, vector(exports)),
      ...section(10, vector(bodies)),
      ...section(0, [...string('tag'), ...string(tag)]),
    ]);
  }
}

export function call<R extends ValueType | null>(
  callee: FunctionReference<R>,
  values: readonly (Value | number)[],
): Value<NonNullable<R>> {
  const code = [...values.flatMap((value) => valueOf(value).code), 0x10, ...unsigned(callee.index)];
  return { type: callee.result as NonNullable<R>, code };
}

/** A store to memory, for `FunctionBuilder.store`. */
export interface Store {
  readonly code: readonly number[];
}

type Address = Value<'i32'>;

const unary =
  <A extends ValueType, R extends ValueType>(type: R, ...opcode: number[]) =>
  (a: Value<A>): Value<R> => ({ type, code: [...a.code, ...opcode] });

const binary =
  <A extends ValueType, R extends ValueType>(type: R, ...opcode: number[]) =>
  (a: Value<A>, b: Value<A>): Value<R> => ({ type, code: [...a.code, ...b.code, ...opcode] });

const ternary =
  (...opcode: number[]) =>
  (a: Value<'v128'>, b: Value<'v128'>, c: Value<'v128'>): Value<'v128'> => ({
    type: 'v128',
    code: [...a.code, ...b.code, ...c.code, ...opcode],
  });

const valueOf = <T extends ValueType>(value: Value<T> | number) =>
  typeof value === 'number' ? (i32.const(value) as Value<T>) : value;

const integers =
  (opcode: number) =>
  (a: Integer, b: Integer): Value<'i32'> =>
    binary<'i32', 'i32'>('i32', opcode)(valueOf(a), valueOf(b));

/** A load of `2 ** alignment` aligned bytes at address + offset. */
const load =
  <R extends ValueType>(type: R, alignment: number, ...opcode: number[]) =>
  (address: Address, offset = 0): Value<R> => ({
    type,
    code: [...address.code, ...opcode, alignment, ...unsigned(offset)],
  });

const store =
  <A extends ValueType>(alignment: number, ...opcode: number[]) =>
  (address: Address, value: Value<A>, offset = 0): Store => ({
    code: [...address.code, ...value.code, ...opcode, alignment, ...unsigned(offset)],
  });

const simd = (opcode: number) => [0xfd, ...unsigned(opcode)];
export const vectorUnary = (opcode: number) => unary<'v128', 'v128'>('v128', ...simd(opcode));
export const vectorBinary = (opcode: number) => binary<'v128', 'v128'>('v128', ...simd(opcode));

export const i32 = {
  const: (value: number): Value<'i32'> => ({ type: 'i32', code: [0x41, ...signed(value)] }),
  load: load('i32', 2, 0x28),
  load8_s: load('i32', 0, 0x2c),
  load16_s: load('i32', 1, 0x2e),
  load16_u: load('i32', 1, 0x2f),
  reinterpret_f32: unary<'f32', 'i32'>('i32', 0xbc),
  store: store<'i32'>(2, 0x36),
  store8: store<'i32'>(0, 0x3a),
  store16: store<'i32'>(1, 0x3b),
  eq: integers(0x46),
  ne: integers(0x47),
  lt_s: integers(0x48),
  ge_u: integers(0x4f),
  gt_s: integers(0x4a),
  ge_s: integers(0x4e),
  add: integers(0x6a),
  sub: integers(0x6b),
  mul: integers(0x6c),
  div_u: integers(0x6e),
  and: integers(0x71),
  or: integers(0x72),
  xor: integers(0x73),
  shl: integers(0x74),
  shr_u: integers(0x76),
  /** a where the condition holds, else b; both are computed. */
  select: (a: Integer, b: Integer, condition: Value<'i32'>): Value<'i32'> => ({
    type: 'i32',
    code: [...valueOf(a).code, ...valueOf(b).code, ...condition.code, 0x1b],
  }),
  /** The smaller of two; each is computed twice. */
  min: (a: Integer, b: Integer): Value<'i32'> => i32.select(a, b, i32.lt_s(a, b)),
};

export const f32 = {
  const: (value: number): Value<'f32'> => ({
    type: 'f32',
    code: [0x43, ...new Uint8Array(Float32Array.of(value).buffer)],
  }),
  load: load('f32', 2, 0x2a),
  store: store<'f32'>(2, 0x38),
  add: binary<'f32', 'f32'>('f32', 0x92),
  sub: binary<'f32', 'f32'>('f32', 0x93),
  mul: binary<'f32', 'f32'>('f32', 0x94),
  div: binary<'f32', 'f32'>('f32', 0x95),
  max: binary<'f32', 'f32'>('f32', 0x97),
  sqrt: unary<'f32', 'f32'>('f32', 0x91),
  abs: unary<'f32', 'f32'>('f32', 0x8b),
  ge: binary<'f32', 'i32'>('i32', 0x60),
  convert_i32_s: unary<'i32', 'f32'>('f32', 0xb2),
  reinterpret_i32: unary<'i32', 'f32'>('f32', 0xbe),
  demote_f64: unary<'f64', 'f32'>('f32', 0xb6),
};

export const f64 = {
  /** 1, the only number that is needed. */
  one: { type: 'f64', code: [0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f] } as Value<'f64'>,
  add: binary<'f64', 'f64'>('f64', 0xa0),
  div: binary<'f64', 'f64'>('f64', 0xa3),
  sqrt: unary<'f64', 'f64'>('f64', 0x9f),
  promote_f32: unary<'f32', 'f64'>('f64', 0xbb),
};

export const v128 = {
  /** Four lanes of one bit pattern. */
  const: (lane: number): Value<'v128'> => {
    const bytes = [...new Uint8Array(Int32Array.of(lane).buffer)];
    return { type: 'v128', code: [...simd(12), ...bytes, ...bytes, ...bytes, ...bytes] };
  },
  load: load('v128', 2, ...simd(0)),
  store: store<'v128'>(2, ...simd(11)),
  /** The lower 32, or 64, bits from an address, and zeros above. */
  load32_zero: load('v128', 2, ...simd(92)),
  load64_zero: load('v128', 2, ...simd(93)),
  /** a where the mask is set, else b. */
  bitselect: ternary(...simd(82)),
  and: vectorBinary(78),
  or: vectorBinary(80),
  xor: vectorBinary(81),
  /** Four lanes of the eight of a and b, by number. */
  shuffle: (a: Value<'v128'>, b: Value<'v128'>, ...lanes: [number, number, number, number]): Value<'v128'> => ({
    type: 'v128',
    code: [...a.code, ...b.code, ...simd(13), ...lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte))],
  }),
};

export const f32x4 = {
  const: (value: number): Value<'v128'> => v128.const(bitsOf(value)),
  load: v128.load,
  store: v128.store,
  loadSplat: load('v128', 2, ...simd(9)),
  splat: unary<'f32', 'v128'>('v128', ...simd(19)),
  extract_lane: (value: Value<'v128'>, lane: number): Value<'f32'> => ({
    type: 'f32',
    code: [...value.code, ...simd(31), lane],
  }),
  add: vectorBinary(228),
  sub: vectorBinary(229),
  mul: vectorBinary(230),
  div: vectorBinary(231),
  /** b < a ? b : a, and a < b ? b : a: one instruction each, where min and max take several for their rule about NaN. */
  pmin: vectorBinary(234),
  pmax: vectorBinary(235),
  abs: vectorUnary(224),
  neg: vectorUnary(225),
  /** The larger, NaN where either is. */
  max: vectorBinary(233),
  sqrt: vectorUnary(227),
  lt: vectorBinary(67),
  convert_i32x4_s: vectorUnary(250),
  /** a · b + c, rounded once or twice as the machine likes. */
  relaxed_madd: ternary(...simd(0x105)),
};

export const f64x2 = {
  add: vectorBinary(240),
  mul: vectorBinary(242),
  /** The lower two lanes, widened. */
  promote_low_f32x4: vectorUnary(95),
  extract_lane: (value: Value<'v128'>, lane: number): Value<'f64'> => ({
    type: 'f64',
    code: [...value.code, ...simd(33), lane],
  }),
};

export const i32x4 = {
  load: v128.load,
  loadSplat: load('v128', 2, ...simd(9)),
  splat: unary<'i32', 'v128'>('v128', ...simd(17)),
  add: vectorBinary(174),
  sub: vectorBinary(177),
  mul: vectorBinary(181),
  ge_u: vectorBinary(64),
  max_s: vectorBinary(184),
  shl: (a: Value<'v128'>, bits: number): Value<'v128'> => ({
    type: 'v128',
    code: [...a.code, ...i32.const(bits).code, ...simd(171)],
  }),
  shr_u: (a: Value<'v128'>, bits: number): Value<'v128'> => ({
    type: 'v128',
    code: [...a.code, ...i32.const(bits).code, ...simd(173)],
  }),
  extract_lane: (value: Value<'v128'>, lane: number): Value<'i32'> => ({
    type: 'i32',
    code: [...value.code, ...simd(27), lane],
  }),
  /** Pairs of 16-bit products, added: the integer product's inner step. */
  dot_i16x8_s: vectorBinary(186),
  /** c + fours of 8-bit products, of int8 a and of b from 0 to 127: beyond those machines differ. */
  relaxed_dot_i8x16_i7x16_add_s: ternary(...simd(0x113)),
};

export const i16x8 = {
  /** Eight int8 at an address, widened. */
  load8x8_s: load('v128', 0, ...simd(1)),
  narrow_i32x4_s: vectorBinary(133),
  shr_u: (a: Value<'v128'>, bits: number): Value<'v128'> => ({
    type: 'v128',
    code: [...a.code, ...i32.const(bits).code, ...simd(141)],
  }),
};

export const i8x16 = {
  narrow_i16x8_s: vectorBinary(101),
};

/** The sum of a vector's lanes, (0 + 2) + (1 + 3). */
export function sumLanes(value: Local<'v128'>): Value<'f32'> {
  const lane = (i: number) => f32x4.extract_lane(value, i);
  return f32.add(f32.add(lane(0), lane(2)), f32.add(lane(1), lane(3)));
}

function unsigned(value: number): number[] {
  const bytes = [];
  do {
    const low = value & 0x7f;
    value >>>= 7;
    bytes.push(value === 0 ? low : low | 0x80);
  } while (value !== 0);
  return bytes;
}

function signed(value: number): number[] {
  const bytes = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    if ((value === 0 && !(low & 0x40)) || (value === -1 && low & 0x40)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

const bitsOf = (value: number): number => new Int32Array(Float32Array.of(value).buffer)[0];
const vector = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()];
const string = (text: string): number[] => vector([...text].map((character) => [character.charCodeAt(0)]));
const section = (id: number, content: readonly number[]): number[] => [id, ...unsigned(content.length), ...content];
