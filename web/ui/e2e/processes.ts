// The real things that the browser tests talk to: Keyflow, an OAuth provider, a protected
// API. Each listens on a free port of the loopback interface and is stopped by its id.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const repository = join(dirname(fileURLToPath(import.meta.url)), '../../..');

export type Provider = {
  authorization_url: string;
  access_token_url: string;
  resource_url: string;
  client_id: string;
  client_secret: string;
};

export type Keyflow = { url: string; setupLink: string; output: () => string };

/** Starts what a test needs and stops all of it, last first. */
export class Processes {
  private readonly stops: (() => Promise<void> | void)[] = [];
  private readonly directory = mkdtempSync(join(tmpdir(), 'keyflow-e2e-'));

  async stop(): Promise<void> {
    for (const stop of this.stops.reverse()) await stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Builds a command of the repository, unless a variable names one that is built already. */
  private binary(path: string, variable?: string): string {
    const built = variable && process.env[variable];
    if (built) return built;
    const target = join(this.directory, path.replaceAll('/', '-'));
    execFileSync('go', ['build', '-o', target, path], { cwd: repository, stdio: 'inherit' });
    return target;
  }

  /** Starts a server at its first start, below a path such as "/keyflow". */
  async keyflow(path = '', ...flags: string[]): Promise<Keyflow> {
    const binary = this.binary('./cmd/keyflow', 'KEYFLOW_BINARY');
    for (let left = 4; ; left--) {
      try {
        return await this.serve(binary, await freePort(), path, flags);
      } catch (error) {
        if (left === 0 || !String(error).includes('cannot listen on')) throw error; // else somebody took the port
      }
    }
  }

  private async serve(binary: string, port: number, path: string, flags: string[]): Promise<Keyflow> {
    const url = `http://127.0.0.1:${String(port)}${path}`;
    const lines: string[] = [];
    const child = this.spawn(binary, [
      'serve',
      '--listen',
      `127.0.0.1:${String(port)}`,
      '--public-url',
      url,
      '--data-dir',
      join(this.directory, `data-${String(port)}`),
      '--egress-allow',
      'private',
      ...flags,
    ]);
    child.stderr?.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
    const first = await line(child, /^first start: open (\S+)/, lines);
    return { url, setupLink: first[1] ?? '', output: () => lines.join('\n') };
  }

  /** Starts an OAuth 2.0 provider that asks for consent. */
  async provider(redirect: string): Promise<Provider> {
    const binary = this.binary('./credentials/oauth/oauthtest/oauthserver');
    const child = this.spawn(binary, ['-consent', '-redirect', redirect]);
    const [text] = await line(child, /^\{.*\}$/, []);
    return JSON.parse(text) as Provider;
  }

  /** Starts an API that answers 401 to everything but the one user and the one key; the answer of /slow has no end. */
  async api(username: string, password: string, key: string): Promise<string> {
    const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const allowed = (request: IncomingMessage) =>
      request.url === '/open' ||
      (request.url === '/basic' && request.headers.authorization === basic) ||
      (request.url === '/key' && request.headers['x-api-key'] === key);
    const server = createServer((request, response) => {
      if (request.url === '/slow') return endless(response);
      const ok = allowed(request);
      response.writeHead(ok ? 200 : 401, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ ok, seen: request.headers }));
    });
    const port = await listen(server);
    this.stops.push(() => closed(server));
    return `http://127.0.0.1:${String(port)}`;
  }

  private spawn(binary: string, args: string[]): ChildProcess {
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.stops.push(async () => {
      child.kill('SIGINT');
      await ended;
    });
    return child;
  }
}

// An answer that goes on is neither late nor idle, so nothing but its reader ends it.
function endless(response: ServerResponse) {
  const more = setInterval(() => response.write(' '), 1_000);
  response.on('close', () => clearInterval(more));
  response.writeHead(200).flushHeaders();
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await closed(server);
  return port;
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

// The first line of standard output that matches; all lines are kept.
function line(child: ChildProcess, pattern: RegExp, lines: string[]): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`ended with ${String(code)}:\n${lines.join('\n')}`)));
    if (!child.stdout) return;
    createInterface({ input: child.stdout }).on('line', (text) => {
      lines.push(text);
      const match = pattern.exec(text);
      if (match) resolve(match);
    });
  });
}
