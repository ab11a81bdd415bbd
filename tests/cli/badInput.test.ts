import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/safetensors/index.ts';
import { fixtures, run, temporaryFolder, tinyModel, vocabulary } from './harness.ts';

const folder = await temporaryFolder();
const shippedModel = join(folder, 'tiny');
await mkdir(shippedModel);
await tinyModel(shippedModel);

type Files = Parameters<typeof tinyModel>[1];
interface Case {
  args: string[];
  /** What the line must name. */
  says: RegExp;
  stdin?: string | Uint8Array;
  terminal?: boolean;
  /** Files in the user's folder. */
  files?: Record<string, string | Uint8Array>;
  /** Changes to the model. */
  model?: Files;
}
let count = 0;

async function fails({ args, says, stdin = '', terminal = false, files = {}, model }: Case): Promise<void> {
  const at = join(folder, `case-${count++}`);
  for (const name of ['folder', 'folder.npy']) await mkdir(join(at, name), { recursive: true });
  for (const [name, content] of Object.entries(files)) await writeFile(join(at, name), content);
  if (model) await tinyModel(at, model);
  const world = { folder: at, shippedModel: model ? at : shippedModel, stdin, terminal };
  const { code, stdout, stderr } = await run(args, world);
  expect(stderr).toMatch(says);
  expect(stderr).toMatch(/^bertscript( \w+)?: [^\n]+\n$/);
  expect(stderr).not.toMatch(/\n +at |\.ts:\d|undefined|\[object/);
  expect([code, stdout]).toEqual([2, '']);
}

const cases = (table: Record<string, Case>) => test.each(Object.entries(table))('%s', (_, one) => fails(one));

describe('usage', () => {
  cases({
    'no command': { args: [], says: /no command; use one of tokenize, decode/ },
    'an unknown command': { args: ['embedd', 'a'], says: /unknown command embedd; use one of .*embed/ },
    'a command of a later version': { args: ['serve', '--port', '80'], says: /unknown command serve/ },
    'an unknown flag': {
      args: ['embed', '--modell', 'x', 'a'],
      says: /embed: unknown option '--modell'.*--model.*; see --help\n/,
    },
    'a text like a flag': { args: ['tokenize', '-5 degrees'], says: /unknown option '-5 degrees'.*put -- before/ },
    'a flag without its value': { args: ['embed', 'a', '--model'], says: /'--model <dir>' argument missing/ },
    'an argument too many': { args: ['info', 'a'], says: /too many arguments for 'info'/ },
    'no texts': { args: ['embed'], says: /embed: no texts; give them as arguments/ },
    'texts twice': { args: ['embed', 'a', '--input', '-'], says: /--input: got texts as arguments too/ },
    'a pair with a file': { args: ['embed', '--input', '-', '--pair', 'b'], says: /--input: got --pair too/ },
    'pairs of another number': {
      args: ['embed', 'a', 'b', 'c', '--pair', 'd', '--pair', 'e'],
      says: /--pair: expected once, or 3 times, got 2 times/,
    },
    'a pair where there are none': { args: ['similarity', 'a', '--pair', 'b'], says: /unknown option '--pair'/ },
    'a single text to compare': { args: ['similarity', 'a'], says: /texts: expected two or more, got one/ },
    'no query': { args: ['search', '--corpus', 'a.txt'], says: /required option '--query <text>' not specified/ },
    'no corpus': {
      args: ['search', '--query', 'a'],
      says: /nothing to search; pass --corpus FILE, --index FILE, or both/,
    },
    'no reference': { args: ['parity'], says: /required option '--reference <file>'/ },
    'no output': { args: ['quantize'], says: /required option '--output <dir>'/ },
    'ids twice': { args: ['decode', '[1]', '--input', '-'], says: /--input: got ids as arguments too/ },
    'no ids': { args: ['decode'], terminal: true, says: /no ids; give them as arguments, on stdin/ },
  });
});

describe('values', () => {
  cases({
    dtype: { args: ['embed', 'a', '--dtype', 'f16'], says: /--dtype: expected one of auto, f32, q8, got "f16"/ },
    kernels: {
      args: ['embed', 'a', '--kernels', 'wasm'],
      says: /--kernels: expected one of auto, simd, reference, got "wasm"/,
    },
    'no adapter': {
      args: ['embed', 'a', '--adapter', 'x'],
      says: /x: expected a folder with a model, got no such folder/,
    },
    'an adapter where none can be': { args: ['tokenize', 'a', '--adapter', 'x'], says: /unknown option.*--adapter/ },
    'alpha without rank': {
      args: ['train', '--task', 'mlm', '--train', 'x', '--output', 'y', '--lora-alpha', '3'],
      says: /--lora-alpha: expected --lora-rank beside it/,
    },
    'no threads': { args: ['embed', 'a', '--threads', '0'], says: /--threads: expected a whole number of at least 1/ },
    'half a thread': { args: ['embed', 'a', '--threads', '1.5'], says: /--threads: .*got "1.5"/ },
    'top-k 0': {
      args: ['search', '--corpus', '-', '--query', 'a', '--top-k', '0'],
      says: /--top-k: .*at least 1, got "0"/,
    },
    'top-k below': { args: ['search', '--corpus', '-', '--query', 'a', '--top-k', '-3'], says: /--top-k: .*got "-3"/ },
    'top-k in words': { args: ['search', '--corpus', '-', '--query', 'a', '--top-k', 'ten'], says: /--top-k: .*"ten"/ },
    pooling: { args: ['embed', 'a', '--pooling', 'median'], says: /--pooling: expected one of mean, cls.*"median"/ },
    overflow: { args: ['embed', 'a', '--overflow', 'cut'], says: /--overflow: expected one of truncate, error, chunk/ },
    'no dimensions': { args: ['embed', 'a', '--dimensions', '0'], says: /--dimensions: .*at least 1, got "0"/ },
    'more dimensions than there are': {
      args: ['embed', 'a', '--dimensions', '25'],
      says: /dimensions: .*at most 24.*25/,
    },
    offsets: { args: ['tokenize', 'a', '--offsets', 'bytes'], says: /--offsets: expected one of utf16, codepoint/ },
    'max-length': { args: ['tokenize', 'a', '--max-length', '-1'], says: /--max-length: .*got "-1"/ },
    'max-length for specials': {
      args: ['tokenize', 'a', '--max-length', '1'],
      says: /--max-length: expected at least 2, .*; raise --max-length or pass --no-special-tokens/,
    },
    'padding without end': {
      args: ['tokenize', 'a', '--max-length', '100000000000', '--padding', 'max_length'],
      says: /--max-length: expected at most 1000000 tokens with --padding max_length, got 100000000000/,
    },
    truncation: {
      args: ['tokenize', 'a', '--truncation', 'left'],
      says: /--truncation: expected one of longest_first/,
    },
    'truncation without a length': {
      args: ['tokenize', 'a', '--truncation', 'only_first'],
      says: /truncation: expected a maximum length; give --max-length/,
    },
    'only_second of one text': {
      args: ['tokenize', 'a cat sat', '--max-length', '4', '--truncation', 'only_second'],
      says: /truncation "only_second": expected a pair/,
    },
    'only_second without room': {
      args: ['tokenize', 'a cat', '--pair', 'sat', '--max-length', '4', '--truncation', 'only_second'],
      says: /raise --max-length or pass --truncation longest_first/,
    },
    'padding without a length': {
      args: ['tokenize', 'a', '--padding', 'max_length'],
      says: /padding "max_length": expected a max/,
    },
    padding: { args: ['tokenize', 'a', '--padding', 'no'], says: /--padding: expected one of longest, max_length/ },
    'a stride as long as the window': {
      args: ['tokenize', 'a cat sat on', '--max-length', '5', '--stride', '3'],
      says: /stride: expected less than the 3 tokens/,
    },
    'input-format': {
      args: ['embed', '--input', '-', '--input-format', 'xml'],
      says: /--input-format: expected one of txt/,
    },
    'tolerance NaN': { args: ['parity', '--reference', 'x', '--tolerance', 'NaN'], says: /--tolerance: .*got "NaN"/ },
    'tolerance below 0': { args: ['parity', '--reference', 'x', '--tolerance', '-1'], says: /--tolerance: .*got "-1"/ },
    'an output of no known kind': {
      args: ['embed', 'a', '--output', 'e.bin'],
      says: /--output: expected .*\.npy.*got e\.bin/,
    },
  });
});

describe('text files', () => {
  const embed = (file: string, content: string | Uint8Array, says: RegExp): Case => ({
    args: ['embed', '--input', file],
    files: { [file]: content },
    says,
  });
  cases({
    missing: { args: ['embed', '--input', 'none.txt'], says: /none\.txt: .*got no such file or folder/ },
    'a folder': {
      args: ['embed', '--input', 'folder', '--input-format', 'txt'],
      says: /folder: expected a readable file, got a folder/,
    },
    'an extension not known': embed('a.xlsx', 'x', /a\.xlsx: expected \.txt.*got \.xlsx; .*--input-format/),
    empty: embed('a.txt', '', /a\.txt: expected at least one text, got an empty file/),
    'a header alone': embed('a.csv', 'text\n', /a\.csv: expected at least one text, got none/),
    'empty stdin': { args: ['embed', '--input', '-'], says: /stdin: expected at least one text/ },
    'not UTF-8': embed('a.txt', new Uint8Array([97, 10, 0xff, 10]), /a\.txt:2: expected UTF-8/),
    'broken JSON': embed('a.jsonl', '{"text":"a"}\n{"text":\n', /a\.jsonl:2: expected a line of JSON/),
    'no text in the JSON': embed('a.jsonl', '{"text":"a"}\n{"txt":"a"}\n', /a\.jsonl:2: .*"text".*got \{"txt":"a"\}/),
    'a number for a text': embed('a.jsonl', '7\n', /a\.jsonl:1: expected a string.*got 7/),
    'null for a text': embed('a.jsonl', 'null\n', /a\.jsonl:1: expected a string.*got null/),
    'a number for a pair': embed('a.jsonl', '{"text":"a","text_pair":3}', /a\.jsonl:1: .*"text_pair"/),
    'a wrong CSV header': embed('a.csv', 'sentence,label\na,1\n', /a\.csv:1: .*header.*"text".*got "sentence, label"/),
    'a CSV column twice': embed(
      'a.csv',
      'text,id,text\na,1,b\n',
      /a\.csv:1: expected one column "text", got "text" and "text"/,
    ),
    'nearly the name of a column': embed(
      'a.csv',
      'text,Text-Pair\na,b\n',
      /a\.csv:1: expected one column "text_pair", got "Text-Pair"; correct the column's name/,
    ),
    'a TSV header in capitals': embed('a.tsv', 'Text\na\n', /a\.tsv:1: expected one column "text", got "Text"/),
    'a wrong TSV header': embed('a.tsv', 'sentence\tlabel\na\t1\n', /a\.tsv:1: .*header/),
    'a CSV row too short': embed('a.csv', 'id,text\n1,a\n2\n', /a\.csv:3: expected 2 fields.*got 1/),
    'a TSV row too long': embed('a.tsv', 'text\na\tb\n', /a\.tsv:2: expected 1 fields.*got 2/),
    'a quote never closed': embed('a.csv', 'text\n"a\n', /a\.csv:\d: expected CSV, got/),
    'pairs to search': {
      args: ['search', '--corpus', 'c.jsonl', '--query', 'a'],
      files: { 'c.jsonl': '"a"\n{"text":"a","text_pair":"b"}\n' },
      says: /c\.jsonl: text 1: expected a single text, got a pair/,
    },
    'no corpus there': { args: ['search', '--corpus', 'c.txt', '--query', 'a'], says: /c\.txt: .*no such file/ },
    'broken JSON to decode': {
      args: ['decode'],
      stdin: '{"input_ids":[1]}\n[1',
      says: /stdin:2: expected a line of JSON/,
    },
    'no ids to decode': {
      args: ['decode'],
      stdin: '{"ids":[1]}\n',
      says: /stdin:1: .*"input_ids".*got \{"ids":\[1\]\}/,
    },
    'half an id': { args: ['decode', '[1.5]'], says: /argument 1:1: .*input_ids.*got \[1.5\]/ },
    'an id of no token': {
      args: ['decode', '[61]'],
      says: /argument 1:1: input_ids: expected ids of the 61 tokens.*got 61/,
    },
    'nothing to decode': { args: ['decode'], says: /stdin: expected lines of JSON/ },
    'a pair too long': {
      args: ['embed', 'cat '.repeat(20), '--pair', 'cat', '--overflow', 'chunk'],
      says: /text 0: expected a pair of at most 16 tokens.*got 24; shorten it, or pass --overflow truncate\n/,
    },
    'a text too long': {
      args: ['embed', 'cat '.repeat(20), '--overflow', 'error'],
      says: /text 0: expected at most 16 tokens, got 22; shorten it, or pass --overflow truncate or --overflow chunk/,
    },
  });
});

describe('outputs', () => {
  cases({
    'in no folder': { args: ['embed', 'a', '--output', 'none/e.npy'], says: /none\/e\.npy: .*no such file or folder/ },
    'a folder': { args: ['embed', 'a', '--output', 'folder.npy'], says: /folder\.npy: expected a file.*got a folder/ },
    'under a file': {
      args: ['embed', 'a', '--output', 'a.txt/e.npy'],
      files: { 'a.txt': 'a' },
      says: /a\.txt\/e\.npy: .*got a file where a folder should be/,
    },
    'a folder for forward': {
      args: ['forward', '--input', join(fixtures, 'base/reference.safetensors'), '--output', 'folder'],
      says: /folder: expected a file that can be written, got a folder/,
    },
    'a file for quantize': { args: ['quantize', '--output', 'a'], files: { a: 'a' }, says: /: a: .*got a file/ },
    'a model already there': {
      args: ['quantize', '--output', 'folder'],
      files: { 'folder/model.safetensors': 'x' },
      says: /--output folder: got a folder that holds model\.safetensors; .*--force/,
    },
    'the model itself': {
      args: ['quantize', '--output', shippedModel, '--force'],
      says: /expected another folder than --model/,
    },
  });
});

const weights = readFileSync(join(fixtures, 'base/model.safetensors'));
const config = JSON.parse(readFileSync(join(fixtures, 'base/config.json'), 'utf8')) as Record<string, unknown>;
const withConfig = (changes: Record<string, unknown>): Files => ({
  'config.json': JSON.stringify({ ...config, ...changes }),
});
/** The weights with another header. */
function withHeader(
  change: (header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>) => void,
) {
  const length = Number(weights.readBigUInt64LE());
  const header = JSON.parse(weights.subarray(8, 8 + length).toString());
  change(header);
  const bytes = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(bytes.length));
  return { 'model.safetensors': new Uint8Array(Buffer.concat([size, bytes, weights.subarray(8 + length)])) };
}

