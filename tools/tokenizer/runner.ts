/**
 * The other side of differential.py: reads JSON lines on stdin, answers a line each.
 *
 * `{"tokenizerJson", "tokenizerConfig"?}`, `{"vocab", "tokenizerConfig"}` or `{"folder"}` loads a tokenizer
 * (`{"vocab", "merges"}` too);
 * `{"inputs", "options"}` encodes a batch with it. `{"train": "wordpiece" | "bpe", "texts": FILE, "options"}` trains one on
 * the texts of a file of JSON.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { MemoryFiles } from '../../src/hub/index.ts';
import {
  AutoTokenizer,
  BertTokenizer,
  type Encoding,
  type EncodeOptions,
  RobertaTokenizer,
  type TextInput,
  type Tokenizer,
  trainByteLevelBpe,
  trainWordPiece,
} from '../../src/tokenizer/index.ts';

interface Message {
  tokenizerJson?: unknown;
  tokenizerConfig?: unknown;
  vocab?: string[] | Record<string, number>;
  merges?: string[];
  folder?: string;
  train?: 'wordpiece' | 'bpe';
  texts?: string;
  inputs?: TextInput[];
  options?: EncodeOptions;
}

let tokenizer: Tokenizer | undefined;

async function answer(message: Message): Promise<unknown> {
  if (message.train !== undefined) {
    const texts = JSON.parse(readFileSync(message.texts!, 'utf8')) as string[];
    const start = performance.now();
    const train = message.train === 'bpe' ? trainByteLevelBpe : trainWordPiece;
    const trained = await train(texts, message.options as object);
    tokenizer = trained.tokenizer;
    const { tokens, merges } = trained;
    return { tokens, merges, json: trained.toJSON(), seconds: (performance.now() - start) / 1000 };
  }
  if (message.inputs === undefined) {
    const { folder, vocab, merges, tokenizerJson, tokenizerConfig = {} } = message;
    if (merges !== undefined) tokenizer = RobertaTokenizer.fromVocab(vocab, merges, tokenizerConfig);
    else if (vocab !== undefined) tokenizer = BertTokenizer.fromVocab(vocab as string[], tokenizerConfig);
    else tokenizer = await AutoTokenizer.fromPretrained(folder ?? inMemory(tokenizerJson, tokenizerConfig));
    return { vocabSize: tokenizer.vocabSize };
  }
  const loaded = tokenizer!;
  return loaded.encodeBatch(message.inputs, message.options).encodings.map((encoding) => ({
    ...record(encoding),
    windows: encoding.overflowing.map(record),
    decoded: loaded.decode(encoding.inputIds),
    decodedWithoutSpecial: loaded.decode(encoding.inputIds, { skipSpecialTokens: true }),
  }));
}

function inMemory(tokenizerJson: unknown, tokenizerConfig: unknown): MemoryFiles {
  return new MemoryFiles({
    'tokenizer.json': JSON.stringify(tokenizerJson),
    'tokenizer_config.json': JSON.stringify(tokenizerConfig),
  });
}

function record(encoding: Encoding) {
  return {
    ids: [...encoding.inputIds],
    tokens: encoding.tokens,
    typeIds: [...encoding.tokenTypeIds],
    attentionMask: [...encoding.attentionMask],
    specialTokensMask: [...encoding.specialTokensMask],
    offsets: encoding.offsets,
    codePointOffsets: encoding.codePointOffsets,
    wordIds: encoding.wordIds,
    sequenceIds: encoding.sequenceIds,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  let result: unknown;
  try {
    result = await answer(JSON.parse(line) as Message);
  } catch (error) {
    result = { error: `${(error as Error).name}: ${(error as Error).message}` };
  }
  process.stdout.write(JSON.stringify(result) + '\n');
}
