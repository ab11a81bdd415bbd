import { posix } from 'node:path';
import ts from 'typescript';

export interface Import {
  /** As written: './shape.ts', 'node:fs', 'commander'. */
  specifier: string;
  /** Erased when compiled, so that nothing is loaded. */
  typeOnly: boolean;
  line: number;
}

/** Every import of a module: `import`, `export … from`, `import()` and the `import()` of types. */
export function importsOf(text: string): Import[] {
  const file = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true);
  const found: Import[] = [];
  const note = (specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (specifier === undefined) return;
    const literal = ts.isStringLiteralLike(specifier) ? specifier.text : `(computed) ${specifier.getText()}`;
    found.push({
      specifier: literal,
      typeOnly,
      line: file.getLineAndCharacterOfPosition(specifier.getStart()).line + 1,
    });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      note(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node)) note(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      note(node.arguments[0], false);
    else if (ts.isImportTypeNode(node))
      note(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : node.argument, true);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** Design §2: who may import whom. Everybody may import errors.ts and its own folder. Longer paths go before shorter ones. */
const mayImport: [path: string, parts: string[]][] = [
  ['src/errors.ts', []],
  ['src/index.ts', ['tensor', 'layers', 'bert', 'tokenizer', 'safetensors', 'hub', 'metrics', 'training', 'tasks']],
  ['src/embed.ts', ['bert', 'tokenizer', 'hub', 'tasks', 'tensor']],
  ['src/tensor/', []],
  ['src/layers/', ['tensor']],
  ['src/safetensors/', []],
  ['src/tensorflow/', []],
  ['src/hub/', []],
  ['src/metrics/', []],
  ['src/tokenizer/', ['safetensors', 'hub']],
  ['src/bert/', ['tensor', 'layers', 'safetensors', 'tensorflow', 'hub']],
  ['src/parity/', ['tensor', 'layers', 'safetensors', 'bert']],
  ['src/quantization/', ['tensor', 'layers', 'bert']],
  // Recipes read text, and evaluate by the tasks that users run.
  ['src/training/recipes/', ['tensor', 'layers', 'bert', 'metrics', 'tokenizer', 'tasks']],
  ['src/training/', ['tensor', 'layers', 'safetensors']],
  ['src/tasks/', ['tensor', 'layers', 'bert', 'tokenizer', 'safetensors', 'hub', 'metrics']],
  ...['src/cli/', 'src/server/'].map((path): [string, string[]] => [
    path,
    [
      'tensor',
      'layers',
      'bert',
      'tokenizer',
      'safetensors',
      'hub',
      'metrics',
      'training',
      'quantization',
      'parity',
      'tasks',
    ],
  ]),
];

/** The files that may load Node's own modules; every other must run in a browser. */
const mayImportNode = ['src/cli/bin.ts', 'src/cli/nodeIo.ts', 'src/server/node.ts'];
/** The files that may use the types of Node's modules, which loads nothing. */
const mayImportNodeTypes = [
  ...mayImportNode,
  'src/hub/folder.ts',
  'src/tensor/simd/start.ts',
  'src/tensor/threads/pool.ts',
];
/** The packages that the command line bundles; nobody else imports any. */
const packages = ['commander', 'csv-parse', 'cli-progress'];

/** What is wrong with the imports of a file, one line each. */
export function importFaults(path: string, text: string): string[] {
  const rule = mayImport.find(([prefix]) => path.startsWith(prefix));
  if (!rule) return [`${path}: no rule says what it may import; add one to tests/support/imports.ts`];
  return importsOf(text).flatMap(({ specifier, typeOnly, line }) => {
    const fault = faultOf(path, rule[1], specifier, typeOnly);
    return fault ? [`${path}:${line}: ${fault}`] : [];
  });
}

function faultOf(path: string, parts: string[], specifier: string, typeOnly: boolean): string | null {
  if (specifier.startsWith('node:')) {
    const allowed = typeOnly ? mayImportNodeTypes : mayImportNode;
    return allowed.includes(path) ? null : `imports ${specifier}, which only ${allowed.join(', ')} may`;
  }
  if (!specifier.startsWith('.')) {
    const name = specifier.split('/')[0];
    if (packages.includes(name) && path.startsWith('src/cli/')) return null;
    return `imports ${specifier}, a package or a computed name`;
  }
  if (!specifier.endsWith('.ts')) return `imports ${specifier} without its ending, .ts`;
  const target = posix.normalize(posix.join(posix.dirname(path), specifier));
  if (target === 'src/errors.ts') return null;
  const [root, part, ...rest] = target.split('/');
  if (root !== 'src') return `imports ${target}, outside src`;
  if (path.startsWith('src/tensor/kernels/') && !target.startsWith('src/tensor/kernels/')) {
    return `imports ${target}; kernels know arrays and sizes, nothing else`;
  }
  if (path.startsWith(`src/${part}/`)) return null;
  if (!parts.includes(part)) return `imports ${target}, which this folder may not`;
  return rest.join('/') === 'index.ts' ? null : `imports ${target} rather than the folder's index.ts`;
}
