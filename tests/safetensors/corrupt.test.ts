import { describe, expect, test } from 'vitest';
import { headerSize, parseHeader, parseSafetensors } from '../../src/safetensors/index.ts';
import { fixture, rawFile, refusal } from './files.ts';

/** A header with these entries, which are JSON text: objects of JavaScript cannot say a key twice. */
function entries(...items: [name: string, json: string][]): string {
  return `{${items.map(([name, json]) => `"${name}":${json}`).join(',')}}`;
}

function entry(dtype: string, shape: string, offsets: string): string {
  return `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
}

/** One good U8 tensor of 4 bytes, changed in one place. */
function one(change: { dtype?: string; shape?: string; offsets?: string }, data = 4): Uint8Array {
  const { dtype = 'U8', shape = '[4]', offsets = '[0,4]' } = change;
  return rawFile(entries(['w', entry(dtype, shape, offsets)]), data);
}

const u8 = (begin: number, end: number): string => entry('U8', `[${end - begin}]`, `[${begin},${end}]`);
const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const good = fixture('safetensors/dtypes.safetensors');

const DTYPES =
  'U64 I64 F64 C64 F32 U32 I32 BF16 F16 U16 I16 F8_E5M2FNUZ F8_E4M3FNUZ F8_E8M0 F8_E4M3 F8_E5M2 I8 U8 F6_E3M2 F6_E2M3 F4 BOOL';
const AGAIN = '; download the file again';
const FIELDS = 'm, tensor "w": expected the fields dtype, shape and data_offsets, got';
const SHAPE = 'm, tensor "w", shape: expected a list of sizes from 0 to 2^53 - 1, got';
const OFFSETS = 'm, tensor "w", data_offsets: expected [begin, end] with 0 <= begin <= end < 2^53, got';

const cases: [name: string, bytes: Uint8Array, message: string][] = [
  // The length of the header
  ['an empty file', new Uint8Array(), `m: expected at least 8 bytes, got 0 bytes${AGAIN}`],
  ['seven bytes', new Uint8Array(7), `m: expected at least 8 bytes, got 7 bytes${AGAIN}`],
  [
    'a header longer than the file',
    rawFile('{}', 0, 3n),
    `m, header length: expected at most 2 bytes (what the file has), got 3${AGAIN}`,
  ],
  [
    'a header length of 2^64 - 1',
    rawFile('{}', 0, 2n ** 64n - 1n),
    `m, header length: expected at most 2 bytes (what the file has), got 18446744073709551615${AGAIN}`,
  ],
  [
    'a header over 100 MB',
    rawFile('{}', 100_000_001, 100_000_001n),
    `m, header length: expected at most 100000000 bytes (the limit of the format), got 100000001${AGAIN}`,
  ],
  [
    'a Git LFS pointer',
    text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90\n'),
    'm: expected a safetensors file, got a Git LFS pointer; run "git lfs pull" in the folder',
  ],
  [
    'a web page',
    text('<!doctype html><title>Not found</title>'),
    'm: expected a safetensors file, got an HTML page; download the file itself, not the page about it',
  ],
  [
    'a PyTorch zip',
    new Uint8Array([...text('PK\x03\x04'), 0, 0, 8, 8, 0, 0, 0, 0]),
    'm: expected a safetensors file, got a PyTorch pickle; convert it in Python: model.save_pretrained(folder, safe_serialization=True)',
  ],
  [
    'an old PyTorch pickle',
    new Uint8Array([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9]),
    'm: expected a safetensors file, got a PyTorch pickle; convert it in Python: model.save_pretrained(folder, safe_serialization=True)',
  ],
  // The header as text
  ['a header of no bytes', rawFile(''), `m, header: expected "{" at its start, got nothing${AGAIN}`],
  ['a header that starts with a space', rawFile(' {}'), `m, header: expected "{" at its start, got byte 0x20${AGAIN}`],
  ['a byte order mark', rawFile('\ufeff{}'), `m, header: expected "{" at its start, got byte 0xef${AGAIN}`],
  ['a list', rawFile('[]'), `m, header: expected "{" at its start, got byte 0x5b${AGAIN}`],
  [
    'a header that is not UTF-8',
    rawFile(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d])),
    `m, header: expected UTF-8, got other bytes${AGAIN}`,
  ],
  [
    'a surrogate in UTF-8',
    rawFile(new Uint8Array([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d])),
    `m, header: expected UTF-8, got other bytes${AGAIN}`,
  ],
  ['a header cut in its middle', rawFile('{"w":{"dty'), `m, header: expected JSON, got "{\\"w\\":{\\"dty"${AGAIN}`],
  ['a trailing comma', rawFile('{"w":1,}'), `m, header: expected JSON, got "{\\"w\\":1,}"${AGAIN}`],
  ['a header padded with NUL', rawFile('{}\0\0'), `m, header: expected JSON, got "{}\\u0000\\u0000"${AGAIN}`],
  ['NaN in the header', rawFile('{"w":NaN}'), `m, header: expected JSON, got "{\\"w\\":NaN}"${AGAIN}`],
  [
    'a name said twice',
    rawFile(entries(['w', u8(0, 4)], ['w', u8(0, 4)]), 4),
    'm, header: expected each key once, got "w" twice',
  ],
  [
    'a name said twice, once escaped',
    rawFile(entries(['w\\"', u8(0, 4)], ['\\u0077\\u0022', u8(0, 4)]), 4),
    'm, header: expected each key once, got "w\\"" twice',
  ],
  [
    'a field said twice',
    rawFile(entries(['w', '{"dtype":"U8","shape":[4],"data_offsets":[0,4],"shape" :[2,2]}']), 4),
    'm, header: expected each key once, got "shape" twice',
  ],
  [
    '__metadata__ said twice',
    rawFile('{"__metadata__":{},"__metadata__":{}}'),
    'm, header: expected each key once, got "__metadata__" twice',
  ],
  // Metadata
  [
    'metadata that is null',
    rawFile('{"__metadata__":null}'),
    'm, __metadata__: expected an object of strings, got null',
  ],
  [
    'metadata that is a list',
    rawFile('{"__metadata__":["a"]}'),
    'm, __metadata__: expected an object of strings, got ["a"]',
  ],
  ['a number in the metadata', rawFile('{"__metadata__":{"a":1}}'), 'm, __metadata__, "a": expected a string, got 1'],
  [
    'an object in the metadata',
    rawFile('{"__metadata__":{"a":{}}}'),
    'm, __metadata__, "a": expected a string, got {}',
  ],
  // The fields of an entry
  [
    'an entry that is null',
    rawFile('{"w":null}'),
    'm, tensor "w": expected an object with dtype, shape and data_offsets, got null',
  ],
  [
    'an entry that is a list',
    rawFile('{"w":[]}'),
    'm, tensor "w": expected an object with dtype, shape and data_offsets, got []',
  ],
  ['an entry without fields', rawFile('{"w":{}}'), `${FIELDS} none`],
  ['a missing dtype', rawFile('{"w":{"shape":[4],"data_offsets":[0,4]}}', 4), `${FIELDS} ["data_offsets","shape"]`],
  ['a missing shape', rawFile('{"w":{"dtype":"U8","data_offsets":[0,4]}}', 4), `${FIELDS} ["data_offsets","dtype"]`],
  ['missing offsets', rawFile('{"w":{"dtype":"U8","shape":[4]}}', 4), `${FIELDS} ["dtype","shape"]`],
  [
    'a field too many',
    rawFile('{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"strides":[1]}}', 4),
    `${FIELDS} ["data_offsets","dtype","shape","strides"]`,
  ],
  [
    'a field named __proto__ in place of one',
    rawFile('{"w":{"dtype":"U8","shape":[4],"__proto__":{"data_offsets":[0,4]}}}', 4),
    `${FIELDS} ["__proto__","dtype","shape"]`,
  ],
  // dtype
  ['an unknown dtype', one({ dtype: 'F128' }), `m, tensor "w", dtype: expected one of ${DTYPES}, got "F128"`],
  ['a dtype in lower case', one({ dtype: 'f32' }), `m, tensor "w", dtype: expected one of ${DTYPES}, got "f32"`],
  [
    'a dtype every object has',
    one({ dtype: 'constructor' }),
    `m, tensor "w", dtype: expected one of ${DTYPES}, got "constructor"`,
  ],
  [
    'a dtype that is a number',
    rawFile('{"w":{"dtype":8,"shape":[4],"data_offsets":[0,4]}}', 4),
    `m, tensor "w", dtype: expected one of ${DTYPES}, got 8`,
  ],
  // shape
  ['a negative size', one({ shape: '[-4]' }), `${SHAPE} [-4]`],
  ['two negative sizes', one({ shape: '[-2,-2]' }), `${SHAPE} [-2,-2]`],
  ['a fractional size', one({ shape: '[4.5]' }), `${SHAPE} [4.5]`],
  ['a size beyond 2^53', one({ shape: '[9007199254740993]' }), `${SHAPE} [9007199254740992]`],
  ['an infinite size', one({ shape: '[1e999]' }), `${SHAPE} [null]`],
  ['a size in quotes', one({ shape: '["4"]' }), `${SHAPE} ["4"]`],
  ['a shape that is a number', one({ shape: '4' }), `${SHAPE} 4`],
  ['a shape that is null', one({ shape: 'null' }), `${SHAPE} null`],
  ['a shape within a shape', one({ shape: '[[4]]' }), `${SHAPE} [[4]]`],
  [
    'a shape of too many elements',
    one({ shape: '[4294967296,4294967296]' }),
    'm, tensor "w", shape: expected fewer than 2^53 bytes, got [4294967296, 4294967296]',
  ],
  [
    'too many elements, then none',
    one({ shape: '[4294967296,4294967296,0]', offsets: '[0,0]' }, 0),
    'm, tensor "w", shape: expected fewer than 2^53 bytes, got [4294967296, 4294967296, 0]',
  ],
  [
    'a shape of too many bytes',
    one({ dtype: 'F64', shape: '[2251799813685248]' }),
    'm, tensor "w", shape: expected fewer than 2^53 bytes, got [2251799813685248]',
  ],
  [
    'half a byte',
    one({ dtype: 'F4', shape: '[3]' }),
    'm, tensor "w", shape: expected a multiple of F4 elements that fills whole bytes, got [3]',
  ],
  [
    'three quarters of a byte',
    one({ dtype: 'F6_E2M3', shape: '[2,3]' }),
    'm, tensor "w", shape: expected a multiple of F6_E2M3 elements that fills whole bytes, got [2, 3]',
  ],
  // data_offsets
  ['one offset', one({ offsets: '[4]' }), `${OFFSETS} [4]`],
  ['three offsets', one({ offsets: '[0,4,8]' }), `${OFFSETS} [0,4,8]`],
  ['no offsets', one({ offsets: '[]' }), `${OFFSETS} []`],
  ['offsets that are an object', one({ offsets: '{"0":0,"1":4}' }), `${OFFSETS} {"0":0,"1":4}`],
  ['offsets in quotes', one({ offsets: '["0","4"]' }), `${OFFSETS} ["0","4"]`],
  ['a negative begin', one({ offsets: '[-4,0]' }), `${OFFSETS} [-4,0]`],
  ['a fractional offset', one({ offsets: '[0.5,4.5]' }), `${OFFSETS} [0.5,4.5]`],
  ['an end before its begin', one({ offsets: '[4,0]' }), `${OFFSETS} [4,0]`],
  ['an offset beyond 2^53', one({ offsets: '[0,18446744073709551615]' }), `${OFFSETS} [0,18446744073709552000]`],
  [
    'fewer bytes than the shape needs',
    one({ dtype: 'F32' }),
    'm, tensor "w", data_offsets: expected 16 bytes for F32 [4], got 4: [0,4]',
  ],
  [
    'more bytes than the shape needs',
    one({ shape: '[]' }),
    'm, tensor "w", data_offsets: expected 1 bytes for U8 [], got 4: [0,4]',
  ],
  [
    'bytes for a shape with no elements',
    one({ shape: '[0,4]' }),
    'm, tensor "w", data_offsets: expected 0 bytes for U8 [0, 4], got 4: [0,4]',
  ],
  // The tensors together
  [
    'two tensors on the same bytes',
    rawFile(entries(['w', u8(0, 4)], ['x', u8(0, 4)]), 4),
    'm, tensor "x", data_offsets: expected a begin of 4, where tensor "w" ends, got 0: they overlap',
  ],
  [
    'two tensors that overlap by a byte',
    rawFile(entries(['x', u8(3, 7)], ['w', u8(0, 4)]), 7),
    'm, tensor "x", data_offsets: expected a begin of 4, where tensor "w" ends, got 3: they overlap',
  ],
  [
    'a tensor inside another',
    rawFile(entries(['w', u8(0, 8)], ['x', u8(2, 4)]), 8),
    'm, tensor "x", data_offsets: expected a begin of 8, where tensor "w" ends, got 2: they overlap',
  ],
  [
    'a hole between tensors',
    rawFile(entries(['w', u8(0, 4)], ['x', u8(5, 9)]), 9),
    'm, tensor "x", data_offsets: expected a begin of 4, where tensor "w" ends, got 5: there is a hole between them',
  ],
  [
    'a hole after the header',
    rawFile(entries(['w', u8(1, 5)]), 5),
    'm, tensor "w", data_offsets: expected a begin of 0, where the header ends, got 1: there is a hole between them',
  ],
  [
    'an empty tensor in the middle of another',
    rawFile(entries(['w', u8(0, 4)], ['x', u8(2, 2)]), 4),
    'm, tensor "x", data_offsets: expected a begin of 4, where tensor "w" ends, got 2: they overlap',
  ],
  // The end of the file
  [
    'a file without its last byte',
    good.subarray(0, -1),
    `m: expected 2266 bytes, where tensor "bool" ends, got 2265: the file is cut off${AGAIN}`,
  ],
  [
    'a file with a byte too many',
    new Uint8Array([...good, 0]),
    `m: expected 2266 bytes, where tensor "bool" ends, got 2267: the file goes on${AGAIN}`,
  ],
  [
    'data without tensors',
    rawFile('{}', 1),
    `m: expected 10 bytes, where the header ends, got 11: the file goes on${AGAIN}`,
  ],
  [
    'a tensor of 8 PB in a file of a few bytes',
    one({ shape: '[9007199254740000]', offsets: '[0,9007199254740000]' }),
    `m: expected 9007199254740091 bytes, where tensor "w" ends, got 95: the file is cut off${AGAIN}`,
  ],
];

