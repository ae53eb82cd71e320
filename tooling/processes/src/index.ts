export { ManagedProcess, ProcessFailed, type ProcessExit, type ProcessPlan } from './managed-process.ts';
export { answersOk } from './answers-ok.ts';
export { measureProcesses, type Usage } from './usage.ts';
export { guardProcess, type ProcessGuard } from './process-guard.ts';
export { LogTail } from './log-tail.ts';
export { pickFreePorts } from './free-ports.ts';
export { runCommand, type CommandOptions } from './run-command.ts';
export { afterOthers } from './after-others.ts';
export { tellNobody, tellWhileSlow, type OnProgress } from './progress.ts';
