import { InputError, misspelt, show } from '../../errors.ts';
import { linesOf, textOf, type TextSource } from './source.ts';
import { readTable, type TableOptions, type TableRow } from './table.ts';

/** A text, or two, with what is to be learned of it. */
export interface LabelledText {
  text: string | readonly [string, string];
  /** The name of a class, as written in the file. */
  label: string;
}

export interface ScoredText {
  text: string | readonly [string, string];
  score: number;
}

/** Records with the fields `text`, `text_pair` (optional) and `label`. */
export async function* readLabelledTexts(source: TextSource, options: TableOptions): AsyncGenerator<LabelledText> {
  for await (const row of readFields(source, options)) {
    const label = fieldOf(row, 'label');
    if (label === '' || (typeof label !== 'string' && !Number.isFinite(label) && typeof label !== 'boolean')) {
      throw new InputError({
        what: `${row.where}: label`,
        expected: 'the name or number of a class',
        got: show(label),
      });
    }
    yield { text: textOfRow(row), label: String(label) };
  }
}

/** The same with a number as `label`. */
export async function* readScoredTexts(source: TextSource, options: TableOptions): AsyncGenerator<ScoredText> {
  for await (const row of readFields(source, options)) {
    const label = fieldOf(row, 'label');
    const isText = typeof label === 'string' && label.trim() !== '';
    const score = typeof label === 'number' ? label : isText ? Number(label) : NaN;
    if (!Number.isFinite(score)) {
      throw new InputError({ what: `${row.where}: label`, expected: 'a number', got: show(label) });
    }
    yield { text: textOfRow(row), score };
  }
}

/** Rows of a table. @throws InputError for a field whose name is nearly one of those that are read */
async function* readFields(source: TextSource, options: TableOptions): AsyncGenerator<TableRow> {
  const cache = new Map<string, string>();
  let isChecked = false;
  for await (const row of readTable(source, options)) {
    if (!isChecked) expectSpelling(row, cache);
    isChecked = options.format !== 'jsonl'; // other tables have one header
    yield row;
  }
}

function expectSpelling({ fields, where }: TableRow, cache: Map<string, string>): void {
  const names = Object.keys(fields);
  for (const name of ['text', 'text_pair', 'label']) {
    const [near] = misspelt(name, names, cache);
    if (near === undefined) continue;
    throw new InputError({ what: where, expected: `one field "${name}"`, got: show(near), fix: 'correct its name' });
  }
}

function textOfRow(row: TableRow): string | readonly [string, string] {
  const text = fieldOf(row, 'text');
  const pair = optionalField(row, 'text_pair') ?? null;
  if (typeof text !== 'string') throw new InputError({ what: `${row.where}: text`, expected: 'text', got: show(text) });
  if (pair === null) return text;
  if (typeof pair === 'string') return [text, pair];
  throw new InputError({ what: `${row.where}: text_pair`, expected: 'text', got: show(pair) });
}

const optionalField = ({ fields }: TableRow, name: string): unknown =>
  Object.hasOwn(fields, name) ? fields[name] : undefined;

function fieldOf(row: TableRow, name: string): unknown {
  const field = optionalField(row, name);
  if (field !== undefined) return field;
  const got = Object.keys(row.fields).join(', ') || 'none';
  const fix = 'name the columns in the first line, or give their names';
  throw new InputError({ what: row.where, expected: `a field "${name}"`, got, fix });
}

/** A sentence cut into words, each with a tag such as `B-PER` or `O`. */
export interface TaggedSentence {
  words: string[];
  tags: string[];
}

/**
 * Sentences in CoNLL's format: a word and its tag per line, the first and last of its columns (separated by a tab, or by
 * spaces), blank lines or `-DOCSTART-` lines between sentences.
 *
 * @throws InputError naming the line without a tag
 */
