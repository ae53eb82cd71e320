# One file for every app: docker build --build-arg APP=@meshforge/inventory .
#
# The steps stand in deploy/image-steps.sh as well, which runs them without Docker; a test keeps the two alike.

FROM node:22-slim AS base
ENV TURBO_TELEMETRY_DISABLED=1
RUN corepack enable

# Only what the app needs of the workspace, so that a change elsewhere does not rebuild it.
FROM base AS prune
ARG APP
WORKDIR /repository
COPY . .
RUN pnpm dlx turbo@2.11.11 prune "$APP" --docker

FROM base AS build
ARG APP
ENV OUT=/out
WORKDIR /build
COPY --from=prune /repository/out/json/ .
RUN pnpm install --frozen-lockfile
COPY --from=prune /repository/out/full/ .
RUN pnpm --filter "$APP..." run build
RUN pnpm --config.inject-workspace-packages=true --filter "$APP" deploy --prod "$OUT"

FROM node:22-slim
ENV NODE_ENV=production HEALTH_PORT=8080
WORKDIR /app
COPY --from=build /out/ .
USER node
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.HEALTH_PORT + '/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js"]
