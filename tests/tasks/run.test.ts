import { describe, expect, it } from 'vitest';
import { AbortError, ConfigError, InputError } from '../../src/errors.ts';
import { pipeline } from '../../src/tasks/index.ts';
import { pipelineFiles, pipelineModel } from '../support/pipelines.ts';
import { MemoryFiles } from '../../src/hub/index.ts';

// What all tasks share: batches, streams, progress, ends, long texts, refusals.

const classify = await pipeline('text-classification', pipelineModel('sentiment'));
const ner = await pipeline('ner', pipelineModel('ner'));
const texts = Array.from({ length: 60 }, (_, i) => `The tower is ${i} metres tall, `.repeat(1 + (i % 5)));
const long = 'The tower is tall, the tower is white. '.repeat(10);

async function* slowly<T>(items: readonly T[], milliseconds = 0): AsyncGenerator<T> {
  for (const item of items) {
    if (milliseconds > 0) await new Promise((resume) => setTimeout(resume, milliseconds));
    yield item;
  }
}

describe('streams', () => {
  it('keep the order, from a list, a generator and an asynchronous one', async () => {
    const all = await classify(texts);
    function* generated() {
      yield* texts;
    }
    for (const source of [texts, generated(), slowly(texts), new Set(texts)]) {
      let i = 0;
      for await (const result of classify.stream(source)) expect(result).toEqual(all[i++]);
      expect(i).toBe(texts.length);
    }
  });

  it('give what is there while the next text is still to come', async () => {
    const order: string[] = [];
    async function* source() {
      for (const text of ['one', 'two']) {
        order.push(`asked ${text}`);
        await new Promise((resume) => setTimeout(resume, 30));
        order.push(`gave ${text}`);
        yield text;
      }
    }
    for await (const [{ label }] of classify.stream(source())) order.push(label && 'result');
    expect(order).toEqual(['asked one', 'gave one', 'asked two', 'result', 'gave two', 'result']);
  });

  it('close their source when they are left, and pass on its errors', async () => {
    let closed = false;
    async function* source() {
      try {
        for (;;) yield 'a text';
      } finally {
        closed = true;
      }
    }
    for await (const _ of classify.stream(source())) break;
    expect(closed).toBe(true);
    async function* broken() {
      yield 'a text';
      throw new Error('the disk is gone');
    }
    await expect(async () => {
      for await (const _ of classify.stream(broken()));
    }).rejects.toThrow('the disk is gone');
  });

  it('report progress, with the total where it is known', async () => {
    const seen: [number, number | undefined][] = [];
    await classify(texts, { onProgress: (done, total) => seen.push([done, total]) });
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.at(-1)).toEqual([60, 60]);
    seen.length = 0;
    for await (const _ of classify.stream(slowly(texts), { onProgress: (done, total) => seen.push([done, total]) }));
    expect(seen.at(-1)).toEqual([60, undefined]);
  });

  it('end by their signal, between two batches, with a typed error', async () => {
    const before = AbortSignal.abort();
    const controller = new AbortController();
    let done = 0;
    const running = classify(texts, {
      signal: controller.signal,
      onProgress: (n) => {
        done = n;
        controller.abort(new Error('enough'));
      },
    });
    const error = await running.catch((e: unknown) => e);
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({ name: 'AbortError', cause: { message: 'enough' } });
    expect(done).toBeGreaterThan(0);
    expect(done).toBeLessThan(60);
    await expect(ner('a', { signal: before })).rejects.toThrow(AbortError);
    const embed = await pipeline('feature-extraction', pipelineModel('sentiment'));
    await expect(embed('a', { signal: before })).rejects.toThrow(AbortError);
  });

  it('let the event loop have its turn, and calls run side by side', async () => {
    const order: string[] = [];
    setTimeout(() => order.push('a timer'), 0);
    const many = Array.from({ length: 16 }, () => texts).flat(); // of far more than one stretch of work
    const [a, b, entities] = await Promise.all([classify(many), classify(many), ner(many)]);
    order.push('the results');
    expect(order).toEqual(['a timer', 'the results']);
    expect(a).toEqual(b);
    expect(a.slice(0, 60)).toEqual(await classify(texts));
    expect(entities.slice(0, 60)).toEqual(await ner(texts));
  });
});

