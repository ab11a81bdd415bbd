/** Real text for the cases, read from the folder given with --data when a run starts; nothing of it is kept in git. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from './statistics.mjs';

export class Texts {
  #folder;
  #tokenizer;

  constructor(folder, tokenizer) {
    this.#folder = folder;
    this.#tokenizer = tokenizer;
  }

  #read(name) {
    return readFileSync(join(this.#folder, name), 'utf8');
  }

  #lines(name) {
    return this.#read(name)
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter(Boolean);
  }

  /** Paragraphs of plain English. */
  english() {
    return this.#lines('us-speeches.txt');
  }

  /** The Universal Declaration of Human Rights in about 350 languages, a paragraph each. */
  multilingual() {
    return this.#lines('udhr.jsonl').map((line) => JSON.parse(line).text.trim());
  }

  /** `{ a, b, score }` of SICK's training part: sentences and how related people found them. */
  sick() {
    const [, ...rows] = this.#lines('sick.train.tsv').map((line) => line.split('\t'));
    return rows.map(([, a, b, score]) => ({ a, b, score: Number(score) }));
  }

  /** Token ids of a text, special ones included. */
  idsOf(text) {
    return [...this.#tokenizer.encode(text).inputIds];
  }

  /** So many sequences of so many tokens, special ones included, of running English. */
  ids(sequences, length) {
    const { clsTokenId, sepTokenId } = this.#tokenizer;
    const wanted = sequences * (length - 2);
    const stream = [];
    for (const text of this.english()) {
      stream.push(...this.#tokenizer.encode(text, { addSpecialTokens: false }).inputIds);
      if (stream.length >= wanted) break;
    }
    return Array.from({ length: sequences }, (_, i) => {
      const body = stream.slice(i * (length - 2), (i + 1) * (length - 2));
      return [clsTokenId, ...body, sepTokenId];
    });
  }

  /**
   * Documents of mixed length: sentences of reviews, questions, and paragraphs, drawn so that their lengths in tokens
   * follow a log-normal distribution between 6 and 250 (mean about 50: most are short, a few are long).
   */
  documents(count) {
    const pool = [
      ...this.#lines('sst2.train.tsv').map((line) => line.split('\t')[0]),
      ...JSON.parse(this.#read('xquad.en.train.json')).data.flatMap(({ paragraphs }) =>
        paragraphs.flatMap(({ context, qas }) => [context, ...qas.map(({ question }) => question)]),
      ),
      ...this.english().slice(0, 4000),
    ];
    const byLength = new Map();
    for (const text of new Set(pool)) {
      const { length } = this.#tokenizer.encode(text);
      if (length >= 6 && length <= 250) byLength.set(length, [...(byLength.get(length) ?? []), text]);
    }
    const random = seededRandom(1);
    const take = (length) => {
      for (let distance = 0; ; distance++) {
        for (const candidate of [length + distance, length - distance]) {
          const texts = byLength.get(candidate);
          if (texts?.length) return texts.splice(Math.floor(random() * texts.length), 1)[0];
        }
      }
    };
    return Array.from({ length: count }, () => {
      const gauss = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
      return take(Math.max(6, Math.min(250, Math.round(Math.exp(3.55 + 0.87 * gauss)))));
    });
  }
}
