import { ConfigError, InputError, show } from '../errors.ts';
import { averageScores, noCounts, scoresOf, type Average, type Counts, type Scores } from './classification.ts';
import { expectPairs, sumOf } from './check.ts';

/** An entity in a tagged sentence: the words from `start` up to, not including, `end`. */
export interface TaggedEntity {
  type: string;
  start: number;
  end: number;
}

/** How tags mark entities (Tjong Kim Sang & Veenstra 1999; Ratinov & Roth 2009 for BILOU). */
export type TagScheme = 'IOB1' | 'IOB2' | 'IOE1' | 'IOE2' | 'IOBES' | 'BILOU';

/**
 * The entities of one sentence's tags (`B-PER`, `I-PER`, `O`).
 *
 * Without a scheme, tags are read with good will, as the conlleval script does: `I-PER` after `O` begins an entity. With one,
 * only what the scheme allows is an entity. Both as seqeval's default and strict modes.
 *
 * @throws InputError for a tag that is none, or not of the scheme
 */
export function entitiesOf(tags: readonly string[], scheme?: TagScheme): TaggedEntity[] {
  return scheme === undefined ? lenientEntities(tags) : strictEntities(tags, scheme);
}

interface Tag {
  prefix: string;
  type: string;
}

const OUTSIDE: Tag = { prefix: 'O', type: '_' };

function readTag(tag: string, index: number): { prefix: string; rest: string } {
  if (typeof tag === 'string' && tag !== '') return { prefix: tag[0], rest: tag.slice(1) };
  throw new InputError({ what: `tag ${index}`, expected: 'text such as "B-PER" or "O"', got: show(tag) });
}

const isOutside = ({ prefix }: Tag) => prefix === 'O' || prefix === '.';

/** Where conlleval sees an entity end before a tag, and where it sees one begin with it. */
const endsBetween = (last: Tag, tag: Tag) =>
  'ES'.includes(last.prefix) ||
  ('BI'.includes(last.prefix) && 'BSO'.includes(tag.prefix)) ||
  (!isOutside(last) && last.type !== tag.type);
const beginsWith = (last: Tag, tag: Tag) =>
  'BS'.includes(tag.prefix) ||
  ('ESO'.includes(last.prefix) && 'EI'.includes(tag.prefix)) ||
  (!isOutside(tag) && last.type !== tag.type);

function lenientEntities(tags: readonly string[]): TaggedEntity[] {
  const entities: TaggedEntity[] = [];
  let last = OUTSIDE;
  let start = 0;
  [...tags, 'O'].forEach((text, i) => {
    const { prefix, rest } = readTag(text, i);
    const tag = { prefix, type: rest.slice(rest.indexOf('-') + 1) || '_' };
    if (endsBetween(last, tag)) entities.push({ type: last.type, start, end: i });
    if (beginsWith(last, tag)) start = i;
    last = tag;
  });
  return entities;
}

/** Patterns of a strict scheme: prefix before, prefix now, and whether the types must be the same (=), differ (!) or may do either. */
interface Rules {
  prefixes: string;
  begins: string[];
  goesOn: string[];
  ends: string[];
}

const ANY = '?';
const rules: Record<TagScheme, Rules> = {
  IOB1: {
    prefixes: 'IOB',
    begins: ['OI', 'II!', 'BI', 'IB=', 'BB='],
    goesOn: ['BI=', 'II='],
    ends: ['II!', 'IO', 'IB', 'BO', 'BI!', 'BB='],
  },
  IOB2: {
    prefixes: 'IOB',
    begins: [`${ANY}B`],
    goesOn: ['BI=', 'II='],
    ends: ['IO', 'II!', 'IB', 'BO', 'BI!', 'BB'],
  },
  IOE1: {
    prefixes: 'IOE',
    begins: ['OI', 'II!', 'EI', 'EE='],
    goesOn: ['II=', 'IE='],
    ends: ['II!', 'IO', 'IE!', 'EI=', 'EE='],
  },
  IOE2: {
    prefixes: 'IOE',
    begins: ['OI', 'OE', 'EI', 'EE', 'II!', 'IE!'],
    goesOn: ['IE=', 'II='],
    ends: [`E${ANY}`],
  },
  IOBES: {
    prefixes: 'IOBES',
    begins: [`${ANY}B`, `${ANY}S`],
    goesOn: ['BI=', 'BE=', 'II=', 'IE='],
    ends: [`S${ANY}`, `E${ANY}`],
  },
  BILOU: {
    prefixes: 'BILOU',
    begins: [`${ANY}B`, `${ANY}U`],
    goesOn: ['BI=', 'BL=', 'II=', 'IL='],
    ends: [`U${ANY}`, `L${ANY}`],
  },
};

