import { AutoModel, type BertModel, type LoadOptions } from '../bert/index.ts';
import type { ModelFiles } from '../hub/index.ts';
import { AutoTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { BertSentenceEncoder } from './sentenceEncoder.ts';
import { StaticEmbeddings } from './staticEmbeddings.ts';

/** Texts to vectors, with an encoder of any family, or a table of vectors. */
export class SentenceEncoder extends BertSentenceEncoder {
  protected static override loadModel(
    files: ModelFiles,
    options: LoadOptions,
    isStatic: boolean,
  ): Promise<BertModel | StaticEmbeddings> {
    return (isStatic ? StaticEmbeddings : AutoModel).fromPretrained(files, options);
  }

  protected static override loadTokenizer(files: ModelFiles): Promise<Tokenizer> {
    return AutoTokenizer.fromPretrained(files);
  }
}
