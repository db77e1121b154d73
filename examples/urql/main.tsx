import { createRoot } from 'react-dom/client';
import { Client, fetchExchange, gql, Provider, useMutation, useSubscription } from 'urql';

const client = new Client({
  url: '/graphql',
  exchanges: [fetchExchange],
  // Over server-sent events, without another package.
  fetchSubscriptions: true,
  fetchOptions: { headers: { 'x-graphql-yoga-csrf': '1' } },
  preferGetMethod: false,
});

const CLASSIFY = gql`
  mutation ($image: Upload!) {
    classifyImage(image: $image) {
      ... on Prediction { id }
      ... on Error { message }
    }
  }
`;

const WATCH = gql`
  subscription ($id: ID!) {
    prediction(id: $id) {
      status
      queuePosition
      result { labels(topK: 3) { name score } }
      error { message }
    }
  }
`;

function Prediction({ id }: { id: string }) {
  const [{ data, error }] = useSubscription({ query: WATCH, variables: { id } });
  const { status, result, error: failure } = data?.prediction ?? {};
  return (
    <section>
      <p role="status">{error?.message ?? failure?.message ?? status}</p>
      <ol>
        {result?.labels.map(({ name, score }: { name: string; score: number }) => (
          <li key={name}>{`${name} ${(score * 100).toFixed(1)}%`}</li>
        ))}
      </ol>
    </section>
  );
}

function App() {
  const [{ data, error, fetching }, classify] = useMutation(CLASSIFY);
  const { id, message } = data?.classifyImage ?? {};
  return (
    <main>
      <label>
        Photo <input type="file" accept="image/*" onChange={({ target }) => classify({ image: target.files?.[0] })} />
      </label>
      {fetching && <p>Sending …</p>}
      {(error || message) && <p role="alert">{error?.message ?? message}</p>}
      {id && <Prediction key={id} id={id} />}
    </main>
  );
}

createRoot(document.getElementById('root')!).render(
  <Provider value={client}>
    <App />
  </Provider>,
);
