import { show } from '../errors.ts';
import { AddedTokens, readAddedToken } from './addedTokens.ts';
import { type Decoder, plainDecoder } from './decoder.ts';
import type { JsonField, Readers } from './jsonField.ts';
import { type Model, readModel } from './model.ts';
import type { Normalizer } from './normalizer.ts';
import { plainPostProcessor, type PostProcessor } from './postProcessor.ts';
import type { PreTokenizer } from './preTokenizer.ts';
import type { Pipeline } from './tokenizer.ts';
import type { TokenizerConfig } from './tokenizerConfig.ts';

/** The types of stages that a tokenizer.json may name. */
export interface StageReaders {
  readonly normalizers: Readers<Normalizer>;
  readonly preTokenizers: Readers<PreTokenizer>;
  readonly models: Readers<Model>;
  readonly postProcessors: Readers<PostProcessor>;
  readonly decoders: Readers<Decoder>;
}

/**
 * The stages that a tokenizer.json describes. Its `truncation` and `padding` are left alone: callers ask for those.
 *
 * @throws TokenizerError for a malformed field, an unsupported stage or an inconsistent vocabulary
 */
export function readTokenizerJson(json: JsonField, config: TokenizerConfig, readers: StageReaders): Pipeline {
  const version = json.get('version');
  if (!version.isMissing && version.value !== '1.0') version.fail('"1.0"');
  const normalizer = json.get('normalizer').optional((field) => field.byType(readers.normalizers));
  const model = readModel(json.get('model'), readers.models);
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
    preTokenizer: json.get('pre_tokenizer').optional((field) => field.byType(readers.preTokenizers)),
    model,
    postProcessor:
      json.get('post_processor').optional((field) => field.byType(readers.postProcessors)) ?? plainPostProcessor,
    decoder: json.get('decoder').optional((field) => field.byType(readers.decoders)) ?? plainDecoder,
    addedTokens,
  };
}

/** An added token has the id of the vocabulary's token of that name, else the next free one: no other can be right. */
function checkId(id: JsonField, content: string, addedTokens: AddedTokens): void {
  const expected = addedTokens.tokenToId(content);
  if (expected === undefined || id.count() === expected) return;
  id.fail(`${expected}, the id of ${show(content)}`, 'check that the vocabulary is the right one');
}
