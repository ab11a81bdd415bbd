import { env, pipeline } from '@huggingface/transformers';
import { report, TEXT } from './first.mjs';

const [models, model, dtype] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = models;
const options = { dtype, device: 'cpu', session_options: { intraOpNumThreads: 1, interOpNumThreads: 1 } };
const extract = await pipeline('feature-extraction', model, options);
report((await extract(TEXT, { pooling: 'mean', normalize: true })).data);