describe('long texts', () => {
  it('are truncated, and the result says so', async () => {
    const result = await classify(long);
    expect([result.truncated, result.tokenCount > 64]).toEqual([true, true]);
    const short = await classify('The tower is tall.');
    expect([short.truncated, short.tokenCount]).toEqual([false, 7]);
  });

  it.each(['truncate', 'error', 'chunk'] as const)('are reported by every task: %s', async (overflow) => {
    const [zeroShot, ask, fill, rank, embed, alike, search, summarize] = await Promise.all([
      pipeline('zero-shot-classification', pipelineModel('inference')),
      pipeline('question-answering', pipelineModel('qa')),
      pipeline('fill-mask', pipelineModel('masked')),
      pipeline('rerank', pipelineModel('ranker')),
      pipeline('feature-extraction', pipelineModel('sentiment')),
      pipeline('sentence-similarity', pipelineModel('sentiment')),
      pipeline('search', pipelineModel('sentiment')),
      pipeline('extractive-summarization', pipelineModel('sentiment')),
    ]);
    const isCut = ({ truncated }: { truncated: boolean }) => truncated;
    const endless = long.replaceAll(/[.,]/g, ''); // a single sentence
    const tasks: Record<string, (text: string) => Promise<boolean>> = {
      classify: async (text) => isCut(await classify(text, { overflow })),
      zeroShot: async (text) => isCut(await zeroShot(text, ['a'], { overflow })),
      ner: async (text) => isCut(await ner(text, { overflow })),
      ask: async (text) => isCut(await ask('who', text, { overflow })),
      fill: async (text) => isCut(await fill(`[MASK] ${text}`, { overflow })),
      rank: async (text) => isCut((await rank('who', [text], { overflow }))[0]),
      embed: async (text) => isCut(await embed(text, { overflow })),
      tokens: async (text) => (overflow === 'chunk' ? false : isCut(await embed(text, { pooling: 'none', overflow }))),
      alike: async (text) => isCut((await alike('who', [text], { overflow })).sentences[0]),
      source: async (text) => isCut((await alike(text, ['who'], { overflow })).source),
      search: async (text) => (await search('who', [text], { overflow }))[0].truncated!,
      summarize: async (text) => (await summarize(text, { overflow })).truncatedSentences > 0,
    };
    for (const [name, run] of Object.entries(tasks)) {
      expect(await run('the tower is tall'), name).toBe(false);
      if (overflow === 'error') await expect(run(endless), name).rejects.toThrow(/expected at most \d+ tokens, got/);
      else expect(await run(endless), name).toBe(overflow === 'truncate');
    }
  });

  it('are refused on request, with the length, the limit and the ways out', async () => {
    const { tokenCount } = await classify(long);
    await expect(classify(['short', long], { overflow: 'error' })).rejects.toThrow(
      `text 1: expected at most 64 tokens, got ${tokenCount}; shorten it, or let overflow be "truncate" or "chunk"`,
    );
  });

  it('are read in chunks: scores are the mean of the windows, by their tokens', async () => {
    const sentences = 'The tower is white and the tower is tall. ';
    const { tokenCount } = await classify(sentences);
    const perWindow = Math.floor(62 / (tokenCount - 2));
    expect(62 % (tokenCount - 2)).not.toBe(0); // windows do not all begin with a sentence
    const result = await classify(sentences.repeat(3 * perWindow), { overflow: 'chunk', topK: null });
    expect(result.truncated).toBe(false);
    expect(Math.abs(result.reduce((sum, { score }) => sum + score, 0) - 1)).toBeLessThan(1e-9);
    expect(result).not.toEqual(await classify(sentences.repeat(3 * perWindow), { topK: null }));
    const pair = { text: long, textPair: long };
    await expect(classify(pair, { overflow: 'chunk' })).rejects.toThrow('text 0: expected a pair of at most 64 tokens');
  });

  it('lose and double no token: each entity once, in order, all words covered', async () => {
    const names = 'Maria Lindqvist sailed from London to Bergen with Paul. '.repeat(12).trim();
    const every = await ner(names, { ignoreLabels: [] });
    let at = 0;
    for (const { start, end } of every) {
      expect(names.slice(at, start).trim()).toBe('');
      expect(end).toBeGreaterThan(start);
      at = end;
    }
    expect(at).toBe(names.length);
    expect(every.truncated).toBe(false);
    expect(every.map(({ index }) => index)).toEqual(every.map((_, i) => i + 1));
    const groups = await ner(names, { aggregationStrategy: 'average' });
    groups.slice(1).forEach(({ start }, i) => expect(start).toBeGreaterThanOrEqual(groups[i].end));
    const cut = await ner(names, { overflow: 'truncate', ignoreLabels: [] });
    expect([cut.truncated, cut.length]).toEqual([true, 62]);
  });

  it('keep masks, wherever they are, or say that one is lost', async () => {
    const fill = await pipeline('fill-mask', pipelineModel('masked'));
    const text = `${long} The [MASK] is white.`;
    await expect(fill(text)).rejects.toThrow('text 0: expected every mask within what the model reads, got 0 of 1');
    const [fillings] = await fill(text, { overflow: 'chunk', topK: 2 });
    expect(fillings).toHaveLength(2);
    expect(fillings[0].sequence).toContain(`the ${fillings[0].tokenStr.replace('##', '')}`.slice(0, 4));
    await expect(fill('The lamp of Zoë is [MASK].')).resolves.toHaveLength(1);
  });
});

