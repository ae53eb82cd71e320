export { runSmoke, type SmokeOptions } from './run-smoke.ts';
export { type CheckResult, type SmokeReport } from './check.ts';
export { resultLine, summaryLine } from './report-text.ts';
export { type ConnectionSettings } from './settings.ts';
export { CannotRun, Interrupted } from './cannot-run.ts';
