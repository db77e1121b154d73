// `npm start`. Plain JavaScript that needs nothing but Node, since nothing is installed yet.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 20)) {
  console.error(`InferQL needs Node 20.20 or later; this is ${process.versions.node}.`);
  process.exit(1);
}
// Imported afterwards: an old Node may not even read these files, and .env may say where things lie.
const { loadEnvFile } = await import('./setup/env-file.mjs');
loadEnvFile();
const { launch } = await import('./supervise/launch.mjs');
await launch();
