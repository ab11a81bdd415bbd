import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFiles, readJson, UrlFiles } from '../../src/hub/index.ts';
import { refusal } from './refusal.ts';

let server: Server;
let base: string;
const requests: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    const path = new URL(request.url ?? '', 'http://x').pathname.replace('/model/', '');
    if (path === 'config.json') response.end('{"hidden_size":4}');
    else if (path === 'tokenizer%20%C3%BC%23%3F.json') response.end('1');
    else if (path === 'page.json') response.setHeader('content-type', 'Text/HTML; charset=utf-8').end('<p>Sign in</p>');
    else if (path === 'secret') response.writeHead(403).end('no');
    else if (path === 'busy') response.writeHead(503, 'Try Later').end('<p>busy</p>');
    else if (path === 'cut') response.writeHead(200, { 'content-length': 100 }).write('half', () => response.destroy());
    else if (path === 'moved') response.writeHead(302, { location: '/model/config.json' }).end();
    else response.writeHead(404, { 'content-type': 'text/html' }).end('<p>404</p>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`;
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

describe('an address', () => {
  test('gives its files, and undefined for those it has not', async () => {
    const files = openFiles(base);
    expect(files).toBeInstanceOf(UrlFiles);
    expect(await readJson(files, 'config.json')).toEqual({ hidden_size: 4 });
    expect(await readJson(files, 'moved')).toEqual({ hidden_size: 4 });
    expect(await readJson(files, 'tokenizer ü#?.json')).toBe(1);
    expect(await files.read('vocab.txt')).toBeUndefined();
  });

  test('may end in a slash, be a URL, carry a query', async () => {
    for (const location of [`${base}/`, new URL(base), `${base}?token=abc#top`]) {
      const files = openFiles(location);
      expect(files.location).toBe(base);
      expect(await readJson(files, 'config.json')).toEqual({ hidden_size: 4 });
    }
    expect(requests.at(-1)).toBe('/model/config.json?token=abc');
  });

  test('may be of another scheme, and relative to a page', () => {
    expect(openFiles('chrome-extension://abc/model')).toBeInstanceOf(UrlFiles);
    expect(new UrlFiles('models/minilm/').location).toBe('models/minilm');
  });

  test('is fetched with the function given', async () => {
    const asked: string[] = [];
    const files = new UrlFiles('models/minilm', {
      fetch: async (url) => {
        asked.push(url);
        return new Response('[1]');
      },
    });
    expect(await readJson(files, '1_Pooling/config.json')).toEqual([1]);
    expect(asked).toEqual(['models/minilm/1_Pooling/config.json']);
  });
});

describe('an address is refused', () => {
  const PAGE =
    'an HTML page; check the address; many servers answer with a page when a file is missing or needs a login';
  test.each([
    ['page.json', PAGE],
    ['secret', 'HTTP 403 Forbidden'],
    ['busy', 'HTTP 503 Try Later'],
  ])('%s', async (path, got) => {
    expect(await refusal(() => openFiles(base).read(path))).toBe(
      `FileError: ${base}/${path}: expected the file, got ${got}`,
    );
  });

  test('when the connection breaks in the middle of a file', async () => {
    expect(await refusal(() => openFiles(base).read('cut'))).toMatch(
      /^FileError: http:\S+\/cut: expected the file, got a network failure \(.+\); check the address and the connection$/,
    );
  });

  test('when nobody answers', async () => {
    expect(await refusal(() => openFiles('http://127.0.0.1:1/model').read('config.json'))).toMatch(
      /^FileError: http:\/\/127.0.0.1:1\/model\/config.json: expected the file, got a network failure \(.+\); check/,
    );
  });

  test('when a path leads out of it', async () => {
    expect(await refusal(() => openFiles(base).read('../x'))).toMatch(
      /^FileError: path "..\/x": expected a relative path/,
    );
  });
});
