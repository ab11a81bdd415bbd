// Run where the packed package is installed, by every runtime that it must work in. Node, Deno and Bun get the files of
// dist/node, whichever entry point is imported: what several of them export must be one object, so that `instanceof` holds
// across them, and the bundler must have kept every name that the modules have: messages and saved configs tell those of classes.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const manifest = new URL(import.meta.resolve('bertscript/package.json'));
const { exports } = JSON.parse(readFileSync(fileURLToPath(manifest), 'utf8'));
/** Of what the modules export: the entry point that it was first seen in, and what that has in its place. */
const owners = new Map();
const problems = [];
let shared = 0;
let classes = 0;
for (const [name, { node, default: module }] of Object.entries(exports)) {
  if (!node) continue; // package.json
  const entry = `bertscript${name.slice(1)}`;
  const found = import.meta.resolve(entry);
  if (found !== new URL(node, manifest).href) problems.push(`${entry} is ${found}`);
  const [library, asModules] = [await import(entry), await import(new URL(module, manifest).href)];
  const [keys, wanted] = [library, asModules].map((one) => Object.keys(one).sort().join());
  if (keys !== wanted) problems.push(`${entry} exports ${keys} instead of ${wanted}`);
  for (const [key, value] of Object.entries(library)) {
    if (typeof value !== 'function') continue;
    if (value.name !== asModules[key].name) problems.push(`${key} of ${entry} is called ${value.name}`);
    if (/^class\b/.test(String(value))) classes++;
    const owner = owners.get(asModules[key]);
    if (owner && owner.value !== value) problems.push(`${key} of ${entry} is not that of ${owner.entry}`);
    if (owner) shared++;
    owners.set(asModules[key], { entry, value });
  }
}
console.log(JSON.stringify({ problems, shared, classes }));
