import { describe, expect, it } from 'vitest';
import { ConfigError, InputError } from '../../src/errors.ts';
import {
  epochBatches,
  linesOf,
  permutation,
  readConll,
  readDocuments,
  readLabelledTexts,
  readScoredTexts,
  readSquad,
  readTable,
  shuffleStream,
  type TableOptions,
  type TextSource,
} from '../../src/training/index.ts';

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const rows = async (source: TextSource, options: TableOptions) =>
  (await all(readTable(source, options))).map(({ fields }) => fields);

describe('lines', () => {
  it('are the same whole and in pieces that cut lines and characters', async () => {
    const text = 'one\r\ntwo é 🙂\n\nfour';
    const bytes = new TextEncoder().encode(text);
    const whole = await all(linesOf(text, 'f'));
    expect(whole.map((line) => line.text)).toEqual(['one', 'two é 🙂', '', 'four']);
    expect(whole[3].where).toBe('f:4');
    const pieces = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
    expect(await all(linesOf(pieces, 'f'))).toEqual(whole);
    expect(await all(linesOf(bytes, 'f'))).toEqual(whole);
    expect(await all(linesOf('a\n', 'f'))).toHaveLength(1);
  });

  it('have no byte order mark, of whatever pieces', async () => {
    const text = '\ufeffone\n\ufefftwo';
    const bytes = new TextEncoder().encode(text);
    const pieces = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
    for (const source of [text, bytes, pieces, ['', ...text]] as TextSource[]) {
      expect((await all(linesOf(source, 'f'))).map((line) => line.text)).toEqual(['one', '\ufefftwo']);
    }
  });

  it('that are not UTF-8 are refused', async () => {
    await expect(all(linesOf(Uint8Array.of(97, 10, 255), 'f'))).rejects.toThrow(InputError);
    await expect(all(linesOf(Uint8Array.of(97, 0xc3), 'f'))).rejects.toThrow(InputError);
  });
});

describe('tables', () => {
  it('TSV: no quoting, a header or given names', async () => {
    const expected = [{ text: '"a"', label: '1' }];
    expect(await rows('text\tlabel\r\n"a"\t1\r\n', { format: 'tsv' })).toEqual(expected);
    expect(await rows('"a"\t1', { format: 'tsv', columns: ['text', 'label'] })).toEqual(expected);
  });

  it('TSV: blank lines are no records, and are counted', async () => {
    const text = 'text\tlabel\n\na\t1\r\n\r\n\t2\n\n';
    const read = await all(readTable(text, { format: 'tsv', name: 'f.tsv' }));
    expect(read).toEqual([
      { fields: { text: 'a', label: '1' }, where: 'f.tsv:3' },
      { fields: { text: '', label: '2' }, where: 'f.tsv:5' },
    ]);
  });

  it('CSV: quotes, line ends inside them, blank lines, a byte order mark', async () => {
    const text = '\ufefftext,label\r\n"a, ""b""\nc",1\n\n,2\r\n"",3';
    expect(await rows(text, { format: 'csv' })).toEqual([
      { text: 'a, "b"\nc', label: '1' },
      { text: '', label: '2' },
      { text: '', label: '3' },
    ]);
    const places = await all(readTable(text, { format: 'csv', name: 'f.csv' }));
    expect(places.map(({ where }) => where)).toEqual(['f.csv:2', 'f.csv:5', 'f.csv:6']);
    expect(await rows('a,b\n1,', { format: 'csv' })).toEqual([{ a: '1', b: '' }]);
  });

  it('JSON Lines', async () => {
    expect(await rows('{"text":"a","label":1}\n\n{"text":"b"}', { format: 'jsonl' })).toHaveLength(2);
  });

  it('CSV: a quote that stays open, or quotes without end, before megabytes of text', async () => {
    const long = 'a ""b"", c\n'.repeat(2e6);
    await expect(rows('a,b\n"' + long, { format: 'csv' })).rejects.toThrow('its quotes closed');
    const [{ a }] = await rows('a,b\n"' + long + '",1', { format: 'csv' });
    expect(a).toHaveLength(long.length - 4e6);
  });

  const bad: [string, string, TableOptions][] = [
    ['a row too short', 'a\tb\n1', { format: 'tsv' }],
    ['a quote that stays open', 'a\n"b', { format: 'csv' }],
    ['a quote inside', 'a\nb"c', { format: 'csv' }],
    ['a column twice', 'a\ta\n1\t2', { format: 'tsv' }],
    ['a given column twice', '1\t2', { format: 'tsv', columns: ['a', 'a'] }],
    ['something after a quote', 'a\n"b"c', { format: 'csv' }],
    ['no JSON', 'x', { format: 'jsonl' }],
    ['a JSON list', '[1]', { format: 'jsonl' }],
  ];
  it.each(bad)('refuse %s', async (_, text, options) => {
    await expect(rows(text, options)).rejects.toThrow(InputError);
  });
});

