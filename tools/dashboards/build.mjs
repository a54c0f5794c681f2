// Bundles the page into dist/, with the fonts and icons that Grafana's libraries ask for.
import { build } from 'esbuild';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';

const asDataUrl = Object.fromEntries(['.svg', '.png', '.woff', '.woff2', '.ttf'].map((type) => [type, 'dataurl']));

await build({
  entryPoints: ['src/main.tsx'],
  bundle: true,
  minify: true,
  outfile: 'dist/app.js',
  format: 'iife',
  platform: 'browser',
  target: 'chrome120',
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  loader: asDataUrl,
  // published for version 5 of the router only
  alias: { 'react-router-dom-v5-compat': 'react-router-dom' },
  logLevel: 'warning',
});

const assets = 'node_modules/@grafana/ui/dist/public';
for (const folder of ['dist/public', 'dist/public/build']) cpSync(assets, folder, { recursive: true });
const fonts = 'dist/public/fonts/inter';
mkdirSync(fonts, { recursive: true });
for (const weight of ['Regular', 'Medium', 'Italic']) {
  cpSync(`node_modules/inter-ui/web/Inter-${weight}.woff2`, `${fonts}/Inter-${weight}.woff2`);
}
writeFileSync(
  'dist/index.html',
  '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/app.css"><div id="root"></div><script src="/app.js"></script>',
);
