import { readdir, readFile, readlink } from 'node:fs/promises';

/** What processes use, their children included. */
export interface Usage {
  /** User and system time so far, in milliseconds. A child that has ended counts with its parent once it was waited for. */
  readonly cpuMs: number;
  /** Resident memory now. */
  readonly memoryBytes: number;
  /** Open now. */
  readonly fileDescriptors: number;
}

/** Linux's clock ticks per second; the same on every platform that Node.js runs on. */
const ticksPerSecond = 100;
const pageBytes = 4096;

/**
 * Adds up what these processes and their descendants use. Nothing where there is no `/proc` (not Linux). A process that is
 * gone counts as nothing.
 */
export async function measureProcesses(pids: readonly number[]): Promise<Usage | undefined> {
  if (process.platform !== 'linux') return undefined;
  const all = await readAllProcesses();
  const members = new Set(pids);
  // A child's pid may be lower than its parent's, so go round until nothing is added.
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const { pid, parent } of all.values()) if (members.has(parent)) members.add(pid);
  }
  let [cpuMs, memoryBytes, fileDescriptors] = [0, 0, 0];
  for (const pid of members) {
    const found = all.get(pid);
    if (found === undefined) continue;
    cpuMs += (found.ticks * 1000) / ticksPerSecond;
    memoryBytes += found.pages * pageBytes;
    fileDescriptors += await countFileDescriptors(pid);
  }
  return { cpuMs, memoryBytes, fileDescriptors };
}

interface Found {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
  readonly pages: number;
}

async function readAllProcesses(): Promise<Map<number, Found>> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(readProcess));
  return new Map(found.filter((each) => each !== undefined).map((each) => [each.pid, each]));
}

async function readProcess(pid: number): Promise<Found | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  // The name is in brackets and may hold anything; fields are counted from behind it (proc(5): state is field 3).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  return {
    pid,
    parent: field(4),
    ticks: field(14) + field(15) + field(16) + field(17),
    pages: field(24),
  };
}

async function countFileDescriptors(pid: number): Promise<number> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
  // Of the reading itself, when the process is this one.
  const own = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => undefined)));
  return own.filter((target) => target !== undefined && target !== `/proc/${pid}/fd`).length;
}
