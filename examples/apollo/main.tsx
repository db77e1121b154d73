import { ApolloClient, ApolloLink, gql, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { ApolloProvider, useMutation, useSubscription } from '@apollo/client/react';
import UploadHttpLink from 'apollo-upload-client/UploadHttpLink.mjs';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import { createRoot } from 'react-dom/client';

const client = new ApolloClient({
  // The cache must know which types `... on Error` means.
  cache: new InMemoryCache({
    possibleTypes: {
      Error: ['InvalidImageError', 'ImageUrlError', 'InvalidInputError', 'ModelNotFoundError', 'PredictionError'],
    },
  }),
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(createClient({ url: '/graphql', shouldRetry: () => true })),
    new UploadHttpLink({ uri: '/graphql', headers: { 'x-graphql-yoga-csrf': '1' } }),
  ),
});

interface Classified {
  classifyImage: { __typename: string; id?: string; message?: string };
}

const CLASSIFY = gql`
  mutation ($image: Upload!) {
    classifyImage(image: $image) {
      ... on Prediction { id }
      ... on Error { message }
    }
  }
`;

interface Watched {
  prediction: {
    status: string;
    result?: { labels: { name: string; score: number }[] };
    error?: { message: string };
  };
}

const WATCH = gql`
  subscription ($id: ID!) {
    prediction(id: $id) {
      id
      status
      queuePosition
      result { labels(topK: 3) { name score } }
      error { message }
    }
  }
`;

function Prediction({ id }: { id: string }) {
  const { data, error } = useSubscription<Watched>(WATCH, { variables: { id } });
  const { status, result, error: failure } = data?.prediction ?? {};
  return (
    <section>
      <p role="status">{error?.message ?? failure?.message ?? status}</p>
      <ol>
        {result?.labels.map(({ name, score }) => (
          <li key={name}>{`${name} ${(score * 100).toFixed(1)}%`}</li>
        ))}
      </ol>
    </section>
  );
}

function App() {
  const [classify, { data, error, loading }] = useMutation<Classified>(CLASSIFY);
  const { id, message } = data?.classifyImage ?? {};
  return (
    <main>
      <label>
        Photo{' '}
        <input
          type="file"
          accept="image/*"
          // What went wrong is in `error`.
          onChange={({ target }) => classify({ variables: { image: target.files?.[0] } }).catch(() => {})}
        />
      </label>
      {loading && <p>Sending …</p>}
      {(error || message) && <p role="alert">{error?.message ?? message}</p>}
      {id && <Prediction key={id} id={id} />}
    </main>
  );
}

createRoot(document.getElementById('root')!).render(
  <ApolloProvider client={client}>
    <App />
  </ApolloProvider>,
);