function matches(patterns: readonly string[], last: Tag, tag: Tag): boolean {
  return patterns.some(([before, now, types]) => {
    if ((before !== ANY && before !== last.prefix) || (now !== ANY && now !== tag.prefix)) return false;
    return types === undefined || (types === '=') === (last.type === tag.type);
  });
}

function strictEntities(texts: readonly string[], scheme: TagScheme): TaggedEntity[] {
  if (!Object.hasOwn(rules, scheme)) {
    throw new ConfigError({
      what: 'tag scheme',
      expected: `one of ${Object.keys(rules).join(', ')}`,
      got: show(scheme),
    });
  }
  const { prefixes, begins, goesOn, ends } = rules[scheme];
  const tags = texts.map((text, i) => {
    const { prefix, rest } = readTag(text, i);
    if (prefixes.includes(prefix)) return { prefix, type: rest.replace(/^-+|-+$/g, '') || '_' };
    throw new InputError({ what: `tag ${i}`, expected: `one that begins with a letter of ${scheme}`, got: show(text) });
  });
  tags.push(OUTSIDE); // which neither begins an entity nor goes on with one
  const entities: TaggedEntity[] = [];
  let last = OUTSIDE;
  for (let i = 0; i < tags.length;) {
    const start = i++;
    if (matches(begins, last, tags[start])) {
      while (matches(goesOn, tags[i - 1], tags[i])) i++;
      if (matches(ends, tags[i - 1], tags[i])) entities.push({ type: tags[start].type, start, end: i });
    }
    last = tags[i - 1];
  }
  return entities;
}

export interface EntityScoresOptions {
  /** Read tags strictly by this scheme. Default: with good will, as conlleval does. */
  scheme?: TagScheme;
  zeroDivision?: number;
}

export interface EntityReport extends Record<Average, Scores> {
  byType: Map<string, Scores>;
}

/**
 * Precision, recall and F1 of whole entities: right only when type, start and end are. The usual number is `micro.f1`.
 *
 * @param labels      the true tags of each sentence
 * @param predictions the predicted ones
 * @throws InputError if the sentences differ in number or length
 */
export function entityScores(
  labels: readonly (readonly string[])[],
  predictions: readonly (readonly string[])[],
  { scheme, zeroDivision = 0 }: EntityScoresOptions = {},
): EntityReport {
  expectPairs('entityScores', labels, predictions);
  const counts = new Map<string, Counts>();
  const countOf = (type: string) => counts.get(type) ?? counts.set(type, noCounts()).get(type)!;
  labels.forEach((tags, s) => {
    expectPairs(`entityScores: sentence ${s}`, tags, predictions[s], 0);
    const keys = (entities: TaggedEntity[]) => entities.map(({ type, start, end }) => `${start} ${end} ${type}`);
    const truth = entitiesOf(tags, scheme);
    const found = entitiesOf(predictions[s], scheme);
    const right = new Set(keys(truth));
    for (const { type } of truth) countOf(type).support++;
    keys(found).forEach((key, i) => {
      countOf(found[i].type).predicted++;
      if (right.has(key)) countOf(found[i].type).right++;
    });
  });
  const types = [...counts.keys()].sort();
  const byType = new Map(types.map((type) => [type, scoresOf(counts.get(type)!, zeroDivision)]));
  const all = [...counts.values()];
  const total = (key: keyof Counts) => sumOf(all.map((count) => count[key]));
  return {
    byType,
    micro: scoresOf({ right: total('right'), predicted: total('predicted'), support: total('support') }, zeroDivision),
    macro: averageScores([...byType.values()], 'macro', zeroDivision),
    weighted: averageScores([...byType.values()], 'weighted', zeroDivision),
  };
}
