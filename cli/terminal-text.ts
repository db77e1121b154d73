/** Text for terminals. */

import { safeText, UNSAFE_CHARACTERS } from '@inferql/queue/safe-text';

export { safeText };

/** A URL without user and password, also if it is malformed: all that precedes the last `@` is left out, except the scheme. */
export function hidePassword(url: string): string {
  return url.replace(/^(\s*[a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1');
}

/** JSON on one line that is safe to show, and parses to the same value. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(
    UNSAFE_CHARACTERS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** At most `width` characters, without the beginning: the end of a path says more. */
export function shortenPath(path: string, width: number): string {
  const characters = [...path];
  return characters.length <= width ? path : `…${characters.slice(characters.length - width + 1).join('')}`;
}

/** A duration for people. @param ms milliseconds */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

export function formatPercent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

/** The width of bars, in characters. */
export const BAR_WIDTH = 24;

/** A bar of `width` characters, filled to a share in 0..1, in eighths of a character. */
export function formatBar(share: number, width = BAR_WIDTH): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  const rest = eighths % 8;
  return `${'█'.repeat(Math.floor(eighths / 8))}${rest ? ' ▏▎▍▌▋▊▉'[rest] : ''}`;
}

/** A path as one word of a shell command that people copy; it never reads as an option. */
export function quoteForShell(path: string): string {
  const text = safeText(path.startsWith('-') ? `./${path}` : path);
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
