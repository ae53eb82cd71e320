#!/bin/sh
# Runs the steps of the Dockerfile without Docker: what the image would hold in /app ends up in <directory>, ready for
# `node dist/main.js`. Needs Node, tar, and pnpm on PATH. The lines that start with `pnpm` are the Dockerfile's own RUN
# lines, in its order; a test keeps the two alike.
#
#   deploy/image-steps.sh @meshforge/inventory /tmp/inventory
set -eu
export TURBO_TELEMETRY_DISABLED=1

if [ $# -ne 2 ]; then
  echo "usage: deploy/image-steps.sh <app> <directory>" >&2
  exit 2
fi
APP=$1
OUT=$2

if [ -e "$OUT" ]; then
  echo "image-steps: $OUT exists; name a directory that does not" >&2
  exit 2
fi
case $OUT in
  /*) ;;
  *) OUT=$(pwd)/$OUT ;;
esac

repository=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# COPY . .   without what .dockerignore names
mkdir "$scratch/repository" "$scratch/build"
sed 's#^\*\*/##' "$repository/.dockerignore" > "$scratch/ignored"
tar -C "$repository" --exclude-from="$scratch/ignored" -cf "$scratch/context.tar" .
tar -C "$scratch/repository" -xf "$scratch/context.tar"

cd "$scratch/repository"
pnpm dlx turbo@2.11.11 prune "$APP" --docker

# COPY --from=prune /repository/out/json/ .
cp -R "$scratch/repository/out/json/." "$scratch/build"
cd "$scratch/build"
pnpm install --frozen-lockfile

# COPY --from=prune /repository/out/full/ .
cp -R "$scratch/repository/out/full/." "$scratch/build"
pnpm --filter "$APP..." run build
pnpm --config.inject-workspace-packages=true --filter "$APP" deploy --prod "$OUT"