export async function* readConll(source: TextSource, name = 'conll'): AsyncGenerator<TaggedSentence> {
  let sentence: TaggedSentence = { words: [], tags: [] };
  for await (const { text, where } of linesOf(source, name)) {
    const isBetween = text.trim() === '' || text.startsWith('-DOCSTART-');
    if (isBetween && sentence.words.length > 0) {
      yield sentence;
      sentence = { words: [], tags: [] };
    }
    if (isBetween) continue;
    const columns = text.includes('\t') ? text.split('\t') : text.split(/ +/);
    const [word, tag] = [columns[0], columns.at(-1)!.trim()];
    if (columns.length < 2 || word === '' || tag === '') {
      throw new InputError({ what: where, expected: 'a word and its tag', got: show(text) });
    }
    sentence.words.push(word);
    sentence.tags.push(tag);
  }
  if (sentence.words.length > 0) yield sentence;
}

/** A question about a context, and its answers there; none when it has none. */
export interface QuestionExample {
  id: string;
  question: string;
  context: string;
  /** `start` counts UTF-16 units of the context. */
  answers: { text: string; start: number }[];
}

/**
 * SQuAD's JSON (1.1 and 2.0), where `answer_start` counts code points.
 *
 * @throws InputError naming the question whose answer is not where the file says
 */
export async function readSquad(source: TextSource, name = 'SQuAD file'): Promise<QuestionExample[]> {
  const text = await textOf(source, name);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new InputError({ what: name, expected: 'JSON', got: show(text), cause });
  }
  const examples: QuestionExample[] = [];
  for (const [a, article] of listOf(json, 'data', name).entries()) {
    for (const [p, paragraph] of listOf(article, 'paragraphs', `${name}: data[${a}]`).entries()) {
      const where = `${name}: data[${a}].paragraphs[${p}]`;
      const context = textIn(paragraph, 'context', where);
      for (const [q, qa] of listOf(paragraph, 'qas', where).entries()) {
        examples.push(readQuestion(qa, context, `${where}.qas[${q}]`));
      }
    }
  }
  return examples;
}

function readQuestion(json: unknown, context: string, where: string): QuestionExample {
  const question = textIn(json, 'question', where); // before all else: it refuses what is no object
  const { id, is_impossible: impossible } = json as { id?: unknown; is_impossible?: unknown };
  const answers = impossible === true ? [] : listOf(json, 'answers', where);
  return {
    id: typeof id === 'string' || typeof id === 'number' ? String(id) : where,
    question,
    context,
    answers: answers.map((answer) => {
      const text = textIn(answer, 'text', `${where}.answers`);
      const { answer_start: points } = answer as { answer_start?: unknown };
      if (text.trim() === '') {
        const fix = 'leave "answers" empty for a question without an answer';
        throw new InputError({ what: where, expected: 'an answer with some text', got: show(text), fix });
      }
      const start = isCount(points) ? utf16Of(context, points) : -1;
      if (start >= 0 && context.startsWith(text, start)) return { text, start };
      const expected = `${show(text)} at answer_start ${show(points)} of the context`;
      throw new InputError({
        what: where,
        expected,
        got: start < 0 ? 'no place' : show(context.slice(start, start + text.length)),
      });
    }),
  };
}

const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;

/** Where code point n begins, in UTF-16 units. */
function utf16Of(text: string, n: number): number {
  let at = 0;
  for (let i = 0; i < n && at < text.length; i++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return at;
}

function listOf(json: unknown, key: string, where: string): unknown[] {
  const list = (json as Record<string, unknown> | null)?.[key];
  if (Array.isArray(list)) return list;
  throw new InputError({ what: where, expected: `a list "${key}"`, got: show(list) });
}

function textIn(json: unknown, key: string, where: string): string {
  const text = (json as Record<string, unknown> | null)?.[key];
  if (typeof text === 'string') return text;
  throw new InputError({ what: where, expected: `text "${key}"`, got: show(text) });
}

/** Documents of plain text: a sentence or paragraph per line, blank lines between documents. Each is its lines. */
export async function* readDocuments(source: TextSource, name = 'text'): AsyncGenerator<string[]> {
  let document: string[] = [];
  for await (const { text } of linesOf(source, name)) {
    if (text.trim() !== '') {
      document.push(text);
      continue;
    }
    if (document.length > 0) yield document;
    document = [];
  }
  if (document.length > 0) yield document;
}
