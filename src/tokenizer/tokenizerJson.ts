import { show } from '../errors.ts';
import { AddedTokens, readAddedToken } from './addedTokens.ts';
import { plainDecoder, readDecoder } from './decoder.ts';
import type { JsonField } from './jsonField.ts';
import { readModel } from './model.ts';
import { readNormalizer } from './normalizer.ts';
import { plainPostProcessor, readPostProcessor } from './postProcessor.ts';
import { readPreTokenizer } from './preTokenizer.ts';
import type { Pipeline } from './tokenizer.ts';
import type { TokenizerConfig } from './tokenizerConfig.ts';

/**
 * The stages that a tokenizer.json describes. Its `truncation` and `padding` are left alone: callers ask for those.
 *
 * @throws TokenizerError for a malformed field, an unsupported stage or an inconsistent vocabulary
 */
export function readTokenizerJson(json: JsonField, config: TokenizerConfig): Pipeline {
  const version = json.get('version');
  if (!version.isMissing && version.value !== '1.0') version.fail('"1.0"');
  const normalizer = json.get('normalizer').optional(readNormalizer);
  const model = readModel(json.get('model'));
  const added = json.get('added_tokens');
  const tokens = added.isMissing ? [] : added.array((item) => ({ token: readAddedToken(item), id: item.get('id') }));
  const addedTokens = new AddedTokens(
    tokens.map(({ token }) => token),
    model,
    normalizer,
  );
  for (const { token, id } of tokens) checkId(id, token.content, addedTokens);
  return {
    ...config,
    normalizer,
    preTokenizer: json.get('pre_tokenizer').optional(readPreTokenizer),
    model,
    postProcessor: json.get('post_processor').optional(readPostProcessor) ?? plainPostProcessor,
    decoder: json.get('decoder').optional(readDecoder) ?? plainDecoder,
    addedTokens,
  };
}

/** An added token has the id of the vocabulary's token of that name, else the next free one: no other can be right. */
function checkId(id: JsonField, content: string, addedTokens: AddedTokens): void {
  const expected = addedTokens.tokenToId(content);
  if (expected === undefined || id.count() === expected) return;
  id.fail(`${expected}, the id of ${show(content)}`, 'check that the vocabulary is the right one');
}
