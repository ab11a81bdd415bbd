import { AutoModel } from '../bert/index.ts';
import { BertSentenceEncoder } from './sentenceEncoder.ts';

/** Texts to vectors, with an encoder of any family. */
export class SentenceEncoder extends BertSentenceEncoder {
  protected static override readonly modelClass = AutoModel;
}