describe('refusals', () => {
  const refused: [what: string, call: () => Promise<unknown>, type: unknown, says: string][] = [
    ['a number', () => classify(5 as never), InputError, 'text 0: expected a string, or { text, textPair }, got 5'],
    ['undefined', () => classify(undefined as never), InputError, 'text 0: expected a string'],
    ['an array for a pair', () => classify([['a', 'b']] as never), InputError, 'text 0: expected a string'],
    [
      'an unknown option',
      () => classify('a', { topk: 1 } as never),
      ConfigError,
      'text-classification: topk: expected one',
    ],
    ['topK 0', () => classify('a', { topK: 0 }), ConfigError, 'topK: expected a whole number of at least 1, got 0'],
    [
      'an overflow',
      () => classify('a', { overflow: 'x' as never }),
      ConfigError,
      'overflow: expected truncate, error or',
    ],
    ['a signal', () => classify('a', { signal: 1 as never }), ConfigError, 'signal: expected an AbortSignal'],
    [
      'a strategy',
      () => ner('a', { aggregationStrategy: 'x' as never }),
      ConfigError,
      'aggregationStrategy: expected one of none',
    ],
    ['a text as a stream', async () => classify.stream('abc' as never).next(), InputError, 'inputs: expected an array'],
    [
      'an unknown task',
      () => pipeline('sumarize' as never, 'x'),
      ConfigError,
      'task: expected one of feature-extraction',
    ],
    [
      'abstractive summaries',
      () => pipeline('summarization' as never, 'x'),
      ConfigError,
      'use extractive-summarization',
    ],
    [
      'softmax of one',
      async () => (await pipeline('text-classification', pipelineModel('ranker')))('a', { functionToApply: 'softmax' }),
      ConfigError,
      'functionToApply "softmax": expected two labels or more, got 1',
    ],
    [
      'a checkpoint with another head',
      () => pipeline('ner', pipelineModel('qa')),
      ConfigError,
      'ner: memory/config.json: expected a model …ForTokenClassification, got BertForQuestionAnswering, which serves question-answering; use a checkpoint that was trained for this task',
    ],
    [
      'a checkpoint without a head',
      () => pipeline('text-classification', 'weights/all-MiniLM-L6-v2'),
      ConfigError,
      'got BertModel, which serves feature-extraction, sentence-similarity',
    ],
    [
      'a ranker of many labels',
      () => pipeline('rerank', pipelineModel('sentiment')),
      ConfigError,
      'rerank: model: expected one label, got negative, neutral, positive',
    ],
    [
      'inference without entailment',
      () => pipeline('zero-shot-classification', pipelineModel('sentiment')),
      ConfigError,
      'expected one called entailment',
    ],
  ];
  it.each(refused)('%s', async (_, call, type, says) => {
    const error = await call().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toContain(says);
    expect((error as Error).message).not.toContain('\n');
  });

  it('of each task', async () => {
    const zeroShot = await pipeline('zero-shot-classification', pipelineModel('inference'));
    await expect(zeroShot('a', [])).rejects.toThrow(
      'candidateLabels: expected a list of labels, one at least, got none',
    );
    await expect(zeroShot('a', ['b'], { hypothesisTemplate: 'x' })).rejects.toThrow(
      'hypothesisTemplate: expected a text with {}',
    );
    const fill = await pipeline('fill-mask', pipelineModel('masked'));
    await expect(fill('no mask here')).rejects.toThrow(
      'text 0: expected [MASK] in place of a word, got none; put [MASK] into it',
    );
    await expect(fill('[MASK]', { targets: [] })).rejects.toThrow('targets: expected a list of words');
    await expect(fill('[MASK]', { targets: ['lindqvist'] })).rejects.toThrow(
      'targets: "lindqvist": expected one token of the vocabulary, got ',
    );
    const ask = await pipeline('question-answering', pipelineModel('qa'));
    await expect(ask('Who?', '')).rejects.toThrow('question 0: context: expected a text, got ""; give both');
    await expect(ask({ question: 'Who?' } as never)).rejects.toThrow(
      'question 0: context: expected a text, got undefined',
    );
    await expect(ask(long, 'a')).rejects.toThrow(
      /question 0: expected room for it in the 64 tokens .* got \d+ .*; shorten "/,
    );
    await expect(zeroShot('a', ['b', long])).rejects.toThrow(
      'text 0: expected room for it in the 64 tokens that are read',
    );
    await expect(ask('Who?', long, { stride: 70 })).rejects.toThrow('stride: expected less than');
    const rank = await pipeline('rerank', pipelineModel('ranker'));
    await expect(rank('a', 'b' as never)).rejects.toThrow('documents: expected a list of texts, got "b"');
    const find = await pipeline('search', pipelineModel('sentiment'));
    await expect(find('a', [])).rejects.toThrow('corpus: expected a list of texts, one at least');
    for (const corpus of ['text', null]) {
      await expect(find('a', corpus as never)).rejects.toThrow('corpus: expected a list of texts, one at least, got ');
    }
    await expect(find(5 as never, ['a'])).rejects.toThrow('query: expected a string, got 5');
    await expect(find('a', ['a'], { rescore: 0 })).rejects.toThrow('rescore: expected a whole number of at least 1');
    const tag = await pipeline('ner', pipelineModel('ner'));
    for (const ignoreLabels of ['O', null, [1]]) {
      await expect(tag('a', { ignoreLabels } as never)).rejects.toThrow(
        'ignoreLabels: expected a list of labels, got ',
      );
    }
    await expect(pipeline('ner', pipelineModel('ner'), null as never)).rejects.toThrow(
      'options of pipeline: expected an',
    );
  });

  it('of a tokenizer that belongs to another model', async () => {
    const files = pipelineFiles('sentiment');
    const extended = new MemoryFiles({ ...files, 'vocab.txt': `${String(files['vocab.txt'])}extra\n` });
    await expect(pipeline('text-classification', extended)).rejects.toThrow('tokenizer: expected at most 420 tokens');
  });
});

