/** The package as another repository gets it: built, packed, and installed from the tarball into an empty project. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const requireHere = createRequire(import.meta.url);
const TSC = path.join(path.dirname(requireHere.resolve('typescript/package.json')), 'bin', 'tsc');

const STRICT = {
  compilerOptions: {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: false,
    verbatimModuleSyntax: true,
    resolveJsonModule: true,
    skipLibCheck: false,
    types: [],
    rootDir: 'src',
    outDir: 'out',
  },
  include: ['src'],
};

export class PackedConsumer {
  readonly #home: string;
  readonly directory: string;

  private constructor(home: string) {
    this.#home = home;
    this.directory = path.join(home, 'consumer');
  }

  static async create(): Promise<PackedConsumer> {
    const consumer = new PackedConsumer(await mkdtemp(path.join(tmpdir(), 'meshforge-consumer-')));
    const tarball = await consumer.#pack();
    await mkdir(path.join(consumer.directory, 'src'), { recursive: true });
    const manifest = { name: 'consumer', version: '1.0.0', private: true, type: 'module' };
    await writeFile(path.join(consumer.directory, 'package.json'), JSON.stringify(manifest));
    await writeFile(path.join(consumer.directory, 'tsconfig.json'), JSON.stringify(STRICT));
    await consumer.#run('npm', ['install', tarball, '--no-audit', '--no-fund', '--prefer-offline']);
    return consumer;
  }

  /** The installed package's folder. */
  get installed(): string {
    return path.join(this.directory, 'node_modules', '@meshforge', 'protocol');
  }

  async filesOf(folder: string): Promise<string[]> {
    const names = await readdir(path.join(this.installed, folder), { recursive: true });
    return names.map((name) => name.replaceAll('\\', '/')).sort();
  }

  read(file: string): Promise<string> {
    return readFile(path.join(this.installed, file), 'utf8');
  }

  /** Compiles all the given TypeScript files of the project, by name. @throws Error with the compiler's output */
  async compile(sources: Record<string, string>): Promise<void> {
    for (const [name, text] of Object.entries(sources)) {
      await writeFile(path.join(this.directory, 'src', name), text);
    }
    await this.#run(process.execPath, [TSC, '-p', '.']);
  }

  /** What a file of the project prints. */
  node(file: string): Promise<string> {
    return this.#run(process.execPath, [file]);
  }

  async remove(): Promise<void> {
    await rm(this.#home, { recursive: true, force: true });
  }

  /** A stale build would test yesterday's package. @returns path of the tarball */
  async #pack(): Promise<string> {
    await this.#run(process.execPath, [TSC, '-b', 'tsconfig.build.json'], PACKAGE);
    const pack = ['pack', '--pack-destination', this.#home];
    const installed = await this.#run('pnpm', ['--version'], PACKAGE).then(
      () => true,
      () => false,
    );
    if (installed) await this.#run('pnpm', pack, PACKAGE);
    else await this.#run('npx', ['-y', await pinnedPnpm(), ...pack], PACKAGE);
    const tarball = (await readdir(this.#home)).find((name) => name.endsWith('.tgz'));
    if (tarball === undefined) throw new Error('pnpm pack wrote no tarball');
    return path.join(this.#home, tarball);
  }

  async #run(command: string, args: string[], cwd = this.directory): Promise<string> {
    try {
      const { stdout } = await promisify(execFile)(command, args, { cwd, env: this.#environment() });
      return stdout;
    } catch (error) {
      const { message, stdout = '' } = error as Error & { stdout?: string };
      throw new Error(`${command} ${args.join(' ')}: ${message}\n${stdout}`, { cause: error });
    }
  }

  /** As a user's shell has it: without what test runners add, and with a home even where a machine gives none. */
  #environment(): NodeJS.ProcessEnv {
    const { NODE_PATH: _, NODE_OPTIONS: __, NODE_ENV: ___, ...environment } = process.env;
    return { ...environment, HOME: environment.HOME || this.#home };
  }
}

/** The repository's own pnpm, for machines that have none; without its hash, which only corepack reads. */
async function pinnedPnpm(): Promise<string> {
  const manifest = JSON.parse(await readFile(path.join(PACKAGE, '..', '..', 'package.json'), 'utf8')) as {
    packageManager: string;
  };
  return manifest.packageManager.replace(/\+.*$/, '');
}
