/**
 * The other side of differential.py: reads JSON lines on stdin, answers a line each.
 *
 * `{"tokenizerJson", "tokenizerConfig"?}`, `{"vocab", "tokenizerConfig"}` or `{"folder"}` loads a tokenizer;
 * `{"inputs", "options"}` encodes a batch with it.
 */
import { createInterface } from 'node:readline';
import { BertTokenizer, type Encoding, type EncodeOptions, type TextInput } from '../../src/tokenizer/index.ts';

interface Message {
  tokenizerJson?: unknown;
  tokenizerConfig?: unknown;
  vocab?: string[];
  folder?: string;
  inputs?: TextInput[];
  options?: EncodeOptions;
}

let tokenizer: BertTokenizer | undefined;

async function answer(message: Message): Promise<unknown> {
  if (message.inputs === undefined) {
    if (message.folder !== undefined) tokenizer = await BertTokenizer.fromPretrained(message.folder);
    else if (message.vocab !== undefined) tokenizer = BertTokenizer.fromVocab(message.vocab, message.tokenizerConfig);
    else tokenizer = BertTokenizer.fromJSON(message.tokenizerJson, message.tokenizerConfig);
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
