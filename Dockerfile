# A Ringside node. One image for all of them: who a node is, its environment says (src/config.ts).
#
#   docker build --tag ringside .
#   docker run --init --env NODE_ID=node-a --env DATABASE_URL=... --env REDIS_URL=... --env CLUSTER_KEY=... ringside
#
# Stop it with SIGTERM: it moves its rooms to other nodes first, for at most DRAIN_MS, and needs 10 s more to close.
# Exit code 75 means that others had given it up, and that it is to be started again.

FROM node:24-bookworm-slim AS page
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No install scripts: what needs them (a private Postgres) is for machines without Docker.
RUN npm ci --ignore-scripts
COPY rooms ./rooms
COPY client-demo ./client-demo
RUN npx --no-install vite build client-demo --configLoader native

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Optional is the Node that npm brings along for machines with an older one.
RUN npm ci --ignore-scripts --omit=dev --omit=optional && npm cache clean --force
COPY src ./src
COPY rooms ./rooms
COPY --from=page /app/client-demo/dist ./client-demo/dist
USER node
# Players; other nodes; GET /api/cluster, /livez and /readyz, which are for operators only.
EXPOSE 2567 2568 3567
# The exec form: a shell in between would keep SIGTERM to itself.
CMD ["node", "src/main.ts"]
