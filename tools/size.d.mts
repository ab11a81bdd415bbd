/** Lines on which code stands: a line of comment, or a blank one, is none. */
export function codeLines(text: string): number;
