import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Server } from 'node:http';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SentenceEncoder } from '../../src/index.ts';
import { root } from '../support/paths.ts';
import { serveFiles } from '../support/serve.ts';

const candidates = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = candidates.find((path) => path && existsSync(path));
if (!executablePath && process.env.CI) throw new Error('no Chromium found, and CI must run the browser tests');

// Where there is no Chromium these tests say so and are skipped; .ci/run installs one.
describe.skipIf(!executablePath)('the built package in Chromium', () => {
  const dist = mkdtempSync(join(tmpdir(), 'bertscript-dist-'));
  let server: Server;
  let browser: Browser;
  let page: Page;
  const messages: string[] = [];

  beforeAll(async () => {
    execFileSync(process.execPath, [join(root, 'tools/build.mjs'), dist]);
    const folders = { '/dist/': dist, '/weights/': join(root, 'weights'), '/': join(root, 'tests/browser') };
    const { address, server: started } = await serveFiles(folders);
    server = started;
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
    });
    page = await browser.newPage();
    page.on('console', (message) => messages.push(message.text()));
    page.on('pageerror', (error) => messages.push(String(error)));
    await page.goto(`${address}/page.html`);
    await page.waitForFunction('window.ready');
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
    rmSync(dist, { recursive: true, force: true });
  });

  it('embeds as Node does, with nothing on the console', async () => {
    const texts = ['The cat sat on the mat.', 'Größe, naïve, 東京 🙂'];
    const evaluated = await page.evaluate(`window.embed(${JSON.stringify(texts)})`);
    const { vectors } = evaluated as { vectors: number[][] };

    const encoder = await SentenceEncoder.fromPretrained(join(root, 'weights/all-MiniLM-L6-v2'));
    const expected = encoder.encode(texts).map(({ embedding }) => [...embedding]);
    expect(vectors).toHaveLength(2);
    vectors.forEach((vector, i) => vector.forEach((x, j) => expect(x).toBeCloseTo(expected[i][j], 6)));
    expect(messages).toEqual([]);
  });
});
