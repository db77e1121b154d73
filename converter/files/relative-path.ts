import path from 'node:path';
import * as z from 'zod';

/** A file's place relative to the folder that names it. */
export const relativePath = z
  .string()
  .min(1)
  .max(500)
  .refine(
    (value) => !path.posix.isAbsolute(value) && !/[\\:\0]/.test(value) && !value.split('/').includes('..'),
    'a relative path with forward slashes and without ".."',
  );
