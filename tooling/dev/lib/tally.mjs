/**
 * What passed and what failed so far; why, where it is known of each failure.
 *
 * @typedef {{ passed: number, failed: number, why?: readonly string[] }} Count
 */

/** @type {Count} */
export const ONE_PASSED = { passed: 1, failed: 0 };
/** @type {Count} */
export const ONE_FAILED = { passed: 0, failed: 1 };

/**
 * @param {readonly Count[]} counts
 * @returns {Count}
 */
export function sum(counts) {
  return counts.reduce((all, one) => ({ passed: all.passed + one.passed, failed: all.failed + one.failed }), {
    passed: 0,
    failed: 0,
  });
}

/** @param {Count} count */
export function closingLine({ passed, failed }) {
  return `${passed} passed, ${failed} failed`;
}

/**
 * What vitest's JSON report says. A file that could not be loaded counts as one failure, and so does a run that went wrong in
 * a way that no test tells: no report, nothing ran, an error outside every test.
 *
 * @param {string | undefined} report the text of the report
 * @param {number | null} exitCode of vitest
 * @returns {Count}
 */
export function countVitest(report, exitCode) {
  const files = parseFiles(report);
  if (files === undefined) return ONE_FAILED;
  const { passed, failed } = sum(files.map(countFile));
  const untold = failed === 0 && (exitCode !== 0 || passed === 0);
  return { passed, failed: untold ? 1 : failed, why: files.flatMap(whyOf) };
}

/**
 * What our own JSON reports say, which hold a count.
 *
 * @param {string | undefined} report
 * @param {number | null} exitCode
 * @returns {Count}
 */
export function countReport(report, exitCode) {
  try {
    const { passed, failed } = JSON.parse(report ?? '');
    if (!Number.isInteger(passed) || !Number.isInteger(failed)) return ONE_FAILED;
    return { passed, failed: failed === 0 && exitCode !== 0 ? 1 : failed };
  } catch {
    return ONE_FAILED;
  }
}

/**
 * @typedef {{ status: string, fullName?: string, failureMessages?: string[] }} TestResult
 * @typedef {{ status: string, name?: string, message?: string, assertionResults: TestResult[] }} FileResult
 * @param {string | undefined} report
 * @returns {FileResult[] | undefined}
 */
function parseFiles(report) {
  try {
    const { testResults } = JSON.parse(report ?? '');
    return Array.isArray(testResults) ? testResults : undefined;
  } catch {
    return undefined;
  }
}

/** @param {FileResult} file */
function whyOf({ assertionResults, message = '', name = '', status }) {
  const failed = assertionResults.filter((test) => test.status === 'failed');
  if (failed.length === 0) return status === 'failed' ? [`${name}: ${firstLine(message)}`] : [];
  return failed.map(({ failureMessages = [], fullName = '' }) => {
    return `${name}: ${fullName}: ${firstLine(failureMessages[0] ?? '')}`;
  });
}

/** @param {string} text */
function firstLine(text) {
  return text.split('\n', 1)[0] ?? '';
}

/** @param {FileResult} file */
function countFile({ status, assertionResults }) {
  const having = (/** @type {string} */ wanted) => assertionResults.filter((test) => test.status === wanted).length;
  const failed = having('failed');
  return { passed: having('passed'), failed: status === 'failed' && failed === 0 ? 1 : failed };
}
