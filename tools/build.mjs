// Builds the package into dist/ (or the folder given): the library as modules with their types (tsc), the same in a few
// files, which Node starts with sooner, in dist/node (rolldown), and the command line in one file (esbuild).
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { build as bundleModules } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = resolve(process.argv[2] ?? join(root, 'dist'));
process.chdir(root);
rmSync(out, { recursive: true, force: true });
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', out], {
  stdio: 'inherit',
});

await bundleForNode();

const { metafile } = await build({
  entryPoints: ['src/cli/bin.ts'],
  outfile: join(out, 'cli/bin.js'),
  absWorkingDir: root, // esbuild noted the folder it was imported in
  bundle: true,
  minify: true,
  keepNames: true, // messages name classes of models and configs
  platform: 'node',
  format: 'esm',
  target: 'node20',
  metafile: true,
  // Some bundled packages are CommonJS and call require for Node's own modules.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
writeFileSync(join(out, 'cli/LICENSES.txt'), licensesOf(Object.keys(metafile.inputs)));

/**
 * All entry points at once, with what they share in chunks of its own: a class is one object, whichever of them it comes from.
 * Not by esbuild, which renames classes that refer to themselves (messages and configs tell their names), or with
 * `keepNames` wraps every inner function.
 */
async function bundleForNode() {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
  const modules = Object.values(exports).flatMap((entry) => entry.default?.replace('./dist/', '') ?? []);
  const { output } = await bundleModules({
    cwd: out,
    input: Object.fromEntries(modules.map((path) => [path.replace('.js', ''), join(out, path)])),
    platform: 'node',
    output: {
      dir: join(out, 'node'),
      chunkFileNames: 'chunks/[name].js',
      comments: { legal: true, annotation: true, jsdoc: false },
    },
    logLevel: 'warn',
  });
  for (const { fileName, code } of output) {
    const renamed = /class \w+\$\d+/.exec(code); // two modules of a chunk have a class of one name
    if (renamed) throw new Error(`${fileName}: ${renamed[0]} would show in messages`);
  }
}

/** The licences of the packages that are inside the bundle. */
function licensesOf(inputs) {
  const folders = new Set();
  for (const input of inputs.filter((path) => path.includes('node_modules'))) {
    let folder = dirname(join(root, input));
    while (
      !existsSync(join(folder, 'package.json')) ||
      !JSON.parse(readFileSync(join(folder, 'package.json'))).version
    ) {
      folder = dirname(folder);
    }
    folders.add(folder);
  }
  return [...folders]
    .sort()
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      const file = ['LICENSE', 'LICENSE.md', 'license', 'LICENSE-MIT.txt', 'LICENSE.txt'].find((f) =>
        existsSync(join(folder, f)),
      );
      if (!file) throw new Error(`no licence file in ${relative(root, folder).split(sep).join('/')}`);
      return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
    })
    .join(`\n${'-'.repeat(80)}\n\n`);
}
