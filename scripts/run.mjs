// Runs a command of launcher/, as in `node scripts/run.mjs start`. Plain JavaScript that needs only Node: nothing is installed yet.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 20)) {
  console.error(`InferQL needs Node 20.20 or later; this is ${process.versions.node}.`);
  process.exit(1);
}
// Imported afterwards: an old Node may not even be able to parse it.
const { loadLauncher, projectDir } = await import('./bootstrap.mjs');
const { runCommand } = await loadLauncher();
await runCommand(projectDir, process.argv.slice(2));
