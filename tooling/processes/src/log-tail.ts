const keptCharacters = 64 * 1024;

/** The last 64 Ki characters of what a process wrote, over all its restarts. */
export class LogTail {
  #text = '';

  append(chunk: string): void {
    this.#text = (this.#text + chunk).slice(-keptCharacters);
  }

  text(): string {
    return this.#text;
  }

  lastLines(count: number): string {
    return this.#text.trimEnd().split('\n').slice(-count).join('\n');
  }
}
