import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as library from '../../src/index.ts';
import { SentenceEncoder, type EngineInfo } from '../../src/index.ts';
import * as training from '../../src/training/index.ts';
import { root } from '../support/paths.ts';
import { serveFiles } from '../support/serve.ts';
import { learn } from './lesson.js';

const candidates = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = candidates.find((path) => path && existsSync(path));
if (!executablePath && process.env.CI) throw new Error('no Chromium found, and CI must run the browser tests');

const texts = ['The cat sat on the mat.', 'Größe, naïve, 東京 🙂', 'word '.repeat(120)];
/** What lets a page share memory with its workers. */
const isolation = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

// Where there is no Chromium these tests say so and are skipped; .ci/run installs one.
describe.skipIf(!executablePath)('the built package in Chromium', () => {
  const dist = mkdtempSync(join(tmpdir(), 'bertscript-dist-'));
  let browser: Browser;
  let expected: number[][];
  const servers: Server[] = [];

  beforeAll(async () => {
    execFileSync(process.execPath, [join(root, 'tools/build.mjs'), dist]);
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
    });
    const encoder = await SentenceEncoder.fromPretrained(join(root, 'weights/all-MiniLM-L6-v2'));
    expected = encoder.encode(texts).map(({ embedding }) => [...embedding]);
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    for (const server of servers) server.close();
    rmSync(dist, { recursive: true, force: true });
  });

  async function embed(headers: Record<string, string>, threads: number): Promise<EngineInfo> {
    const folders = { '/dist/': dist, '/weights/': join(root, 'weights'), '/': join(root, 'tests/browser') };
    const { address, server } = await serveFiles(folders, headers);
    servers.push(server);
    const page = await browser.newPage();
    const messages: string[] = [];
    page.on('console', (message) => messages.push(message.text()));
    page.on('pageerror', (error) => messages.push(String(error)));
    await page.goto(`${address}/page.html`);
    await page.waitForFunction('window.ready');
    const result = await page.evaluate(`window.embed(${JSON.stringify(texts)}, ${threads})`);
    const { vectors, info } = result as { vectors: number[][]; info: EngineInfo };
    expect(messages).toEqual([]);
    expect(vectors).toHaveLength(texts.length);
    // The browser's fused multiply-add moves last bits, and rounding activations to 12 bits makes steps of some of them:
    // between Node 20 and 24 the cosine of the same text's vectors was 0.99996 to 0.99999.
    vectors.forEach((vector, i) => {
      const cosine = vector.reduce((sum, x, j) => sum + x * expected[i][j], 0); // their lengths are 1
      expect(Math.abs(cosine - 1)).toBeLessThan(1e-4);
    });
    return info;
  }

  it('embeds with SIMD on one thread, and says why there are no more', async () => {
    const info = await embed({}, 2);
    expect(info).toMatchObject({ kernels: 'simd', threads: 1 });
    expect(info.notes.join()).toContain('cross-origin isolated');
  });

  it('embeds on two threads where the headers allow', async () => {
    expect(await embed(isolation, 2)).toMatchObject({ kernels: 'simd', threads: 2 });
  });

  it.each([
    ['reference', 1e-6],
    ['simd', 1e-5], // the browser's multiply-add is fused
  ] as const)(
    'trains a classifier in a tab, with the losses that Node has, on the %s kernels',
    async (kernels, apart) => {
      const fixtures = join(root, 'tests/fixtures');
      const folders = { '/dist/': dist, '/fixtures/': fixtures, '/': join(root, 'tests/browser') };
      const { address, server } = await serveFiles(folders, {});
      servers.push(server);
      const page = await browser.newPage();
      await page.goto(`${address}/page.html`);
      await page.waitForFunction('window.ready');
      const losses = (await page.evaluate(`window.learn('${kernels}')`)) as number[];
      const location = join(fixtures, 'bert/sequenceClassification');
      const inNode = await learn(library, training, location, kernels);
      expect(losses).toHaveLength(12);
      losses.forEach((loss, i) => expect(Math.abs(loss - inNode[i])).toBeLessThan(apart));
      expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]);
    },
  );
});
