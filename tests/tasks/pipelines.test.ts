import { describe, expect, it } from 'vitest';
import {
  attentionRollout,
  loadTask,
  pipeline,
  type QuestionAnsweringOptions,
  type Tasks,
} from '../../src/tasks/index.ts';
import {
  expected,
  expectedOf,
  otherFamilies,
  pipelineFiles,
  pipelineModel,
  type Checkpoint,
  type PipelineFamily,
} from '../support/pipelines.ts';

// Each task against transformers' pipeline of that name, on the same checkpoint: labels, places, words, and scores to 1e-5;
// with BERT's tokenizer, and with those whose tokens hold spaces (byte-level BPE, Unigram).

const TOLERANCE = 1e-5;

/** The same structure, with numbers within the tolerance: what equality means here. */
function expectClose(actual: unknown, wanted: unknown, path = ''): void {
  if (typeof wanted === 'number') {
    if (!(typeof actual === 'number' && Math.abs(actual - wanted) <= TOLERANCE)) {
      throw new Error(`${path}: ${String(actual)} is not ${wanted}`);
    }
  } else if (Array.isArray(wanted)) {
    const items = actual as ArrayLike<unknown>;
    expect(items.length, path).toBe(wanted.length);
    wanted.forEach((item, i) => expectClose(items[i], item, `${path}[${i}]`));
  } else if (typeof wanted === 'object' && wanted !== null) {
    for (const [key, value] of Object.entries(wanted)) {
      expectClose((actual as Record<string, unknown>)[key], value, `${path}.${key}`);
    }
  } else expect(actual, path).toBe(wanted);
}

const opened = new Map<string, Promise<unknown>>();
function open<Name extends keyof Tasks>(
  task: Name,
  name: Checkpoint,
  family: PipelineFamily = 'bert',
): Promise<Tasks[Name]> {
  const key = `${task} ${name} ${family}`;
  if (!opened.has(key)) opened.set(key, pipeline(task, pipelineModel(name, {}, family)));
  return opened.get(key) as Promise<Tasks[Name]>;
}
const families = ['bert', ...otherFamilies] as const;

describe.each(families)('text-classification: %s', (family) => {
  it.each(expectedOf[family]['text-classification'])('$model: $text $text_pair $function', async (row) => {
    const classify = await open('text-classification', row.model, family);
    const input = row.text_pair === undefined ? row.text : { text: row.text, textPair: row.text_pair };
    const options = { topK: row.top_k ?? null, ...(row.function && { functionToApply: row.function }) };
    expectClose(await classify(input, options), row.labels);
  });
});

describe('text-classification', () => {
  it('gives each text in a batch what it gets alone, bit for bit', async () => {
    const classify = await open('text-classification', 'sentiment');
    const rows = expected['text-classification'].filter((row) => row.model === 'sentiment' && !row.text_pair);
    const together = await classify(rows.map(({ text }) => text));
    for (const [i, { text }] of rows.entries()) expect(together[i]).toEqual(await classify(text));
  });

  it('is not equal when a score is off by 2e-5 (the comparison can fail)', async () => {
    const [row] = expected['text-classification'];
    const classify = await open('text-classification', row.model);
    const labels = await classify(row.text, { topK: null });
    labels[0].score += 2e-5;
    expect(() => expectClose(labels, row.labels)).toThrow('score');
  });
});

describe.each(families)('zero-shot-classification: %s', (family) => {
  const rows = expectedOf[family]['zero-shot-classification'];
  it.each(rows)('$result.sequence $options', async ({ labels, options, result }) => {
    const classify = await open('zero-shot-classification', 'inference', family);
    const { multi_label: multiLabel, hypothesis_template: hypothesisTemplate } = options;
    const ours = await classify(result.sequence, labels, {
      ...(multiLabel && { multiLabel }),
      ...(hypothesisTemplate && { hypothesisTemplate }),
    });
    expectClose(ours, result);
  });
});

describe.each(families)('token-classification: %s', (family) => {
  it.each(expectedOf[family]['token-classification'])('$strategy, without $ignore: $text', async (row) => {
    const ner = await open('token-classification', 'ner', family);
    const options = { aggregationStrategy: row.strategy, ignoreLabels: row.ignore } as const;
    const ours = await ner(row.text, { ...options, offsets: 'codepoint' });
    const theirs = row.entities.map(({ entity_group: group, ...entity }) => ({
      ...entity,
      entity: group ?? entity.entity,
    }));
    expectClose(ours, theirs);
    // In UTF-16 units, the same stretches of the text.
    const codePoints = Array.from(row.text);
    const slices = (await ner(row.text, options)).map(({ start, end }) => row.text.slice(start, end));
    expect(slices).toEqual(theirs.map(({ start, end }) => codePoints.slice(start, end).join('')));
  });
});

