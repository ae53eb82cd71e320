export { startProductionServer, type ProductionServer } from './production-server.ts';
export { type ProductionUser, type ProductionUserName } from './production-users.ts';
