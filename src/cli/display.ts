const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** What a terminal draws over two columns: CJK, Hangul, full-width forms, emoji. */
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u;

/** What would move the cursor, change colours or turn the direction. */
const CONTROLS = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu;

/** The text with control characters written out, as JSON writes them: for messages, which must show what was found. */
export function escapeControls(text: string): string {
  const escape = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return text.replace(CONTROLS, (run) => Array.from(run, escape).join(''));
}

/** The text on one line, without control characters. */
export function clean(text: string): string {
  return text.replace(CONTROLS, ' ');
}

/** Columns that a terminal gives a text. */
export function displayWidth(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += graphemeWidth(segment);
  return width;
}

/** The text in exactly `width` columns: filled with spaces, or cut with an ellipsis. */
export function fit(text: string, width: number, right = false): string {
  let missing = width - displayWidth(text);
  if (missing < 0) {
    let kept = '';
    let left = width - 1;
    for (const { segment } of graphemes.segment(text)) {
      left -= graphemeWidth(segment);
      if (left < 0) break;
      kept += segment;
    }
    text = `${kept}…`;
    missing = width - displayWidth(text);
  }
  return right ? ' '.repeat(missing) + text : text + ' '.repeat(missing);
}

function graphemeWidth(segment: string): number {
  if (/^[\p{Mn}\p{Me}\p{Cf}]+$/u.test(segment)) return 0;
  return WIDE.test(segment) ? 2 : 1;
}
