// Serves the page on loopback: node serve.mjs <port> <url of a Prometheus> [<folder of dashboards>]
import { createServer } from 'node:http';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const types = {
  '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json',
  '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.png': 'image/png',
};

/** Starts the server; gives its address. */
export function serve(port, prometheus, folder = join(here, '../../manifests/dashboards')) {
  const list = () =>
    readdirSync(folder).map((file) => {
      const { uid, title } = JSON.parse(readFileSync(join(folder, file), 'utf8'));
      return { uid, title };
    });
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, 'http://localhost').pathname);
    const send = (code, type, body) => response.writeHead(code, { 'content-type': type }).end(body);
    if (path === '/config.json') return send(200, types['.json'], JSON.stringify({ prometheus, dashboards: list() }));
    const file = path.startsWith('/dashboards/') ? join(folder, path.slice(12)) : join(here, 'dist', path);
    if (extname(path) && existsSync(file)) return send(200, types[extname(path)] ?? 'application/octet-stream', readFileSync(file));
    // addresses of dashboards are as in Grafana: /d/<uid>
    if (!extname(path)) return send(200, types['.html'], readFileSync(join(here, 'dist/index.html')));
    return send(404, 'text/plain', `no ${path}`);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve({ server, url: `http://127.0.0.1:${server.address().port}` }));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port, prometheus, folder] = process.argv.slice(2);
  const { url } = await serve(Number(port), prometheus, folder);
  console.log(`dashboards: ${url}`);
}
