import type { OnProgress } from '@meshforge/processes';

/** What a source may use while it fetches. */
export interface FetchContext {
  /** An empty directory of its own, removed afterwards. */
  readonly directory: string;
  readonly onProgress: OnProgress;
}

/** One way to get a server that the machine does not have. */
export interface ServerSource {
  /** Shown to people, so it says where the bytes come from. */
  readonly name: string;
  /**
   * Answers the path of a binary below `context.directory`. Throws a one-line reason; an unreachable source must do so
   * within seconds, and a slow one must end on its own.
   */
  fetch(context: FetchContext): Promise<string>;
}
