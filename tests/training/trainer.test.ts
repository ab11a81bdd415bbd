import { describe, expect, it } from 'vitest';
import { ConfigError, InputError } from '../../src/errors.ts';
import { Linear, RandomStore, Weights } from '../../src/layers/index.ts';
import { dropout, Engine } from '../../src/tensor/index.ts';
import {
  AdamW,
  epochBatches,
  meanSquared,
  Trainer,
  type LogRecord,
  type TrainerOptions,
  type TrainingStore,
} from '../../src/training/index.ts';

class MemoryStore implements TrainingStore {
  readonly files = new Map<string, Uint8Array>();
  write(name: string, bytes: Uint8Array): Promise<void> {
    this.files.set(name, bytes.slice());
    return Promise.resolve();
  }
  read(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.files.get(name));
  }
}

/** A linear layer that learns the sum of three numbers, one of them dropped now and then. */
function lesson(
  more: Partial<TrainerOptions<Int32Array>> = {},
  { lr = 0.05, engine = new Engine({ threads: 1 }) } = {},
) {
  const layer = new Linear(new Weights(new RandomStore(engine, 0.5, 4)), 3, 1);
  const examples = Array.from({ length: 10 }, (_, i) => [Math.sin(i), Math.cos(3 * i), Math.sin(5 * i)]);
  const options: TrainerOptions<Int32Array> = {
    optimizer: new AdamW(layer.parameters(), { lr }),
    epochs: 4,
    batches: (epoch) => epochBatches(examples.length, { batchSize: 3, seed: 2, epoch }),
    loss: (batch) => {
      const rows = Array.from(batch, (i) => examples[i]);
      const x = dropout(engine.tensor(rows.flat(), [rows.length, 3]), 0.2, batch);
      const y = engine.tensor(
        rows.map((row) => row[0] + row[1] + row[2]),
        [rows.length, 1],
      );
      return meanSquared(layer.forward(x), y);
    },
    seed: 9,
    ...more,
  };
  return { layer, options, weights: () => Array.from(layer.weight.toTensor().data) };
}

const losses = (history: readonly LogRecord[]) => history.map((record) => ('loss' in record ? record.loss : null));

