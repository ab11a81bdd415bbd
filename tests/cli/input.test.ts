import { describe, expect, test } from 'vitest';
import { formatOf, parseTexts } from '../../src/cli/textFormats.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const parse = (text: string, format: Parameters<typeof parseTexts>[1]) => parseTexts(bytes(text), format, 'f');

describe('txt', () => {
  test.each<[string, string, string[]]>([
    ['a text per line', 'a\nb\n', ['a', 'b']],
    ['the last line needs no end', 'a\nb', ['a', 'b']],
    ['CRLF', 'a\r\nb\r\n', ['a', 'b']],
    ['blank lines are empty texts', 'a\n\n\nb\n', ['a', '', '', 'b']],
    ['a single newline is one empty text', '\n', ['']],
    ['nothing', '', []],
    ['spaces are kept', '  a \n', ['  a ']],
    ['a byte order mark is not', '\ufeffa\n', ['a']],
    ['a lone CR does not end a line', 'a\rb\n', ['a\rb']],
    ['other separators do not either', 'a\u2028b\u0085c\n', ['a\u2028b\u0085c']],
  ])('%s', (_, text, texts) => expect(parse(text, 'txt')).toEqual(texts));
});

describe('jsonl', () => {
  test('strings, objects and pairs', () => {
    const text =
      '"a"\n{"text":"b","id":1}\r\n{"text":"c","text_pair":"d"}\n{"text":"e","text_pair":""}\n{"text":"","text_pair":null}';
    expect(parse(text, 'jsonl')).toEqual(['a', 'b', ['c', 'd'], ['e', ''], '']);
  });

  test('blank lines are skipped, and counted', () => {
    expect(parse('"a"\n\n"b"\n', 'jsonl')).toEqual(['a', 'b']);
    expect(() => parse('"a"\n\n{', 'jsonl')).toThrow('f:3: expected a line of JSON, got "{"');
    const near = `"a"\n{"text": "b", "Text-Pair": "c"}`; // without a word, its second text would be left out
    expect(() => parse(near, 'jsonl')).toThrow('f:2: expected one field "text_pair", got "Text-Pair"; correct the field\'s name'); // prettier-ignore
    expect(parse('{"text": "b", "note": "c"}', 'jsonl')).toEqual(['b']);
  });
});

describe('tsv', () => {
  test('has no quoting', () => {
    expect(parse('id\ttext\n1\t"a" b\n2\tc"\n', 'tsv')).toEqual(['"a" b', 'c"']);
  });
  test('pairs, empty ones too, and CRLF', () => {
    expect(parse('text_pair\ttext\r\nb\ta\r\n\tc\r\n', 'tsv')).toEqual([['a', 'b'], ['c', '']]); // prettier-ignore
  });
  test('a column that is empty', () => expect(parse('text\na\n\nb\n', 'tsv')).toEqual(['a', '', 'b']));
});

describe('csv', () => {
  test('quotes, commas, line ends and doubled quotes in fields', () => {
    expect(parse('id,text\r\n1,"a, b"\r\n2,"c\nd"\r\n3,"say ""e"""\r\n', 'csv')).toEqual(['a, b', 'c\nd', 'say "e"']);
  });
  test('pairs and a byte order mark', () => {
    expect(parse('\ufefftext,text_pair\na,b\n"",""\n', 'csv')).toEqual([['a', 'b'], ['', '']]); // prettier-ignore
  });
  test('line ends of several kinds', () => {
    expect(parse('text\r\na\nb\n', 'csv')).toEqual(['a', 'b']);
    expect(parse('text,id\na,1\r\nb,2\rc,3\n"d\r\ne",4', 'csv')).toEqual(['a', 'b', 'c', 'd\r\ne']);
  });
  test('spaces around the names of columns, other columns, and none of the name', () => {
    expect(parse('id, text, text_pair ,id\n1,a,b,2\n', 'csv')).toEqual([['a', 'b']]);
    expect(parse('text2,Text,text,text_中文\n1,2,a,3\n', 'csv')).toEqual(['a']);
    expect(() => parse('id,context\n1,a\n', 'csv')).toThrow('f:1: expected a header with a column "text"');
  });
  test('the line of an error counts lines, not records', () => {
    expect(() => parse('id,text\n1,"a\nb"\n2\n', 'csv')).toThrow('f:4: expected 2 fields, as in the header, got 1');
  });
});

test.each([
  ['a.txt', 'txt'],
  ['a.b/c.JSONL', 'jsonl'],
  ['x.tsv', 'tsv'],
  ['x.csv', 'csv'],
  ['-', 'txt'],
  ['/dev/fd/63', 'txt'],
  ['dir.csv/plain', 'txt'],
])('%s is %s', (path, format) => expect(formatOf(path)).toBe(format));

test('invalid UTF-8 is found by its line', () => {
  const broken = new Uint8Array([...bytes('a\nb\nc'), 0xff, ...bytes('\nd')]);
  expect(() => parseTexts(broken, 'txt', 'f')).toThrow('f:3: expected UTF-8');
});
