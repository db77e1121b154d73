export default function Page() {
  return <p>The API is at /api/graphql.</p>;
}
