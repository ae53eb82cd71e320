import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Attribute {
  key: string;
  value: { stringValue?: string };
}
interface Exported {
  resource: { attributes: Attribute[] };
  scopeSpans?: { spans: { name: string; traceId: string; parentSpanId?: string }[] }[];
  scopeMetrics?: { metrics: { name: string }[] }[];
}

/** Takes traces and metrics over OTLP, as JSON over HTTP. */
export class Collector {
  readonly #server: Server;
  readonly exported: Exported[] = [];

  private constructor(isDeaf: boolean) {
    this.#server = createServer((request, response) => {
      // Some collectors take everything and never answer.
      if (isDeaf) return;
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, Exported[]>;
        this.exported.push(...Object.values(body).flat());
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
  }

  static async start(options: { isDeaf?: boolean } = {}): Promise<Collector> {
    const collector = new Collector(options.isDeaf ?? false);
    collector.#server.listen(0, '127.0.0.1');
    await once(collector.#server, 'listening');
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get spans(): { name: string; traceId: string; parentSpanId?: string }[] {
    return this.exported.flatMap(({ scopeSpans = [] }) => scopeSpans.flatMap(({ spans }) => spans));
  }

  get metrics(): string[] {
    const metrics = this.exported.flatMap(({ scopeMetrics = [] }) => scopeMetrics.flatMap((scope) => scope.metrics));
    return [...new Set(metrics.map(({ name }) => name))].toSorted();
  }

  /** The values that a resource attribute had. */
  resources(key: string): (string | undefined)[] {
    const values = this.exported.map(
      ({ resource }) => resource.attributes.find((attribute) => attribute.key === key)?.value.stringValue,
    );
    return [...new Set(values)];
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
