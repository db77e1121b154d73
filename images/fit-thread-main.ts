/** A thread that fits one image after the other, so that large ones do not block the server's event loop. */
import { answerRequests } from './answer-requests.ts';
import { fitPixels } from './fit.ts';
import type { FitRequest } from './fit-thread.ts';

answerRequests(({ source, rule }: FitRequest) => fitPixels(source, rule));
