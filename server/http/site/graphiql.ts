/** Serves the built GraphiQL page. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Its file among those of the web page. */
export const GRAPHIQL_PAGE = 'graphiql.html';

const NOT_BUILT =
  '<!doctype html><html lang="en"><title>InferQL</title><p>GraphiQL is part of the web page, which is not built. See the setting INFERQL_WEB_DIR.</p></html>';

/**
 * Reads GraphiQL's page, which is built with the web page from web/graphiql/; its scripts are served from there.
 * @param webDir the folder of the built web page
 * @returns HTML; a hint if the page was not built
 */
export function createGraphiqlPage(webDir: string): () => Promise<string> {
  return () => readFile(join(webDir, GRAPHIQL_PAGE), 'utf8').catch(() => NOT_BUILT);
}
