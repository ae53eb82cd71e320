export { scenario, type Scenario } from './testing/scenario.ts';
export { startTestServer, type TestServer } from './testing/test-server.ts';
