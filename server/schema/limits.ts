/** The type `Limits` and its query. */

import type { ServerLimits } from '../resolver-services.ts';
import { builder } from './builder.ts';

const Limits = builder.objectRef<ServerLimits>('Limits').implement({
  description: 'The limits of this server. Clients can use them to check or shrink an image before they send it.',
  fields: (t) => ({
    maxUploadBytes: t.exposeFloat('maxUploadBytes', { description: 'Largest image file, in bytes.' }),
    maxPixels: t.exposeFloat('maxPixels', { description: 'Largest image, in pixels (width times height).' }),
    maxImages: t.exposeInt('maxImages', { description: 'Maximum number of images in one request.' }),
    maxBodyBytes: t.exposeFloat('maxBodyBytes', { description: 'Largest body of a request with files, in bytes.' }),
    maxQueryBytes: t.exposeFloat('maxQueryBytes', {
      description: 'Largest body of a request without files, and largest WebSocket message, in bytes.',
    }),
    maxWaitMs: t.exposeFloat('maxWaitMs', {
      description: 'The longest time that a mutation waits for its result, in milliseconds.',
    }),
    maxSubscriptionsPerConnection: t.exposeInt('maxSubscriptionsPerConnection', {
      description: 'Maximum number of operations that may be open at once on one WebSocket.',
    }),
  }),
});

builder.queryField('limits', (t) =>
  t.field({
    type: Limits,
    description: 'The limits of this server.',
    extensions: { scope: 'any' },
    resolve: (_root, _args, { services }) => services.limits,
  }),
);
