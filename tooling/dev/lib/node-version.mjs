// Runs before anything else, also on a Node that is too old: plain syntax, built-ins only.
import { readFileSync } from 'node:fs';

/**
 * What to tell somebody whose Node is too old; nothing when it is new enough.
 *
 * @param {string} range such as `>=20.19`
 * @param {string} running such as `18.20.4`
 * @returns {string | undefined}
 */
export function nodeTooOld(range, running) {
  const [major = 0, minor = 0] = numbers(range);
  const [runningMajor = 0, runningMinor = 0] = numbers(running);
  if (runningMajor > major || (runningMajor === major && runningMinor >= minor)) return undefined;
  return `MeshForge needs Node ${major}.${minor} or newer; this is ${running}. Get one from https://nodejs.org, then try again.`;
}

/**
 * Ends the process with that message.
 *
 * @param {string} root
 */
export function requireNode(root) {
  const { engines } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  const problem = nodeTooOld(engines.node, process.versions.node);
  if (problem === undefined) return;
  console.error(problem);
  process.exit(1);
}

/** @param {string} text */
function numbers(text) {
  return text.replace(/^\D+/, '').split('.').map(Number);
}