describe('where tokens hold spaces', () => {
  it("the pipeline's words are the tokenizer's in some texts, and not in others", () => {
    for (const family of otherFamilies) {
      const same = expectedOf[family]['token-classification'].map((row) => row.same);
      expect(same, family).toContain(true);
      if (family === 'roberta') expect(same).toContain(false);
    }
  });

  it.each([
    ['roberta', '"trim_offsets": true', '"trim_offsets": false'],
    ['xlmRoberta', '"prepend_scheme": "always"', '"prepend_scheme": "never"'],
    ['debertaV2', '"split": true', '"split": false'],
  ] as const)('entities are others where the tokenizer is (the comparison can fail): %s', async (family, from, to) => {
    const text = pipelineFiles('ner', {}, family)['tokenizer.json'] as string;
    expect(text).toContain(from);
    const changed = pipelineModel('ner', { 'tokenizer.json': text.replaceAll(from, to) }, family);
    const ner = await pipeline('token-classification', changed);
    const rows = expectedOf[family]['token-classification'].filter(({ strategy }) => strategy === 'max');
    const ours = await ner(
      rows.map(({ text }) => text),
      { aggregationStrategy: 'max', offsets: 'codepoint' },
    );
    expect(() => expectClose(ours, rows.map(({ entities }) => entities.map(({ start, end }) => ({ start, end }))))).toThrow(); // prettier-ignore
  });
});

describe.each(families)('question-answering: %s', (family) => {
  it.each(expectedOf[family]['question-answering'])('$answers.windows: $question $options', async (row) => {
    const ask = await open('question-answering', 'qa', family);
    const { options: python, answers } = row;
    const named: Record<string, unknown> = {
      topK: python.top_k,
      handleImpossibleAnswer: python.handle_impossible_answer,
      alignToWords: python.align_to_words,
      maxAnswerLength: python.max_answer_len,
      maxLength: python.max_seq_len,
      stride: python.doc_stride,
    };
    const given = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
    const options: QuestionAnsweringOptions = { ...given, offsets: 'codepoint' };
    const ours = await ask(row.question, row.context, options);
    expectClose(ours.answers, answers.list);
    expect(ours).toMatchObject(ours.answers[0]);
    for (const { answer, start, end } of (await ask(row.question, row.context, given)).answers) {
      expect(row.context.slice(start, end)).toBe(answer);
    }
  });
});

describe.each(families)('fill-mask: %s', (family) => {
  it.each(expectedOf[family]['fill-mask'])('$text $options', async ({ text, options, result }) => {
    const fill = await open('fill-mask', 'masked', family);
    const { top_k: topK, targets } = options;
    const ours = await fill(text, { ...(topK && { topK }), ...(targets && { targets }) });
    const theirs = result.map((fillings) =>
      fillings.map(({ token_str: tokenStr, sequence, ...rest }) => ({
        ...rest,
        tokenStr,
        // transformers leaves these in when there are several masks
        sequence: sequence.replace(/^\[CLS\] | \[SEP\]$/g, ''),
      })),
    );
    expectClose(ours, theirs);
  });
});

describe('feature-extraction', () => {
  it('without pooling gives the vector of each token', async () => {
    const [{ text, vectors }] = expected['feature-extraction'];
    const embed = await open('feature-extraction', 'sentiment');
    const { tokens, embeddings } = await embed(text, { pooling: 'none' });
    expect(tokens[0]).toBe('[CLS]');
    expectClose(embeddings, vectors);
  });

  it('with pooling gives what the encoder does, in a list and alone', async () => {
    const embed = await open('feature-extraction', 'sentiment');
    const texts = ['Oslo is wet.', { text: 'How tall is it?', textPair: 'Very.' }];
    const [one, pair] = await embed(texts, { pooling: 'cls', normalize: true });
    const direct = embed.encoder.encode(['Oslo is wet.', ['How tall is it?', 'Very.']], {
      pooling: 'cls',
      normalize: true,
    });
    expect([one, pair]).toEqual(direct);
    expect(await embed(texts[0], { pooling: 'cls', normalize: true })).toEqual(one);
  });
});

describe('attention rollout', () => {
  it('is the product of all layers, heads averaged, half of it residual', async () => {
    const { text, rollout } = expected['attention-rollout'];
    const loaded = await loadTask('text-classification', 'ForSequenceClassification', pipelineModel('sentiment'));
    const ours = attentionRollout(loaded, text);
    expectClose(ours.rollout, rollout);
    expectClose(ours.scores, rollout[0]);
    expect(ours.tokens).toHaveLength(rollout.length);
    expect(Math.abs(ours.scores.reduce((a, b) => a + b) - 1)).toBeLessThan(1e-9);
    const others = attentionRollout(loaded, text, { heads: 'max', residual: 0 });
    expect(() => expectClose(others.rollout, rollout)).toThrow(); // the test can fail
  });
});
