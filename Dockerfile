# syntax=docker/dockerfile:1
# Two images of one build: `--target server` and `--target worker`. The models are no part of them: they live in a volume.

FROM node:22-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --include=dev

FROM packages AS build
COPY . .
RUN node scripts/build.mjs

FROM node:22-bookworm-slim AS runtime-packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev

FROM node:22-bookworm-slim AS runtime
WORKDIR /app
# The volume takes over the owner of the folder that it is mounted on.
RUN mkdir -p /var/lib/inferql && chown node:node /var/lib/inferql
COPY --from=runtime-packages /app/node_modules ./node_modules
COPY --from=build /app/package.json /app/schema.graphql ./
COPY --from=build /app/dist ./dist
COPY --from=build /app/models ./models
ENV NODE_ENV=production \
  MALLOC_ARENA_MAX=2 \
  NODE_OPTIONS=--max-semi-space-size=2 \
  HOME=/tmp \
  INFERQL_MODELS_DIR=/app/models \
  INFERQL_STATE_DIR=/var/lib/inferql
USER node
STOPSIGNAL SIGTERM

# Pulls, verifies and converts the models into the volume: once, before the workers.
FROM runtime AS models
CMD ["node", "dist/converter/main.js", "prepare", "--all", "--models-dir", "/app/models", "--state-dir", "/var/lib/inferql"]

FROM runtime AS worker
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 CMD ["node", "dist/worker/health-check.js"]
CMD ["node", "dist/worker/main.js"]

FROM runtime AS server
# In a container the network is the container's own: who may reach it is decided where the port is published.
# Each photograph that is decoded holds a thread of the pool; one that is not needed costs nothing.
ENV HOST=0.0.0.0 PORT=4000 UV_THREADPOOL_SIZE=16
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/server/main.js"]
