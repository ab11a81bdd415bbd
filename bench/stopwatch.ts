/** Milliseconds that `body` takes: median and best of as many runs as fill about 0.3 s, after a few to warm up. */
export function milliseconds(body: () => void): { median: number; best: number } {
  for (let i = 0; i < 3; i++) body();
  const time = () => {
    const start = performance.now();
    body();
    return performance.now() - start;
  };
  const runs = Math.max(5, Math.min(200, Math.round(300 / time())));
  const times = Array.from({ length: runs }, time).sort((a, b) => a - b);
  return { median: times[runs >> 1], best: times[0] };
}
