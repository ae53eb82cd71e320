import { MINIMUM_VERSION, RELEASE_VERSION } from './versions.ts';

/** The exact command for each way to get a server, for people and for scripts. */
export function howToGetOne(): string {
  const docker = `docker run --rm -d -p 127.0.0.1:4222:4222 nats:${RELEASE_VERSION} -js`;
  return [
    `MeshForge needs nats-server ${MINIMUM_VERSION} or newer. Any one of these gives it one:`,
    '  macOS, Linux with Homebrew:  brew install nats-server',
    '  Debian 14 or sid:            sudo apt-get install nats-server',
    '  a binary you have:           export MESHFORGE_NATS_SERVER=/path/to/nats-server',
    '  a server that runs already:  export NATS_URL=nats://127.0.0.1:4222',
    `  Docker:                      ${docker} && export NATS_URL=nats://127.0.0.1:4222`,
    '  releases for every platform: https://github.com/nats-io/nats-server/releases',
  ].join('\n');
}
