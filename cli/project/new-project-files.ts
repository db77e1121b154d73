/** The files of a new project, as `inferql init` writes them. */
import { makeManifest, printManifest } from './manifest.ts';

export interface ProjectOptions {
  /** The name in package.json. */
  name: string;
  /** The version of InferQL's packages. */
  version: string;
}

/** Text by path. The model comes from the package and is copied next to them. */
export function listProjectFiles({ name, version }: ProjectOptions): Record<string, string> {
  return {
    'package.json': printManifest(makeManifest({ name, version })),
    // No package needs its install script; onnxruntime-node's would fetch CUDA libraries.
    '.npmrc': 'ignore-scripts=true\n',
    '.env': ENV,
    '.gitignore': 'node_modules/\ndist/\n.inferql/\n.env\n',
    '.dockerignore': 'node_modules\ndist\n.inferql\n.env\n',
    Dockerfile: DOCKERFILE,
    'compose.yml': COMPOSE,
    'index.html': PAGE,
    'src/main.ts': MAIN,
    'vite.config.js': VITE,
    'tsconfig.json': TSCONFIG,
    'README.md': readme(name),
  };
}

const ENV = `# InferQL's settings. Environment variables take precedence.
PORT=4000
# HOST=0.0.0.0 accepts requests from other machines; then set INFERQL_AUTH=keys and create a key:
# npx inferql keys create --tenant NAME
HOST=127.0.0.1
INFERQL_WORKERS=1
# REDIS_URL=redis://user:password@host:6379
`;

const DOCKERFILE = `FROM node:22-bookworm-slim
WORKDIR /app
COPY package.json package-lock.json* .npmrc* ./
# No package needs its install script; onnxruntime-node's would fetch CUDA libraries.
RUN npm install --omit=dev --ignore-scripts
COPY models ./models
RUN chown node:node /app && mkdir -p /var/lib/inferql && chown node:node /var/lib/inferql
ENV NODE_ENV=production INFERQL_STATE_DIR=/var/lib/inferql
# The user node, as a number that Kubernetes can check.
USER 1000:1000
EXPOSE 4000
# The first start downloads and converts the model.
HEALTHCHECK --interval=10s --timeout=3s --start-period=600s CMD ["node", "--eval", "fetch('http://127.0.0.1:4000/health/ready').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node_modules/.bin/inferql", "serve", "./models"]
`;

const COMPOSE = `# docker compose up --build
services:
  redis:
    image: redis:7-bookworm
    command: [redis-server, --appendonly, "yes", --appendfsync, always, --maxmemory-policy, noeviction, --save, ""]
    volumes: [redis-data:/data]
    healthcheck: { test: [CMD, redis-cli, ping], interval: 2s, timeout: 2s, retries: 30 }
    restart: unless-stopped

  inferql:
    build: .
    init: true
    env_file: [{ path: .env, required: false }]
    # What is different in a container.
    environment:
      REDIS_URL: redis://redis:6379
      HOST: 0.0.0.0
      PORT: "4000"
      INFERQL_STATE_DIR: /var/lib/inferql
      # The port is published to this machine only. To open it, set INFERQL_AUTH=keys in .env, and create a key:
      # docker compose exec inferql npx inferql keys create --tenant NAME
      INFERQL_AUTH: \${INFERQL_AUTH:-off-and-public}
    ports: ["127.0.0.1:\${PORT:-4000}:4000"]
    volumes: [state:/var/lib/inferql]
    depends_on: { redis: { condition: service_healthy } }
    restart: unless-stopped
    stop_grace_period: 60s

volumes:
  redis-data:
  state:
`;

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width" />
    <title>What is in the image?</title>
  </head>
  <body>
    <h1>What is in the image?</h1>
    <input id="image" type="file" accept="image/*" aria-label="Image" />
    <output id="answer"></output>
    <script type="module" src="/src/main.ts"></script>
  </body>
</html>
`;

const MAIN = `import { createClient, InferqlError } from '@inferql/client';

// Vite passes /graphql on to InferQL: see vite.config.js.
const client = createClient({ url: new URL('/graphql', location.href).href });
const input = document.querySelector<HTMLInputElement>('#image')!;
const answer = document.querySelector<HTMLOutputElement>('#answer')!;

input.addEventListener('change', async () => {
  const image = input.files?.[0];
  if (!image) return;
  answer.textContent = 'Looking …';
  try {
    const { result } = await client.classify(image, {
      model: 'resnet50',
      topK: 3,
      onState: ({ status, queuePosition }) => {
        answer.textContent = queuePosition ? \`\${status}, position \${queuePosition}\` : status;
      },
    });
    // After \`npm run types\` the names are a union of the model's labels.
    answer.textContent = result.labels.map(({ name, score }) => \`\${name} \${(100 * score).toFixed(1)} %\`).join(', ');
  } catch (error) {
    if (!(error instanceof InferqlError)) throw error;
    answer.textContent = error.message;
  }
});
`;

const VITE = `import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

export default () => ({
  server: { proxy: { '/graphql': { target: \`http://127.0.0.1:\${findPort()}\`, ws: true } } },
});

/** The port of inferql serve. Vite reads .env for the page only, and starts again when it changes. */
function findPort() {
  const path = new URL('.env', import.meta.url);
  const settings = existsSync(path) ? parseEnv(readFileSync(path, 'utf8')) : {};
  return process.env.PORT || settings.PORT || 4000;
}
`;

const TSCONFIG = `{
  "compilerOptions": {
    "target": "es2023",
    "lib": ["es2023", "dom", "dom.iterable"],
    "module": "esnext",
    "moduleResolution": "bundler",
    "strict": true,
    "skipLibCheck": true,
    "noEmit": true
  },
  "include": ["src"]
}
`;

function readme(name: string): string {
  return `# ${name}

    npm install
    npm start          # the API, GraphiQL and a page at http://127.0.0.1:4000
    npm run dev        # the front end of this folder, while npm start runs
    npm run types      # the label names of the models, for TypeScript

Each folder in \`models/\` is a model; \`npx inferql models add model.keras\` adds yours. \`.env\` has the settings; \`npx inferql doctor\`
checks this machine. With containers:
\`docker compose up --build\`.
`;
}
