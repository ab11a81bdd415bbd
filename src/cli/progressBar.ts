import { SingleBar } from 'cli-progress';
import type { Progress } from './io.ts';

/** A bar that appears after a moment's work, so that short commands show none, and is wiped away at the end. */
export function progressBar(stream: NodeJS.WriteStream, label: string, total: number): Progress {
  const bar = new SingleBar({
    stream,
    format: `${label} {bar} {value}/{total}  {eta_formatted} left`,
    clearOnComplete: true,
    linewrap: true, // nothing of the terminal is switched off, so that an interrupt leaves nothing to switch on again
  });
  const begin = performance.now();
  let shown = false;
  return {
    update(done) {
      if (!shown && performance.now() - begin > 500 && done < total) {
        bar.start(total, done);
        shown = true;
      }
      if (shown) bar.update(done);
    },
    stop() {
      if (shown) bar.stop();
    },
  };
}
