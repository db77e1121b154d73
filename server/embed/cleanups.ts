/** Each is called when the server closes, the last one first. */
export type Cleanups = (() => Promise<void> | void)[];

/** Calls all of them, also after one has failed. @throws the first one's error */
export async function runCleanups(cleanups: Cleanups): Promise<void> {
  const errors: unknown[] = [];
  for (const cleanUp of cleanups.reverse()) {
    try {
      await cleanUp();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
