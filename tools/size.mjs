// How much there is to read, and to download: code lines per folder (neither blank nor comment) and the minified and
// compressed size of the library, and of what it takes to embed, in one file each. Exits 1 over a budget.
//
//     node tools/size.mjs [--lines N] [--file-lines N] [--kilobytes N] [--embed-kilobytes N]
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Principle 8 of the design: what a reader goes through in an afternoon. Raising a budget needs a reason in the commit. Families
 * are not in it: the encoder reads without them, and whoever knows BERT reads the one they need in a minute. Nor are tokenizers
 * beside BERT's: of src/tokenizer, what bertTokenizer.ts imports counts.
 */
const AFTERNOON = ['src/tensor/kernels', 'src/layers', 'src/bert', 'src/safetensors', 'src/tokenizer'];
/** Written by a program, read by nobody. */
const GENERATED = [
  'src/tokenizer/categoryTables.ts',
  'src/tokenizer/graphemeTables.ts',
  'src/tokenizer/normalFormTables.ts',
  'src/tokenizer/unicodeTables.ts',
];
const BUDGETS = { lines: '7100', 'file-lines': '450', kilobytes: '132', 'embed-kilobytes': '57' };

/** Lines on which code stands: a line of comment, or a blank one, is none. */
export function codeLines(text) {
  const file = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true);
  const lines = new Set();
  const visit = (node) => {
    if (ts.isJSDoc(node)) return;
    const children = node.getChildren(file);
    if (children.length > 0) return children.forEach(visit);
    const [start, end] = [node.getStart(file), node.getEnd()];
    if (start === end) return;
    const last = file.getLineAndCharacterOfPosition(end).line;
    for (let line = file.getLineAndCharacterOfPosition(start).line; line <= last; line++) lines.add(line);
  };
  visit(file);
  return lines.size;
}

/** A file and all that it and those import of its folder. */
function importedFrom(path, found = new Set()) {
  if (found.has(path)) return found;
  found.add(path);
  for (const [, name] of readFileSync(join(root, path), 'utf8').matchAll(/ from '\.\/(.*)'/g)) {
    importedFrom(`${path.slice(0, path.lastIndexOf('/'))}/${name}`, found);
  }
  return found;
}

/** The files that bundlers for browsers take instead of others, as package.json says. */
const forBrowsers = {
  name: 'the field "browser" of package.json',
  setup({ onLoad }) {
    const { browser } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const source = (path) => join(root, path.replace('./dist/', 'src/').replace('.js', '.ts'));
    const others = new Map(Object.entries(browser).map(([path, other]) => [source(path), source(other)]));
    onLoad({ filter: /\.ts$/ }, ({ path }) =>
      others.has(path) ? { contents: readFileSync(others.get(path)), loader: 'ts' } : undefined,
    );
  },
};

/** What a page loads for an entry: the bundle and the parts that it imports at once, without those that wait for `import()`. */
async function bundleOf(entry) {
  const options = { bundle: true, minify: true, format: 'esm', target: 'es2022', write: false, logLevel: 'warning' };
  const folder = join(root, 'out');
  const { outputFiles, metafile } = await build({
    ...{ ...options, splitting: true, metafile: true, outdir: folder, entryPoints: [entry], absWorkingDir: root },
    plugins: [forBrowsers],
  });
  const needed = (path) => [
    path,
    ...metafile.outputs[path].imports.filter(({ kind }) => kind === 'import-statement').flatMap((i) => needed(i.path)),
  ];
  const main = Object.keys(metafile.outputs).find(
    (path) => metafile.outputs[path].entryPoint === relative(root, entry),
  );
  const paths = new Set(needed(main).map((path) => join(root, path)));
  return Buffer.concat(outputFiles.filter(({ path }) => paths.has(path)).map(({ contents }) => contents));
}

async function main() {
  const { values } = parseArgs({
    options: Object.fromEntries(Object.keys(BUDGETS).map((name) => [name, { type: 'string' }])),
  });
  const budgets = { ...BUDGETS, ...values };
  const problems = [];

  const files = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !GENERATED.includes(path))
    .sort();
  const folders = new Map();
  const ofBert = importedFrom('src/tokenizer/bertTokenizer.ts');
  let afternoon = 0;
  for (const path of files) {
    const lines = codeLines(readFileSync(join(root, path), 'utf8'));
    const apart = ['src/tensor/kernels', 'src/bert/families'].find((name) => path.startsWith(`${name}/`));
    const isOther = path.startsWith('src/tokenizer/') && !ofBert.has(path);
    const folder = isOther ? 'other tokenizers' : (apart ?? path.split('/').slice(0, 2).join('/'));
    const [count, sum] = folders.get(folder) ?? [0, 0];
    folders.set(folder, [count + 1, sum + lines]);
    if (AFTERNOON.includes(folder)) afternoon += lines;
    if (lines > budgets['file-lines']) problems.push(`${path}: ${lines} code lines, at most ${budgets['file-lines']}`);
  }
  for (const [folder, [count, lines]] of folders) {
    const mark = AFTERNOON.includes(folder) ? '*' : ' ';
    console.log(`${mark} ${folder.padEnd(20)} ${String(count).padStart(3)} files ${String(lines).padStart(6)} lines`);
  }
  console.log(`* to be read in an afternoon: ${afternoon} lines of ${budgets.lines}`);
  if (afternoon > budgets.lines)
    problems.push(`${afternoon} code lines in ${AFTERNOON.join(', ')}, at most ${budgets.lines}`);

  const bundles = [
    ['src/index.ts', budgets.kilobytes],
    ['src/embed.ts', budgets['embed-kilobytes']],
  ].filter(([entry]) => existsSync(join(root, entry)));
  for (const [entry, budget] of bundles) {
    const code = await bundleOf(join(root, entry));
    const [bytes, compressed] = [code.length, gzipSync(code, { level: 9 }).length];
    const kilobytes = (size) => (size / 1000).toFixed(1);
    console.log(`  bundle of ${entry}: ${kilobytes(bytes)} kB minified, ${kilobytes(compressed)} kB gzip of ${budget}`);
    if (compressed > 1000 * budget)
      problems.push(`bundle of ${entry}: ${kilobytes(compressed)} kB gzip, at most ${budget}`);
  }

  for (const problem of problems) console.error(`over budget: ${problem}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
