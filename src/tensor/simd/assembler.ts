/**
 * A small WebAssembly writer: functions are built from typed expressions, so that a kernel's source reads like its loop.
 * Only what the kernels need is here.
 * Source: WebAssembly Core Specification, §5 (binary format); relaxed SIMD proposal for `relaxed_madd`.
 */
import {
  bitsOf,
  unsigned,
  valueOf,
  type Integer,
  type Local,
  type Store,
  type Value,
  type ValueType,
} from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as v128 from './instructions/v128.ts';

const typeCodes: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const EMPTY_BLOCK = 0x40;

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
    return vector(declarations).concat(prologue, this.#code, 0x0b);
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
    const bodies = this.#functions.map(({ body }) => unsigned(body.length).concat(body));
    return new Uint8Array(
      [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00].concat(
        section(1, vector(this.#types)),
        section(2, vector([memory])),
        section(3, vector(this.#functions.map(({ type }) => unsigned(type)))),
        section(7, vector(exports)),
        section(10, vector(bodies)),
        section(0, [...string('tag'), ...string(tag)]),
      ),
    );
  }
}

export function call<R extends ValueType | null>(
  callee: FunctionReference<R>,
  values: readonly (Value | number)[],
): Value<NonNullable<R>> {
  const code = [...values.flatMap((value) => valueOf(value).code), 0x10, ...unsigned(callee.index)];
  return { type: callee.result as NonNullable<R>, code };
}

/** The addresses of rows, `stride` apart, to be moved on. */
export function rowAddresses(
  fn: FunctionBuilder,
  first: Value<'i32'>,
  stride: Value<'i32'>,
  count: number,
): Local<'i32'>[] {
  const rows = [fn.let(first)];
  while (rows.length < count) rows.push(fn.let(i32.add(rows.at(-1)!, stride)));
  return rows;
}

/** The sum of a vector's lanes, (0 + 2) + (1 + 3). */
export function sumLanes(value: Local<'v128'>): Value<'f32'> {
  const lane = (i: number) => f32x4.extract_lane(value, i);
  return f32.add(f32.add(lane(0), lane(2)), f32.add(lane(1), lane(3)));
}

// By `concat`: where a literal spreads several arrays, they go through an iterator number by number, 20 ms of a new process.
const vector = (items: readonly (readonly number[])[]): number[] => unsigned(items.length).concat(...items);
const string = (text: string): number[] => vector([...text].map((character) => [character.charCodeAt(0)]));
const section = (id: number, content: readonly number[]): number[] => [id].concat(unsigned(content.length), content);
