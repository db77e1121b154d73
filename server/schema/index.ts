import { DirectiveLocation, GraphQLBoolean, GraphQLDirective, GraphQLString, specifiedDirectives } from 'graphql';
import { builder } from '../builder.ts';
import './scalars.ts';
import './errors.ts';
import './result.ts';
import './prediction.ts';
import './queue.ts';
import './model.ts';
import './classify.ts';

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

export const schema = builder.toSchema({ directives: [...specifiedDirectives, DeferDirective] });