describe('examples', () => {
  it('labelled and scored texts, and pairs', async () => {
    const tsv = { format: 'tsv' } as const;
    expect(await all(readLabelledTexts('text\ttext_pair\tlabel\na\tb\tyes', tsv))).toEqual([
      { text: ['a', 'b'], label: 'yes' },
    ]);
    expect(await all(readScoredTexts('{"text":"a","label":2.5}', { format: 'jsonl' }))).toEqual([
      { text: 'a', score: 2.5 },
    ]);
    await expect(all(readScoredTexts('text\tlabel\na\tyes', tsv))).rejects.toThrow('a number');
    await expect(all(readLabelledTexts('text\na', tsv))).rejects.toThrow('a field "label"');
  });

  it.each(['Text-Pair', 'textPair', 'TEXT_PAIR', 'text pair'])(
    'a second text by the name of %j is not lost',
    async (name) => {
      const wanted = `one field "text_pair", got "${name}"`;
      const columns = ['text', name, 'label'];
      await expect(all(readLabelledTexts(columns.join() + '\na,b,c', { format: 'csv' }))).rejects.toThrow(wanted);
      await expect(all(readScoredTexts('a\tb\t1', { format: 'tsv', columns }))).rejects.toThrow(wanted);
      const json = JSON.stringify({ text: 'a', [name]: 'b', label: 'c' });
      await expect(all(readLabelledTexts(json, { format: 'jsonl' }))).rejects.toThrow(wanted);
      expect(await all(readLabelledTexts('text,pair_id,label\na,b,c', { format: 'csv' }))).toEqual([
        { text: 'a', label: 'c' },
      ]);
    },
  );

  it.each(['text2', 'text_2', 'label2', 'label_1', 'text_中文', 'Text', 'LABEL'])(
    'a column %j beside the ones that are read is let alone',
    async (name) => {
      const expected = [{ text: 'a', label: 'c' }];
      expect(await all(readLabelledTexts(`${name},text,label\nb,a,c`, { format: 'csv' }))).toEqual(expected);
      const json = JSON.stringify({ [name]: 'b', text: 'a', label: 'c' });
      expect(await all(readLabelledTexts(json, { format: 'jsonl' }))).toEqual(expected);
    },
  );

  it('a misspelt field is refused in whichever line it is', async () => {
    const lines = ['{"text":"a","label":1}', '{"text":"a","textPair":"b","label":1}'].join('\n');
    await expect(all(readScoredTexts(lines, { format: 'jsonl', name: 'f' }))).rejects.toThrow(
      'f:2: expected one field',
    );
  });

  it('CoNLL sentences', async () => {
    const text = '-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\nJapan\tB-LOC\r\n';
    const expected = [
      { words: ['EU', 'rejects'], tags: ['B-ORG', 'O'] },
      { words: ['Japan'], tags: ['B-LOC'] },
    ];
    expect(await all(readConll(text))).toEqual(expected);
    expect(await all(readConll(text.replace('\n\n\nJapan', '\n-DOCSTART- -X- O\nJapan')))).toEqual(expected);
    await expect(all(readConll('word'))).rejects.toThrow('a word and its tag');
  });

  it('SQuAD questions, answers in UTF-16 units', async () => {
    const qa = { id: 'x', question: 'Who?', answers: [{ text: 'Ann', answer_start: 2 }] };
    const none = { id: 'y', question: 'Why?', answers: [], is_impossible: true };
    const file = (qas: unknown[]) => JSON.stringify({ data: [{ paragraphs: [{ context: '🙂 Ann', qas }] }] });
    expect(await readSquad(file([qa, none]))).toEqual([
      { id: 'x', question: 'Who?', context: '🙂 Ann', answers: [{ text: 'Ann', start: 3 }] },
      { id: 'y', question: 'Why?', context: '🙂 Ann', answers: [] },
    ]);
    await expect(readSquad(file([{ ...qa, answers: [{ text: 'Ann', answer_start: 1 }] }]))).rejects.toThrow('Ann');
    for (const start of [-5, 2.5, '2']) {
      await expect(readSquad(file([{ ...qa, answers: [{ text: 'Ann', answer_start: start }] }]))).rejects.toThrow(
        InputError,
      );
    }
    for (const start of [-5, 0.5]) {
      await expect(readSquad(file([{ ...qa, answers: [{ text: '🙂', answer_start: start }] }]))).rejects.toThrow(
        'no place',
      );
    }
    for (const text of ['', ' ']) {
      await expect(readSquad(file([{ ...qa, answers: [{ text, answer_start: 1 }] }]))).rejects.toThrow('some text');
    }
    await expect(readSquad('{}')).rejects.toThrow('a list "data"');
    await expect(readSquad(file([null]))).rejects.toThrow('text "question"');
  });

  it('documents', async () => {
    expect(await all(readDocuments('\na\nb\n \nc'))).toEqual([['a', 'b'], ['c']]);
  });
});

