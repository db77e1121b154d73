# Three images of one build: `--target server`, `--target worker` and `--target models`, each with the packages of its part alone.
# The models are not in them: they live in a volume.

FROM node:22-bookworm-slim AS manifests
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY queue/package.json queue/
COPY images/package.json images/
COPY settings/package.json settings/
COPY launcher/package.json launcher/
COPY server/package.json server/
COPY converter/package.json converter/
COPY worker/package.json worker/
COPY client/package.json client/
COPY cli/package.json cli/
COPY web/package.json web/
COPY testing/package.json testing/
COPY e2e/package.json e2e/
COPY bench/package.json bench/
COPY examples/package.json examples/

FROM manifests AS build
RUN --mount=type=cache,target=/root/.npm npm ci --include=dev
COPY . .
RUN node scripts/run.mjs build

FROM manifests AS server-packages
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --workspace @inferql/server

FROM manifests AS worker-packages
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --workspace @inferql/worker

FROM node:22-bookworm-slim AS runtime
WORKDIR /app
# The volume takes over the owner of the folder that it is mounted on.
RUN mkdir -p /var/lib/inferql && chown node:node /var/lib/inferql
COPY --from=build /app/package.json ./
ENV NODE_ENV=production \
  MALLOC_ARENA_MAX=2 \
  MALLOC_TRIM_THRESHOLD_=131072 \
  NODE_OPTIONS=--max-semi-space-size=8 \
  HOME=/tmp \
  INFERQL_MODELS_DIR=/app/models \
  INFERQL_STATE_DIR=/var/lib/inferql
# The user node as a number: Kubernetes cannot check a name with runAsNonRoot.
USER 1000:1000
STOPSIGNAL SIGTERM

FROM runtime AS worker-runtime
COPY --from=worker-packages /app/node_modules ./node_modules
COPY --from=build /app/dist/node_modules ./dist/node_modules
COPY --from=build /app/dist/bundles ./dist/bundles
COPY --from=build /app/dist/queue ./dist/queue
COPY --from=build /app/dist/settings ./dist/settings
COPY --from=build /app/dist/images ./dist/images
COPY --from=build /app/dist/converter ./dist/converter
COPY --from=build /app/dist/worker ./dist/worker
COPY --from=build /app/models ./models

# Pulls, verifies and converts the models into the volume: once, before the workers.
FROM worker-runtime AS models
CMD ["node", "dist/bundles/converter/main.js", "prepare", "--all", "--models-dir", "/app/models", "--state-dir", "/var/lib/inferql"]

FROM worker-runtime AS worker
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 CMD ["node", "dist/bundles/worker/container-health-check.js"]
CMD ["node", "dist/bundles/worker/main.js"]

FROM runtime AS server
COPY --from=server-packages /app/node_modules ./node_modules
COPY --from=build /app/dist/node_modules ./dist/node_modules
COPY --from=build /app/dist/bundles ./dist/bundles
COPY --from=build /app/dist/queue ./dist/queue
COPY --from=build /app/dist/settings ./dist/settings
COPY --from=build /app/dist/images ./dist/images
COPY --from=build /app/dist/server ./dist/server
COPY --from=build /app/dist/web ./dist/web
# The command: operators create API keys with it.
COPY --from=build /app/cli/package.json ./cli/
COPY --from=build /app/cli/bin ./cli/bin
# All addresses: who can reach a container is decided where its port is published.
# Each image that is decoded holds a thread of the pool; an unused thread costs nothing.
# Uploads are spooled to /tmp, which can be written to even if the root file system is read-only.
ENV HOST=0.0.0.0 PORT=4000 UV_THREADPOOL_SIZE=16 INFERQL_STATE_DIR=/tmp/inferql
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/bundles/server/main.js"]
