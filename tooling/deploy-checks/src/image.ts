/** What a Dockerfile does, as far as the checks read it. */
export interface Dockerfile {
  /** The commands of its RUN lines, in order. */
  readonly runs: readonly string[];
  readonly command: readonly string[];
  readonly healthCheck: readonly string[];
  readonly user: string | undefined;
}

export function readDockerfile(text: string): Dockerfile {
  const lines = text.replace(/\\\n\s*/g, '').split('\n');
  const argumentsOf = (instruction: string): string[] =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1));
  return {
    runs: argumentsOf('RUN'),
    command: parseExec(argumentsOf('CMD').at(-1)),
    healthCheck: parseExec(
      argumentsOf('HEALTHCHECK')
        .at(-1)
        ?.replace(/^.*?CMD /, ''),
    ),
    user: argumentsOf('USER').at(-1),
  };
}

function parseExec(form: string | undefined): string[] {
  return form === undefined ? [] : (JSON.parse(form) as string[]);
}
