/** The complete schema: all types, its front page, and the guards of root fields. */
import {
  DirectiveLocation,
  GraphQLBoolean,
  GraphQLDirective,
  GraphQLSchema,
  GraphQLString,
  specifiedDirectives,
} from 'graphql';
import { guardRootFields } from '../access/authorize.ts';
import { builder } from './builder.ts';
import './scalars.ts';
import './error-types.ts';
import './result.ts';
import './prediction.ts';
import './queue.ts';
import './model.ts';
import './limits.ts';
import './classify.ts';
import './viewer.ts';
import './token.ts';

const DeferDirective = new GraphQLDirective({
  name: 'defer',
  description: 'Delivers this fragment later, in the same response (`multipart/mixed` or `text/event-stream`).',
  locations: [DirectiveLocation.FRAGMENT_SPREAD, DirectiveLocation.INLINE_FRAGMENT],
  args: {
    if: { type: GraphQLBoolean, defaultValue: true, description: 'Defers only if true.' },
    label: { type: GraphQLString, description: 'A name for this fragment, returned with its data.' },
  },
});

/** The schema's description: the first page that GraphiQL and other schema viewers show. */
const FRONT_PAGE = `Image classification over a queue.

**Send an image** with \`classifyImage\`. Your selection decides when it responds. If you select \`result\`, it waits for the result; otherwise it responds as soon as the image is queued.

\`\`\`graphql
mutation ($image: Upload!) {
  classifyImage(image: $image) {
    ... on Prediction {
      id
      status
      result {
        labels(topK: 3) { name score }
      }
    }
    ... on Error { code message }
  }
}
\`\`\`

The file is sent in a multipart request (see \`Upload\`). Mutations need the header \`x-graphql-yoga-csrf\`.

**Watch it** with the subscription \`prediction(id)\`, which sends the current state immediately, then every change, and always the last one. Read it with the query of the same name, and cancel it with \`cancelPrediction\`.

**Errors** arrive in three ways, all with an \`ErrorCode\`. Errors that you can fix are members of the result union (\`... on Error\`). Transient errors are GraphQL errors with \`extensions.code\` and \`extensions.retryAfterMs\`. If the work fails later, \`Prediction.error\` gives the reason.

**Authenticate** if the server requires it: send \`Authorization: Bearer KEY\`, or over WebSocket \`authorization\` in the connectionParams. \`viewer\` shows what a key may do.

**Explore** with \`models\` and \`queue\`.`;

export const schema = guardRootFields(
  new GraphQLSchema({
    ...builder.toSchema({ directives: [...specifiedDirectives, DeferDirective] }).toConfig(),
    description: FRONT_PAGE,
  }),
);