describe('rerank', () => {
  it('sorts by logits, keeps both numbers, and reads long documents in chunks', async () => {
    const rank = await pipeline('rerank', pipelineModel('ranker'));
    const documents = ['The tower is tall.', long, 'Paul sailed from London.', 'The tower is tall.'];
    const ranked = await rank('How tall is the tower?', documents);
    expect(ranked.map(({ index }) => index).sort()).toEqual([0, 1, 2, 3]);
    ranked.slice(1).forEach(({ logit }, i) => expect(logit).toBeLessThanOrEqual(ranked[i].logit));
    for (const { logit, score } of ranked) expect(score).toBeCloseTo(1 / (1 + Math.exp(-logit)), 12);
    const equal = ranked.filter(({ text }) => text === documents[0]).map(({ index }) => index);
    expect(equal).toEqual([0, 3]);
    expect(await rank('How tall is the tower?', documents, { topK: 1 })).toEqual([ranked[0]]);
    const order: number[] = [];
    for await (const { index } of rank.stream('How tall?', documents)) order.push(index);
    expect(order).toEqual([0, 1, 2, 3]);
    const [chunked] = await rank('How tall is the tower?', [long], { overflow: 'chunk' });
    expect(chunked.truncated).toBe(false);
    expect(chunked.logit).toBeGreaterThanOrEqual(-Infinity);
  });
});
