import { FileError } from '../errors.ts';
import type { FileStream, ModelFiles } from './files.ts';
import { insidePath, nameOf } from './files.ts';

export interface UrlOptions {
  /** Stands in for the global `fetch`: to add headers, a cache, a proxy. */
  fetch?: (url: string) => Promise<Response>;
}

/** Files below an address, fetched one by one. Nothing is cached beyond what `fetch` itself does. */
export class UrlFiles implements ModelFiles {
  readonly location: string;
  readonly #query: string;
  readonly #fetch: (url: string) => Promise<Response>;

  /** @param baseUrl the address of the folder; in a browser it may be relative to the page. A query goes to every file. */
  constructor(baseUrl: string | URL, options: UrlOptions = {}) {
    const [, base = '', query = ''] = /^([^?#]*)(\?[^#]*)?/.exec(String(baseUrl)) ?? [];
    this.location = base.replace(/\/+$/, '');
    this.#query = query;
    // Wrapped, because browsers refuse to run the global fetch as a method of another object.
    this.#fetch = options.fetch ?? ((url) => fetch(url));
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    const response = await this.#get(path);
    return response && this.#received(path, async () => new Uint8Array(await response.arrayBuffer()));
  }

  async stream(path: string): Promise<FileStream | undefined> {
    const response = await this.#get(path);
    if (response === undefined) return undefined;
    const { headers } = response;
    // The length of a compressed body says nothing of the file.
    const length = headers.get('content-encoding') === null ? headers.get('content-length') : null;
    const reader = (response.body ?? new Blob([]).stream()).getReader();
    const next = () => this.#received(path, () => reader.read());
    async function* chunks(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          const { done, value } = await next();
          if (done) return;
          yield value;
        }
      } finally {
        await reader.cancel().catch(() => {}); // of a connection that failed; otherwise it ends one that is not wanted
      }
    }
    return { size: length === null ? undefined : Number(length), chunks: chunks() };
  }

  /** The answer for a file, its body not yet read. */
  async #get(path: string): Promise<Response | undefined> {
    const parts = insidePath(path).split('/').map(encodeURIComponent);
    const url = `${this.location}/${parts.join('/')}${this.#query}`;
    const what = nameOf(this, path);
    return this.#received(path, async () => {
      const response = await this.#fetch(url);
      if (response.ok && !isPage(response)) return response;
      // Nobody reads this body; without a cancel its connection would stay open.
      await response.body?.cancel();
      if (response.status === 404) return undefined;
      if (!response.ok) throw new FileError({ what, expected: 'the file', got: status(response) });
      throw new FileError({
        what,
        expected: 'the file',
        got: 'an HTML page',
        fix: 'check the address; many servers answer with a page when a file is missing or needs a login',
      });
    });
  }

  async #received<T>(path: string, receive: () => Promise<T>): Promise<T> {
    try {
      return await receive();
    } catch (cause) {
      if (cause instanceof FileError) throw cause;
      throw new FileError({
        what: nameOf(this, path),
        expected: 'the file',
        got: `a network failure (${reason(cause)})`,
        fix: 'check the address and the connection',
        cause,
      });
    }
  }
}

function isPage(response: Response): boolean {
  return /^\s*text\/html\b/i.test(response.headers.get('content-type') ?? '');
}

function status(response: Response): string {
  return `HTTP ${response.status} ${response.statusText}`.trim();
}

/** Node says only "fetch failed" and puts the reason in `cause`. */
function reason(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return inner instanceof Error ? inner.message || String((inner as { code?: unknown }).code) : String(inner);
}
