import { show, TokenizerError } from '../errors.ts';

/**
 * A value in a JSON file together with its path, so that each malformed field gives one clear error that names it:
 * `tokenizer.json: model.max_input_chars_per_word: expected a whole number, got "many"`.
 */
export class JsonField {
  readonly file: string;
  readonly path: string;
  readonly value: unknown;

  constructor(file: string, value: unknown, path = '') {
    this.file = file;
    this.value = value;
    this.path = path;
  }

  /** A member of this object; `isMissing` when there is none, or null. */
  get(key: string): JsonField {
    const members = this.members();
    const value = Object.hasOwn(members, key) ? members[key] : undefined;
    return new JsonField(this.file, value, this.path === '' ? key : `${this.path}.${key}`);
  }

  get isMissing(): boolean {
    return this.value === undefined || this.value === null;
  }

  /** What `read` makes of this; undefined when it is missing. */
  optional<T>(read: (field: JsonField) => T): T | undefined {
    return this.isMissing ? undefined : read(this);
  }

  members(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) this.fail('an object');
    return this.value as Record<string, unknown>;
  }

  entries(): [string, JsonField][] {
    return Object.keys(this.members()).map((key) => [key, this.get(key)]);
  }

  /** What `read` makes of each item of this array. */
  array<T>(read: (item: JsonField) => T): T[] {
    if (!Array.isArray(this.value)) this.fail('an array');
    return this.value.map((_, index) => read(this.at(index)));
  }

  /** An item of this array. */
  at(index: number): JsonField {
    return new JsonField(this.file, (this.value as unknown[])[index], `${this.path}[${index}]`);
  }

  string(): string {
    return typeof this.value === 'string' ? this.value : this.fail('a string');
  }

  boolean(): boolean {
    return typeof this.value === 'boolean' ? this.value : this.fail('true or false');
  }

  /** A whole number, 0 or more, such as an id or a count. */
  count(): number {
    const { value } = this;
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
      ? value
      : this.fail('a whole number, 0 or more');
  }

  /** @throws TokenizerError */
  fail(expected: string, fix?: string): never {
    const what = `${this.file}: ${this.path === '' ? 'the file' : this.path}`;
    const got = this.value === undefined ? 'nothing' : show(this.value);
    throw new TokenizerError({ what, expected, got, ...(fix !== undefined && { fix }) });
  }

  /**
   * What the reader that the table has for this object's `type` makes of it. Readers of sequences get a reader for their
   * items, by the same table.
   *
   * @throws TokenizerError for a type that is not in the table, by name
   */
  byType<T>(table: Readers<T>): T {
    const type = this.get('type');
    const name = type.string();
    if (!Object.hasOwn(table, name)) {
      const fix = 'use a tokenizer made of these stages; others are not supported';
      type.fail(`one of ${Object.keys(table).join(', ')}`, fix);
    }
    return table[name](this, (item) => item.byType(table));
  }
}

/** How to read each type of a stage, by name. A tokenizer holds only the tables it may need, so that a bundle does too. */
export type Readers<T> = Readonly<Record<string, (json: JsonField, readItem: (json: JsonField) => T) => T>>;