describe('batches', () => {
  it('hold every example once, in an order of the seed and the epoch', () => {
    const options = { batchSize: 4, seed: 3, epoch: 1 };
    const batches = epochBatches(10, options);
    expect(batches.map((batch) => batch.length)).toEqual([4, 4, 2]);
    const numbers = batches.flatMap((batch) => [...batch]);
    expect([...numbers].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(epochBatches(10, options)).toEqual(batches);
    expect(epochBatches(10, { ...options, epoch: 2 })).not.toEqual(batches);
    expect(epochBatches(10, { ...options, dropLast: true })).toHaveLength(2);
    expect(epochBatches(3, { batchSize: 2, shuffle: false })).toEqual([Int32Array.of(0, 1), Int32Array.of(2)]);
  });

  it('put like lengths together', () => {
    const lengths = Array.from({ length: 200 }, (_, i) => (i * 37) % 100);
    const spread = (lengthsGiven: boolean) => {
      const batches = epochBatches(200, { batchSize: 10, ...(lengthsGiven && { lengths }) });
      expect(new Set(batches.flatMap((batch) => [...batch])).size).toBe(200);
      return batches.reduce((sum, batch) => {
        const own = Array.from(batch, (i) => lengths[i]);
        return sum + Math.max(...own) - Math.min(...own);
      }, 0);
    };
    expect(spread(true)).toBeLessThan(spread(false) / 4);
  });

  it('every order of three is as likely', () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 6000; seed++) {
      const order = permutation(3, seed, 0).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120); // 4 standard deviations
  });

  it('streams are shuffled within a window, nothing lost', async () => {
    const items = Array.from({ length: 50 }, (_, i) => i);
    const shuffled = await all(shuffleStream(items, { size: 8, seed: 1 }));
    expect(shuffled).not.toEqual(items);
    expect([...shuffled].sort((a, b) => a - b)).toEqual(items);
    await expect(all(shuffleStream(items, { size: 0 }))).rejects.toThrow(ConfigError);
  });
});
