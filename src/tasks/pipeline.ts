import { BertModel, loadAdapter } from '../bert/index.ts';
import { ConfigError, show } from '../errors.ts';
import type { ModelLocation } from '../hub/index.ts';
import { extractiveSummarization, type ExtractiveSummarization } from './extractiveSummarization.ts';
import { featureExtraction, type FeatureExtraction } from './featureExtraction.ts';
import { fillMask, type FillMask } from './fillMask.ts';
import { loadTask, type Head, type TaskModel, type TaskOptions } from './load.ts';
import { questionAnswering, type QuestionAnswering } from './questionAnswering.ts';
import { rerank, type Rerank } from './rerank.ts';
import { search, type SemanticSearch } from './search.ts';
import { SentenceEncoder } from './autoSentenceEncoder.ts';
import type { BertSentenceEncoder } from './sentenceEncoder.ts';
import { sentenceSimilarity, type SentenceSimilarity } from './sentenceSimilarity.ts';
import { textClassification, type TextClassification } from './textClassification.ts';
import { tokenClassification, type TokenClassification } from './tokenClassification.ts';
import { zeroShotClassification, type ZeroShotClassification } from './zeroShotClassification.ts';

/** Every task by its name, and what `pipeline` returns for it. */
export interface Tasks {
  'feature-extraction': FeatureExtraction;
  'sentence-similarity': SentenceSimilarity;
  search: SemanticSearch;
  'extractive-summarization': ExtractiveSummarization;
  'text-classification': TextClassification;
  'sentiment-analysis': TextClassification;
  'zero-shot-classification': ZeroShotClassification;
  'token-classification': TokenClassification;
  ner: TokenClassification;
  'question-answering': QuestionAnswering;
  'fill-mask': FillMask;
  rerank: Rerank;
  'text-ranking': Rerank;
}

export type TaskName = keyof Tasks;

type Loader<T> = (location: ModelLocation, options: TaskOptions) => Promise<T>;

const onEncoder =
  <T>(make: (encoder: BertSentenceEncoder) => T): Loader<T> =>
  async (location, { adapter, ...options }) => {
    const encoder = await SentenceEncoder.fromPretrained(location, options);
    if (adapter === undefined) return make(encoder);
    if (encoder.model instanceof BertModel) await loadAdapter(encoder.model, adapter);
    else throw new ConfigError({ what: 'adapter', expected: 'a model with layers', got: 'a table of vectors' });
    return make(encoder);
  };

const onHead =
  <T>(task: TaskName, head: Head, make: (loaded: TaskModel) => T): Loader<T> =>
  async (location, options) =>
    make(await loadTask(task, head, location, options));

const sequences = 'ForSequenceClassification';
const loaders: { readonly [Name in TaskName]: Loader<Tasks[Name]> } = {
  'feature-extraction': onEncoder(featureExtraction),
  'sentence-similarity': onEncoder(sentenceSimilarity),
  search: onEncoder(search),
  'extractive-summarization': onEncoder(extractiveSummarization),
  'text-classification': onHead('text-classification', sequences, textClassification),
  'sentiment-analysis': onHead('sentiment-analysis', sequences, textClassification),
  'zero-shot-classification': onHead('zero-shot-classification', sequences, zeroShotClassification),
  'token-classification': onHead('token-classification', 'ForTokenClassification', tokenClassification),
  ner: onHead('ner', 'ForTokenClassification', tokenClassification),
  'question-answering': onHead('question-answering', 'ForQuestionAnswering', questionAnswering),
  'fill-mask': onHead('fill-mask', 'ForMaskedLM', fillMask),
  rerank: onHead('rerank', sequences, rerank),
  'text-ranking': onHead('text-ranking', sequences, rerank),
};

/**
 * A task on a model: `const classify = await pipeline('text-classification', folder); await classify('a text')`.
 *
 * Names are those of transformers.js, and so are options and results where they say all there is to say; the docs of each
 * task tell where not.
 *
 * @throws ConfigError for an unknown task, or a model that lacks the head for it; see `fromPretrained` for the rest
 */
export async function pipeline<Name extends TaskName>(
  task: Name,
  location: ModelLocation,
  options: TaskOptions = {},
): Promise<Tasks[Name]> {
  if (!Object.hasOwn(loaders, task)) {
    const expected = `one of ${Object.keys(loaders).join(', ')}`;
    const fix = String(task) === 'summarization' ? 'use extractive-summarization: an encoder writes no new text' : '';
    throw new ConfigError({ what: 'task', expected, got: show(task), ...(fix && { fix }) });
  }
  if (typeof options !== 'object' || options === null) {
    throw new ConfigError({ what: 'options of pipeline', expected: 'an object of options', got: show(options) });
  }
  return loaders[task](location, options);
}
