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
import './errors.ts';
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
  description:
    'Answers the rest first, and sends this fragment later on the same response (`multipart/mixed` or `text/event-stream`).',
  locations: [DirectiveLocation.FRAGMENT_SPREAD, DirectiveLocation.INLINE_FRAGMENT],
  args: {
    if: { type: GraphQLBoolean, defaultValue: true, description: 'Defers only when true.' },
    label: { type: GraphQLString, description: 'A name for this fragment, given back with its data.' },
  },
});

/** The schema's description: the first page that GraphiQL and other schema viewers show. */
const FRONT_PAGE = `Classification of photographs over a queue.

**Send one** with \`classifyImage\`. What you select decides when it answers: with \`result\`, once there is one; without, as soon as it is queued.

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

The file goes along as a multipart request (see \`Upload\`), and mutations need the header \`x-graphql-yoga-csrf\`.

**Follow it** with the subscription \`prediction(id)\`: the present state at once, then each change, always the last one. Read it with the query of the same name, take it back with \`cancelPrediction\`.

**Errors** come in three ways, all with an \`ErrorCode\`. What you can fix is a member of the result (\`... on Error\`). What time will fix is a GraphQL error with \`extensions.code\` and \`extensions.retryAfterMs\`. What went wrong later is \`Prediction.error\`.

**Say who you are** where the server asks for it: \`Authorization: Bearer KEY\`, over WebSocket as \`authorization\` in the connectionParams. \`viewer\` shows what a key may do.

**Look around** with \`models\` and \`queue\`.`;

export const schema = guardRootFields(
  new GraphQLSchema({
    ...builder.toSchema({ directives: [...specifiedDirectives, DeferDirective] }).toConfig(),
    description: FRONT_PAGE,
  }),
);