describe('a corrupt file is refused in one clear line', () => {
  test.each(cases)('%s', (_, bytes, message) => {
    expect(refusal(() => parseSafetensors(bytes, 'm'))).toBe(message);
  });

  test.each([undefined, null, 'w', good.buffer, [1, 2], new Int32Array(9)])('what is no Uint8Array: %o', (bytes) => {
    for (const read of [parseSafetensors, parseHeader, headerSize] as ((bytes: unknown, ...rest: never[]) => void)[]) {
      expect(refusal(() => read(bytes))).toMatch(/^safetensors: expected a Uint8Array, got .*; pass its bytes$/);
    }
  });

  test('what it is instead shows in its first 8 bytes, which is all that a file read by pieces shows', () => {
    for (const name of ['a Git LFS pointer', 'a web page']) {
      const [, bytes, message] = cases.find((known) => known[0] === name)!;
      expect(refusal(() => headerSize(bytes.subarray(0, 8), bytes.length, 'm'))).toBe(message);
    }
  });

  test('a header nested deeper than the stack', () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const message = 'm, tensor "w": expected an object with dtype, shape and data_offsets, got [...]';
    expect(refusal(() => parseSafetensors(rawFile(`{"w":${deep}}`), 'm'))).toBe(message);
  });

  test('the same files without the fault are read', () => {
    expect(parseSafetensors(one({})).tensors.get('w')?.shape).toEqual([4]);
    expect(parseSafetensors(rawFile(entries(['x', u8(4, 8)], ['w', u8(0, 4)], ['e', u8(4, 4)]), 8)).tensors.size).toBe(
      3,
    );
    expect(parseSafetensors(one({ dtype: 'F4', shape: '[8]' })).tensors.size).toBe(1);
    expect(parseSafetensors(one({ shape: '[0, 9007199254740991]', offsets: '[0,0]' }, 0)).tensors.size).toBe(1);
    expect(parseSafetensors(rawFile('{"__metadata__":{"{\\"":"\\"}","}":""}}')).metadata.size).toBe(2);
  });
});