describe('a training', () => {
  it('learns, and says what it did', async () => {
    const logged: LogRecord[] = [];
    const { options, weights } = lesson({
      epochs: 60,
      evaluate: (epoch) => ({ score: epoch }),
      onLog: (record) => void logged.push(record),
    });
    const result = await new Trainer(options).train();
    expect(result).toMatchObject({ steps: 240, stopped: 'done', best: { epoch: 60, score: 59 } });
    expect(result.history).toEqual(logged);
    expect(logged.filter((record) => 'epoch' in record)).toHaveLength(60);
    for (const weight of weights()) expect(Math.abs(weight - 0.9)).toBeLessThan(0.25); // dropout and decay hold it back
  });

  it('that is killed and resumed makes the same losses, bit for bit', async () => {
    const evaluate = () => ({ score: 1 });
    const whole = lesson({ evaluate, store: new MemoryStore() });
    const { history } = await new Trainer(whole.options).train();
    expect(losses(history)).toHaveLength(20);
    for (const death of [1, 3, 4, 6, 11, 16]) {
      const store = new MemoryStore();
      const killed = lesson({
        evaluate,
        store,
        saveEvery: 2,
        onLog: ({ step }) => {
          if (step === death) throw new Error('killed');
        },
      });
      await expect(new Trainer(killed.options).train()).rejects.toThrow('killed');
      const resumed = lesson({ evaluate, store, saveEvery: 2, resume: true });
      const result = await new Trainer(resumed.options).train();
      expect(result.history).toEqual(history);
      expect(resumed.weights()).toEqual(whole.weights());
    }
    const other = lesson({ evaluate, seed: 10 });
    expect(losses((await new Trainer(other.options).train()).history)).not.toEqual(losses(history)); // the test can fail
  });

  it('is not resumed with other settings, or into other shapes', async () => {
    const store = new MemoryStore();
    const begun = { store, settings: { seed: 9, batchSize: 3 } };
    await new Trainer(lesson({ ...begun, epochs: 1 }).options).train();
    const other = lesson({ ...begun, settings: { seed: 9, batchSize: 4 }, resume: true });
    const before = other.weights();
    await expect(new Trainer(other.options).train()).rejects.toThrow(/resume: batchSize: expected 3, got 4/);
    expect(other.weights()).toEqual(before);
    const same = lesson({ ...begun, resume: true });
    expect((await new Trainer(same.options).train()).steps).toBe(16);
    const layer = new Linear(new Weights(new RandomStore(new Engine({ threads: 1 }), 0.5, 4)), 4, 1);
    const wide = lesson({ ...begun, resume: true, optimizer: new AdamW(layer.parameters(), {}) });
    await expect(new Trainer(wide.options).train()).rejects.toThrow(/weight: expected a tensor.* of 4 numbers, got 3/);
  });

  it('is not resumed from a broken state, which nobody can download again', async () => {
    const store = new MemoryStore();
    await new Trainer(lesson({ store, epochs: 1 }).options).train();
    const bytes = (await store.read('state.safetensors'))!;
    for (const length of [4, 100, bytes.length - 1]) {
      await store.write('state.safetensors', bytes.subarray(0, length));
      const error: unknown = await new Trainer(lesson({ store, resume: true }).options)
        .train()
        .catch((e: unknown) => e);
      expect(String(error)).toMatch(/state\.safetensors.*the saved state is broken: begin anew, without resume$/);
    }
  });

  it('that was killed after its last evaluation makes no further step', async () => {
    const store = new MemoryStore();
    const patient = {
      store,
      evaluate: (epoch: number) => ({ score: 10 - epoch }),
      best: { metric: 'score' },
      patience: 1,
    };
    const { history, stopped } = await new Trainer(lesson(patient).options).train();
    expect(stopped).toBe('patience');
    const again = await new Trainer(lesson({ ...patient, resume: true }).options).train();
    expect(again).toMatchObject({ stopped: 'patience', history });
  });

  it('that is aborted keeps its place', async () => {
    const store = new MemoryStore();
    const controller = new AbortController();
    const stopped = lesson({
      store,
      signal: controller.signal,
      onLog: ({ step }) => {
        if (step === 5) controller.abort();
      },
    });
    expect(await new Trainer(stopped.options).train()).toMatchObject({ steps: 5, stopped: 'aborted' });
    const rest = await new Trainer(lesson({ store, resume: true }).options).train();
    const whole = await new Trainer(lesson().options).train();
    expect(rest.history).toEqual(whole.history);
  });

  it('is the same at any number of threads', async () => {
    const one = await new Trainer(lesson().options).train();
    const engine = new Engine({ threads: 2 });
    const two = await new Trainer(lesson({}, { engine }).options).train();
    engine.close();
    expect(two.history).toEqual(one.history);
  });

  it('gradients of several batches make one step', async () => {
    const batches = () => [Int32Array.of(0, 1, 2), Int32Array.of(3, 4, 5)];
    const { options, weights } = lesson({ epochs: 1, batches, accumulate: 2 });
    expect((await new Trainer(options).train()).steps).toBe(1);
    const before = lesson().weights();
    expect(weights()).not.toEqual(before);
  });

  it('ends with the best weights, early when nothing gets better', async () => {
    const scores = [1, 3, 2, 2, 5];
    const snapshots: number[][] = [];
    const { options, weights } = lesson({
      epochs: 5,
      evaluate: (epoch) => {
        snapshots.push(weights());
        return { score: scores[epoch] };
      },
      best: { metric: 'score' },
      patience: 2,
    });
    const result = await new Trainer(options).train();
    expect(result).toMatchObject({ stopped: 'patience', best: { epoch: 2, score: 3 } });
    expect(weights()).toEqual(snapshots[1]);
  });

  it('stops after so many steps, with an evaluation', async () => {
    const { options } = lesson({ maxSteps: 3, evaluate: () => ({ score: 1 }) });
    const { steps, stopped, history } = await new Trainer(options).train();
    expect([steps, stopped, history.length]).toEqual([3, 'maxSteps', 4]);
  });

  it('stops at the end of an epoch, evaluated once', async () => {
    const store = new MemoryStore();
    const { options } = lesson({ maxSteps: 4, store, evaluate: () => ({ score: 1 }) });
    const { stopped, history } = await new Trainer(options).train();
    expect([stopped, history.length]).toEqual(['maxSteps', 5]);
    const again = await new Trainer(lesson({ ...options, resume: true }).options).train();
    expect(again.history).toEqual(history);
  });

  it('whose evaluation fails loses no step, and goes on exactly', async () => {
    const scores = [2, 1, 3, 2];
    const evaluate = (epoch: number) => ({ score: scores[epoch] });
    const best = { metric: 'score' };
    const kept = new MemoryStore();
    const whole = lesson({ evaluate, best, store: kept });
    const expected = await new Trainer(whole.options).train();
    for (const epoch of [0, 1, 3]) {
      const store = new MemoryStore();
      const failing = (now: number) => {
        if (now === epoch) throw new Error('killed');
        return evaluate(now);
      };
      await expect(new Trainer(lesson({ evaluate: failing, best, store }).options).train()).rejects.toThrow('killed');
      const steps: number[] = [];
      const onLog = (record: LogRecord) => void ('loss' in record && steps.push(record.step));
      const resumed = lesson({ evaluate, best, store, onLog, resume: true });
      expect(await new Trainer(resumed.options).train()).toEqual(expected);
      expect(steps).toHaveLength(16 - 4 * (epoch + 1));
      expect(resumed.weights()).toEqual(whole.weights());
      expect(store.files).toEqual(kept.files);
    }
  });

  it('resumed with another wish for the best never names one whose weights it has not', async () => {
    const scores = [5, 1, 4, 3];
    const best = { best: { metric: 'score' } };
    /** Makes the epochs up to `epochs`, and says which was best and of which epoch the weights are. */
    const go = async (store: TrainingStore, epochs: number, more: Partial<TrainerOptions<Int32Array>>) => {
      const { options, weights } = lesson({
        ...{ store, epochs, resume: true, evaluate: (epoch: number) => ({ score: scores[epoch] }) },
        ...more,
      });
      return { best: (await new Trainer(options).train()).best, weights: weights() };
    };
    const after = async (epochs: number) => (await go(new MemoryStore(), epochs, {})).weights;
    let store = new MemoryStore();
    expect((await go(store, 1, {})).best).toEqual({ epoch: 1, score: 5 });
    const turnedOn = await go(store, 4, best);
    expect(turnedOn).toEqual({ best: { epoch: 3, score: 4 }, weights: await after(3) });
    store = new MemoryStore();
    await go(store, 1, best);
    expect(await go(store, 1, {})).toMatchObject({ best: undefined }); // the weights are the last ones
    expect(await go(store, 2, {})).toEqual({ best: { epoch: 2, score: 1 }, weights: await after(2) });
    expect(await go(store, 4, best)).toEqual({ best: { epoch: 3, score: 4 }, weights: await after(3) });
    store.files.delete('best.safetensors');
    expect(await go(store, 4, best)).toEqual({ best: undefined, weights: await after(4) });
  });

  it('keeps a metric that is not finite a number', async () => {
    const store = new MemoryStore();
    const undefinedMetric = { store, epochs: 1, evaluate: () => ({ score: NaN, other: Infinity }) };
    const { best, history } = await new Trainer(lesson(undefinedMetric).options).train();
    const again = await new Trainer(lesson({ ...undefinedMetric, resume: true }).options).train();
    expect(best).toEqual({ epoch: 1, score: NaN, other: Infinity });
    expect(again.best).toEqual({ epoch: 1, score: NaN, other: NaN });
    expect(again.history).toHaveLength(history.length);
  });

  it.each([3, 5, 9])('stopped after %i steps goes on from there with more', async (maxSteps) => {
    const evaluate = () => ({ score: 1 });
    const whole = await new Trainer(lesson({ evaluate }).options).train();
    const store = new MemoryStore();
    const stopped = await new Trainer(lesson({ evaluate, store, maxSteps }).options).train();
    const again = await new Trainer(lesson({ evaluate, store, maxSteps, resume: true }).options).train();
    expect(again).toEqual(stopped); // evaluated once
    const rest = lesson({ evaluate, store, resume: true });
    const { history, steps } = await new Trainer(rest.options).train();
    expect(steps).toBe(whole.steps);
    const made = (records: readonly LogRecord[]) => records.filter((record) => 'loss' in record);
    expect(made(history)).toEqual(made(whole.history));
    expect(history).toHaveLength(whole.history.length + 1); // and the evaluation of the stop
  });

  it('stopped within an epoch is no less patient when it goes on', async () => {
    const scores = [3, 2, 4, 5];
    const evaluate = (epoch: number) => ({ score: scores[epoch] });
    const patient = { evaluate, best: { metric: 'score' }, patience: 2 };
    const whole = await new Trainer(lesson(patient).options).train();
    expect(whole).toMatchObject({ steps: 16, stopped: 'done' });
    const store = new MemoryStore();
    const stopped = await new Trainer(lesson({ ...patient, store, maxSteps: 6 }).options).train();
    expect(stopped.stopped).toBe('maxSteps');
    const rest = await new Trainer(lesson({ ...patient, store, resume: true }).options).train();
    expect(rest).toMatchObject({ steps: whole.steps, stopped: 'done', best: whole.best });
    const last = new Trainer(lesson({ ...patient, patience: 1, store: new MemoryStore(), maxSteps: 6 }).options);
    expect(await last.train()).toMatchObject({ stopped: 'maxSteps' });
  });

  it('writes no state twice', async () => {
    const written: string[] = [];
    const store = new MemoryStore();
    const write = (name: string, bytes: Uint8Array) => {
      written.push(Buffer.from(bytes).toString('latin1'));
      return store.write(name, bytes);
    };
    const spy: TrainingStore = { write, read: (name) => store.read(name) };
    await new Trainer(lesson({ store: spy, saveEvery: 2, epochs: 2, evaluate: () => ({ score: 1 }) }).options).train();
    expect(written).toHaveLength(6); // after 2, 4, 6 and 8 steps, and two evaluations
    expect(new Set(written).size).toBe(6);
  });

  it('that diverges says so, and where', async () => {
    const { options } = lesson({ epochs: 100 }, { lr: 1e38 });
    await expect(new Trainer(options).train()).rejects.toThrow(InputError);
    await expect(new Trainer(options).train()).rejects.toThrow(/step \d+: expected a finite loss/);
  });

  it('refuses options without sense', () => {
    expect(() => new Trainer(lesson({ epochs: 0 }).options)).toThrow(ConfigError);
    expect(() => new Trainer(lesson({ patience: 1 }).options)).toThrow(ConfigError);
    expect(() => new Trainer(lesson({ best: { metric: 'a' } }).options)).toThrow(ConfigError);
    expect(() => new Trainer(lesson({ maxGradNorm: 0 }).options)).toThrow(ConfigError);
  });

  it('without batches is an error', async () => {
    await expect(new Trainer(lesson({ batches: () => [] }).options).train()).rejects.toThrow('at least one');
  });
});
