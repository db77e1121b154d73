// Downloads and compiles Redis through redis-memory-server, which was installed into argv[2], and writes the program's path to argv[3].
const { renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const [installDir, pathFile] = process.argv.slice(2);
const { default: RedisBinary } = require(join(installDir, 'node_modules/redis-memory-server/lib/util/RedisBinary.js'));

RedisBinary.getPath({ downloadDir: join(installDir, 'versions') }).then(
  (path) => {
    writeFileSync(`${pathFile}.unfinished`, path);
    renameSync(`${pathFile}.unfinished`, pathFile);
  },
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
