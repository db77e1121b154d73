/** A thread that fits one image after the other, so that large ones do not block the server's event loop. */

import { fitPixels } from './fit-pixels.ts';
import type { FitRequest } from './fit-thread.ts';
import { serveRequests } from './threads/serve-requests.ts';

serveRequests(({ source, rule }: FitRequest) => fitPixels(source, rule));
