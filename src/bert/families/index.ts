// The model and config classes of every family but BERT. AutoModel and loadAnyModel find what is exported here.
export * from './albert.ts';
export * from './camembert.ts';
export * from './debertaV2.ts';
export * from './distilbert.ts';
export * from './electra.ts';
export * from './modernBert.ts';
export * from './mpnet.ts';
export * from './nomicBert.ts';
export * from './roberta.ts';
export * from './xlmRoberta.ts';
export {
  DebertaConfig,
  DebertaModel,
  DebertaForMaskedLM,
  DebertaForSequenceClassification,
  DebertaForTokenClassification,
  DebertaForQuestionAnswering,
  type DebertaConfigOptions,
} from './deberta.ts';
