import { SingleBar } from 'cli-progress';
import type { Progress } from './io.ts';

/** A bar that appears after a moment's work, so that short commands show none, and is wiped away at the end. */
export function progressBar(stream: NodeJS.WriteStream, label: string, total: number): Progress {
  const bar = new SingleBar({
    stream,
    format: `${label} {bar} {value}/{total}  {note}{eta_formatted} left`,
    clearOnComplete: true,
    linewrap: true, // nothing of the terminal is switched off, so that an interrupt leaves nothing to switch on again
  });
  const begin = performance.now();
  let shown = false;
  return {
    update(done, note = '', known = total) {
      const payload = { note: note && `${note}  ` };
      if (!shown && performance.now() - begin > 500 && done < known) {
        bar.start(known, done, payload);
        shown = true;
      }
      if (!shown) return;
      bar.setTotal(known);
      bar.update(done, payload);
    },
    stop() {
      if (shown) bar.stop();
    },
  };
}