describe('models', () => {
  const embed = (model: Files, says: RegExp): Case => ({ args: ['embed', 'a'], model, says });
  const WORDS = 'embeddings.word_embeddings.weight';
  cases({
    'a folder that is not there': {
      args: ['embed', 'a', '--model', 'none'],
      says: /none: expected a folder.*no such folder/,
    },
    'a file': { args: ['embed', 'a', '--model', 'm'], files: { m: 'x' }, says: /m: .*got a file; pass the folder/ },
    'no name': { args: ['embed', 'a', '--model', ''], says: /--model: expected a folder or an address, got nothing/ },
    'an empty folder': { args: ['embed', 'a', '--model', 'folder'], says: /folder\/config\.json: .*got no such file/ },
    'an empty folder to tokenize': {
      args: ['tokenize', 'a', '--model', 'folder'],
      says: /folder: .*tokenizer\.json or a vocabulary, such as a vocab\.txt/,
    },
    'an empty folder to inspect': { args: ['inspect', '--model', 'folder'], says: /config\.json: .*no such file/ },
    'an empty folder to quantize': { args: ['quantize', '--model', 'folder', '--output', 'q'], says: /config\.json/ },
    'config.json broken': embed(
      { 'config.json': '{"hidden_size": 24,' },
      /config\.json: expected JSON, got broken JSON/,
    ),
    'config.json empty': embed({ 'config.json': '' }, /config\.json: .*an empty file/),
    'config.json a list': embed({ 'config.json': '[]' }, /config\.json: expected a JSON object/),
    'config.json a page': embed({ 'config.json': '<!DOCTYPE html>' }, /config\.json: .*an HTML page/),
    'another model_type': embed(withConfig({ model_type: 'gpt2' }), /config\.json: model_type: .*"gpt2"/),
    'an unknown activation': embed(withConfig({ hidden_act: 'geglu' }), /hidden_act: .*"geglu"/),
    'heads that do not divide': embed(
      withConfig({ num_attention_heads: 5 }),
      /hidden_size: .*multiple of num_attention_heads/,
    ),
    'no layers': embed(withConfig({ num_hidden_layers: 0 }), /num_hidden_layers: .*got 0/),
    'a size in words': embed(withConfig({ hidden_size: '24' }), /hidden_size: .*got "24"/),
    'relative positions': embed(withConfig({ position_embedding_type: 'relative_key' }), /position_embedding_type/),
    'a vocabulary size too small': embed(withConfig({ vocab_size: 60 }), /word_embeddings.*\[60, 24\].*\[61, 24\]/),
    'another hidden size': embed(
      withConfig({ hidden_size: 48 }),
      /expected shape \[61, 48\] from config\.json, got \[61, 24\]/,
    ),
    'more layers than weights': embed(
      withConfig({ num_hidden_layers: 3 }),
      /missing tensors: .*encoder\.layer\.2.*names in "architectures"\n/, // no word of what only the library can do
    ),
    'info of a model that is not there': { args: ['info', '--model', 'none'], says: /none: .*got no such folder/ },
    'a name that would clear the screen': {
      args: ['forward', '--input', join(fixtures, 'base/reference.safetensors'), '--output', 'o.safetensors'],
      model: withConfig({ architectures: ['\x1b[2Jevil\u202e'] }),
      says: /got \\u001b\[2Jevil\\u202e\n/,
    },
    'an architecture not known': {
      args: ['forward', '--input', join(fixtures, 'base/reference.safetensors'), '--output', 'o.safetensors'],
      model: withConfig({ architectures: ['BertLMHeadModel'] }),
      says: /architectures: expected one of .*BertForMaskedLM.*got BertLMHeadModel/,
    },
    'no weights': embed(
      { 'model.safetensors': null },
      /expected model\.safetensors or model\.safetensors\.index\.json/,
    ),
    'empty weights': embed({ 'model.safetensors': '' }, /model\.safetensors/),
    'cut weights': embed({ 'model.safetensors': new Uint8Array(weights.subarray(0, 40000)) }, /model\.safetensors/),
    'weights with something after': embed(
      { 'model.safetensors': new Uint8Array(Buffer.concat([weights, Buffer.alloc(4)])) },
      /model\.safetensors/,
    ),
    'a Git LFS pointer': embed(
      { 'model.safetensors': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90\n' },
      /model\.safetensors: expected a safetensors file, got a Git LFS pointer; run "git lfs pull" in the folder\n/,
    ),
    'a header too long': embed({ 'model.safetensors': new Uint8Array(16).fill(255) }, /model\.safetensors.*header/),
    'a header that is no JSON': embed(
      { 'model.safetensors': new Uint8Array([4, 0, 0, 0, 0, 0, 0, 0, ...Buffer.from('{a:1')]) },
      /model\.safetensors.*expected JSON/,
    ),
    'a dtype not known': embed(
      withHeader((h) => (h[WORDS].dtype = 'Q4')),
      /word_embeddings\.weight.*Q4/,
    ),
    'a shape that does not fit': embed(
      withHeader((h) => (h[WORDS].shape = [61, 25])),
      /word_embeddings\.weight/,
    ),
    'offsets outside the file': embed(
      withHeader((h) => (h[WORDS].data_offsets[1] += 1e6)),
      /word_embeddings\.weight/,
    ),
    'a hole': embed(
      withHeader((h) => delete h[WORDS]),
      /model\.safetensors/,
    ),
    'integers for weights': embed(
      withHeader((h) => (h[WORDS].dtype = 'I32')),
      /word_embeddings\.weight.*I32/,
    ),
    'int8 without a scale': embed(
      withHeader((h) => {
        const size = h[WORDS].data_offsets[1] - h[WORDS].data_offsets[0];
        h[WORDS] = { ...h[WORDS], dtype: 'I8', shape: [61, size / 61] };
      }),
      /word_embeddings/,
    ),
    'an index of a missing shard': embed(
      {
        'model.safetensors': null,
        'model.safetensors.index.json': JSON.stringify({ weight_map: { x: 'model-1.safetensors' } }),
      },
      /model-1\.safetensors: .*got no such file/,
    ),
    'no vocabulary': embed({ 'vocab.txt': null }, /tokenizer\.json or a vocab\.txt, got neither/),
    'a vocabulary without [CLS]': embed({ 'vocab.txt': '[PAD]\n[UNK]\n[SEP]\na\n' }, /vocab\.txt: .*"\[CLS\]"/),
    'a vocabulary too large': embed(
      { 'vocab.txt': [...vocabulary, 'more'].join('\n') },
      /tokenizer: expected at most 61 tokens.*got 62/,
    ),
    'tokenizer.json broken': embed({ 'tokenizer.json': '{"model": {' }, /tokenizer\.json: expected JSON/),
    'tokenizer.json of another kind': embed({ 'tokenizer.json': '{"model":{"type":"BPE"}}' }, /tokenizer\.json/),
    'modules.json with a module not known': embed(
      {
        'modules.json': JSON.stringify([
          { type: 'sentence_transformers.models.Transformer', path: '' },
          { type: 'sentence_transformers.models.LSTM', path: '1' },
        ]),
      },
      /modules\.json: expected .* a Transformer, then a Pooling, got Transformer, then LSTM/,
    ),
    'max_seq_length below zero': embed(
      { 'sentence_bert_config.json': '{"max_seq_length":-1}' },
      /max_seq_length: .*-1/,
    ),
    'int8 weights to quantize': {
      args: ['quantize', '--output', 'q'],
      model: withHeader((h) => {
        h[WORDS] = { ...h[WORDS], dtype: 'I8', shape: [61, 96] };
      }),
      says: /word_embeddings\.weight: expected float weights, got quantized ones/,
    },
  });

  test('none shipped and none named', async () => {
    const { code, stdout, stderr } = await run(['embed', 'a'], { folder });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(
      /^bertscript embed: no model: .*; pass --model DIR, or npm install bertscript-all-[^\n]*\n$/,
    );
  });
});

describe('references', () => {
  const ids = { data: BigInt64Array.of(2n, 7n, 3n), shape: [1, 3] };
  const parity = (content: Uint8Array | string, says: RegExp): Case => ({
    args: ['parity', '--reference', 'r.safetensors'],
    files: { 'r.safetensors': content },
    says,
  });
  const hidden = { data: new Float32Array(72), shape: [1, 3, 24] };
  const forward = ['forward', '--input', 'r.safetensors', '--output', 'o.safetensors'];
  cases({
    missing: { args: ['parity', '--reference', 'r.safetensors'], says: /r\.safetensors: .*no such file/ },
    'no safetensors': parity('hello, world', /r\.safetensors/),
    'without input_ids': parity(writeSafetensors({ logits: hidden }), /r\.safetensors: input_ids: .*got none/),
    'input_ids of one axis': parity(
      writeSafetensors({ input_ids: { ...ids, shape: [3] }, logits: hidden }),
      /input_ids: expected a tensor \[batch, tokens\].*got \[3\]/,
    ),
    'inputs alone': parity(writeSafetensors({ input_ids: ids }), /expected outputs to compare with, got inputs only/),
    'a loss alone': parity(
      writeSafetensors({ input_ids: ids, loss: { data: Float32Array.of(1), shape: [] } }),
      /expected outputs to compare with, got only what is not compared, loss/,
    ),
    'a mask that keeps nothing': parity(
      writeSafetensors({
        input_ids: ids,
        attention_mask: { data: new BigInt64Array(3), shape: [1, 3] },
        last_hidden_state: hidden,
      }),
      /expected outputs to compare with, got an attention_mask that keeps no token/,
    ),
    'no sequence': parity(
      writeSafetensors({
        input_ids: { data: new BigInt64Array(0), shape: [0, 3] },
        last_hidden_state: { data: new Float32Array(0), shape: [0, 3, 24] },
      }),
      /expected outputs to compare with, got no token/,
    ),
    'input_ids in float': parity(
      writeSafetensors({ input_ids: { data: Float32Array.of(2, 7, 3), shape: [1, 3] }, last_hidden_state: hidden }),
      /input_ids.*F32/,
    ),
    'a mask of another shape': parity(
      writeSafetensors({ input_ids: ids, attention_mask: { ...ids, shape: [3, 1] }, last_hidden_state: hidden }),
      /attention_mask: expected the shape of input_ids/,
    ),
    'a mask of twos': parity(
      writeSafetensors({ input_ids: ids, attention_mask: ids, last_hidden_state: hidden }),
      /attention_mask of sequence 0.*expected 0 or 1/,
    ),
    'outputs of another shape': parity(
      writeSafetensors({ input_ids: ids, last_hidden_state: { ...hidden, shape: [1, 24, 3] } }),
      /last_hidden_state: expected .*\[1, 24, 3\].*got \[1, 3, 24\]/,
    ),
    'an id of no token': {
      args: forward,
      files: { 'r.safetensors': writeSafetensors({ input_ids: { data: BigInt64Array.of(61n), shape: [1, 1] } }) },
      says: /61/,
    },
    'a token type not there': {
      args: forward,
      files: { 'r.safetensors': writeSafetensors({ input_ids: ids, token_type_ids: ids }) },
      says: /token.?type/i,
    },
    'longer than the positions': {
      args: forward,
      files: { 'r.safetensors': writeSafetensors({ input_ids: { data: new BigInt64Array(41), shape: [1, 41] } }) },
      says: /at most 40 tokens.*truncate when tokenizing \(tokenize --max-length\)/,
    },
  });
});
