// Compares images with the first one: node similar.mjs first.jpg second.jpg third.jpg
// It needs the model of ../models/palette on the server, and `npm install @inferql/client`.
import { createClient, readValues } from '@inferql/client/node';

const { INFERQL_URL: url, INFERQL_KEY: key } = process.env;
const client = createClient({ url, key });
const files = process.argv.slice(2);
const outcomes = await client.classifyAll(files, { model: 'palette', outputs: true });

const results = outcomes.map(({ image, prediction, error }) => {
  if (error) throw error;
  const { labels, heads, embeddings } = prediction.result;
  const color = heads.find(({ name }) => name === 'color').labels.map(({ name }) => name);
  return { image, kind: labels[0].name, color, vector: readValues(embeddings[0]) };
});

const [first] = results;
const similarity = (vector) => vector.reduce((sum, value, at) => sum + value * first.vector[at], 0);
for (const { image, kind, color, vector } of results) {
  console.log(`${image}: ${kind}, ${color.join(' and ')}, ${similarity(vector).toFixed(2)} like the first`);
}
