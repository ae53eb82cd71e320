// What must not stand in a file, as data: one entry, one ban, and what to write in its place.

/** A text that is banned in some files. */
export interface Ban {
  readonly id: string;
  /** Paths that the ban is about. */
  readonly in: RegExp;
  /** Paths among them that may. */
  readonly except?: RegExp;
  /** `code`: comments may say it. */
  readonly where: 'code' | 'anywhere';
  readonly text: RegExp;
  readonly instead: string;
}

const ourSource = /^(?:packages|apps)\/[^/]+\/src\//;
const anySource = /^(?:packages|apps|tooling)\/[^/]+\/src\//;
const everyFile = /^/;
/** The rules and their examples have to name what they ban. */
const theseRules = /^tooling\/house-rules\/(?:src|test)\//;
const lockfileOrRules = /^pnpm-lock\.yaml$|^tooling\/house-rules\/(?:src|test)\//;

export const BANS: readonly Ban[] = [
  {
    id: 'one-guarded-publish',
    in: ourSource,
    // Held, delayed and dead commands are not entities; what the benchmark compares with is a bare publish.
    except:
      /^packages\/(?:runtime\/src\/(?:nats\/(?:commit-publisher|expecting))|smoke\/src\/durable-sender|bench\/src\/contenders\/updates\/floor)\.ts$/,
    where: 'code',
    text: /Nats-Expected-Last-Subject-Sequence|\bfunction publishCommit\b|\bpublishCommit\s*=[^=]/,
    instead: 'commit through publishCommit of packages/runtime/src/nats/commit-publisher.ts',
  },
  {
    id: 'one-user-of-entity-subjects',
    in: /^(?:packages\/runtime|apps\/[^/]+)\/src\//,
    except: /^packages\/runtime\/src\/nats\/(?:commit-publisher|entity-reader)\.ts$/,
    where: 'code',
    text: /\bentitySubject\(/,
    instead: 'commit through publishCommit, load through the entity reader; an entity has no other subjects to use',
  },
  {
    id: 'subjects-in-one-file',
    in: ourSource,
    // The smoke checks say what is on the wire in their own words, as tests do.
    except: /^packages\/(?:protocol\/src\/subjects\.ts$|smoke\/)/,
    where: 'code',
    text: /['"`](?:cmd|qry|evt|ent)\./,
    instead: 'build and parse subjects with the functions of packages/protocol/src/subjects.ts',
  },
  {
    id: 'jetstream-error-codes-in-one-file',
    in: ourSource,
    except: /^packages\/runtime\/src\/nats\/jetstream-errors\.ts$/,
    where: 'code',
    text: /\b10\d{3}\b/,
    instead: 'name the code in packages/runtime/src/nats/jetstream-errors.ts (any other number: write 10_000)',
  },
  {
    id: 'pure-core',
    in: /^packages\/runtime\/src\/core\//,
    where: 'code',
    text: /\bDate\.now\b|\bnew Date\(\)|\bperformance\b|\bMath\.random\b|\bcrypto\b|\bset(?:Timeout|Interval|Immediate)\b|\bprocess\./,
    instead: 'take time and ids as parameters: whoever calls the core has a clock',
  },
  {
    id: 'no-console',
    in: /^packages\/(?:runtime|protocol)\/src\//,
    where: 'code',
    text: /\bconsole\./,
    instead: 'use the logger of the options; protocol answers with values',
  },
  {
    id: 'no-compose-version',
    in: /(?:^|\/)(?:docker-)?compose[^/]*\.ya?ml$/,
    where: 'anywhere',
    text: /^version\s*:/m,
    instead: 'leave it out: compose ignores the key and warns about it',
  },
  {
    id: 'short-files',
    in: anySource,
    where: 'anywhere',
    text: /^(?:.*\n){500}[^]/,
    instead: 'split it at its ideas: a file has at most 500 lines, and mostly far fewer',
  },
  {
    id: 'every-test-runs',
    in: /\.test\.ts$/,
    except: theseRules,
    where: 'code',
    text: /\b(?:test|it|describe|suite)\.(?:\w+\.)*(?:only|skip|todo)\b/,
    instead: 'let the test run, or delete it',
  },
  {
    id: 'clusters-in-long-tests',
    in: /\.test\.ts$/,
    except: /\.long\.test\.ts$/,
    where: 'code',
    text: /\bstart(?:Nats|Production)Cluster\(/,
    instead: 'name the file *.long.test.ts, which `npm run test:all` runs: a cluster takes too long for `npm test`',
  },
  {
    id: 'nothing-left-for-later',
    in: everyFile,
    except: lockfileOrRules,
    where: 'anywhere',
    text: /\b(?:TODO|FIXME)\b/,
    instead: 'do it now, or say in a decision record why not',
  },
  {
    id: 'nothing-about-how-it-is-made',
    in: everyFile,
    except: lockfileOrRules,
    where: 'anywhere',
    text: /\bissues?\s+#?\d+\b|\b(?:fix(?:es|ed)?|close[sd]?|see)\s+#\d+\b|\b(?:agent(?:ic)?|coding|dev|helper|assistant)[ -]sessions?\b/i,
    instead: 'say what the project does and why; a number or a process explains nothing to its reader',
  },
  {
    id: 'no-machine-paths',
    in: everyFile,
    // An image's own folders, and an example for a person to adapt.
    except: /^pnpm-lock\.yaml$|^Dockerfile$|^deploy\/image-steps\.sh$|^tooling\/house-rules\/(?:src|test)\//,
    where: 'anywhere',
    text: /(?<![\w.$}*-])\/(?:root|work|Users|home(?!\/linuxbrew)|tmp)\/[\w.]/,
    instead: 'use a path relative to the file or the repository, or a temporary folder of os.tmpdir()',
  },
  {
    id: 'no-registry-hosts',
    in: everyFile,
    except: /^pnpm-lock\.yaml$/,
    where: 'anywhere',
    text: /\b(?:registry\.(?:npmjs|yarnpkg|npmmirror)|(?:deb|security|ftp)\.debian|(?:archive|ports|security)\.ubuntu|proxy\.golang)\.(?:org|com)\b/,
    instead: "ask the machine's own configuration (npm config, apt-get indextargets)",
  },
];
