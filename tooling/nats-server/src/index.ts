export { startNatsServer, type StartOptions } from './start-nats-server.ts';
export { startNatsCluster, type ClusterOptions, type NatsCluster } from './start-nats-cluster.ts';
export { type NatsServer } from './nats-server.ts';
export { type ServerExit } from './server-process.ts';
export { NatsServerNotFound, NatsServerStartFailed, type FailedAttempt } from './errors.ts';

export { locateNatsServer, type LocatedServer, type LocateOptions } from './locate-nats-server.ts';
export { type FetchContext, type ServerSource } from './server-source.ts';
export { type OnProgress } from '@meshforge/processes';
