// Draws every dashboard in Chromium, dark and light, and fails when a panel has an error, no data, or a type that the page does
// not know: node render.mjs <url of a Prometheus> <folder for pictures>
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const [prometheus, folder] = process.argv.slice(2);
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const choices = {
  // it is scraped for some minutes only; all else has a history
  'goldenpath-operator': '&from=now-2m',
  'goldenpath-path': '&var-path=web-service',
  // the team that has one of everything
  'goldenpath-team': '&var-team=data',
};
// published without these icons: back in time, and "cancel" while a query runs
const knownToMiss = /(angle-double-left|sync-slash)\.svg/;
const PATIENCE = { timeout: 60000 };

const { server, url } = await serve(0, prometheus);
const { dashboards } = await (await fetch(`${url}/config.json`)).json();
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath, headless: true, args });
const findings = [];
let panels = 0;

async function draw({ uid, title }, theme) {
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 }, timezoneId: 'UTC', locale: 'en-US' });
  const found = (text) => findings.push(`${title}, ${theme}: ${text}`);
  page.on('pageerror', (error) => found(`page error: ${error.stack ?? error}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) found(`console: ${message.text().slice(0, 400)}`);
  });
  page.on('response', (answer) => {
    if (answer.status() >= 400 && !knownToMiss.test(answer.url())) found(`${answer.status()} ${answer.url()}`);
  });
  await page.goto(`${url}/d/${uid}?theme=${theme}${choices[uid] ?? ''}`, { waitUntil: 'load' });
  const settled = () => window.__states?.().length > 0 && window.__states().every(({ state }) => state === 'Done' || state === 'Error');
  await page.waitForFunction(settled, null, PATIENCE).catch(() => found('not every panel got an answer'));
  await page.evaluate(() => document.fonts.ready);
  await page.waitForLoadState('networkidle');
  await page.waitForTimeout(500); // graphs are drawn in the frame after their data
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ width: 1600, height });
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(folder, `${uid}-${theme}.png`) });
  for (const problem of await page.evaluate(() => window.__problems)) found(problem);
  const states = await page.evaluate(() => window.__states());
  for (const { title: panel, type, state, error, frames, rows } of states) {
    if (state !== 'Done' || error || rows === 0) found(`panel ${panel}: ${state}, ${rows} rows ${error ?? ''}`);
    if (theme === 'dark') console.log(`${title} | ${panel} | ${type} | ${state} | ${frames} | ${rows}`);
  }
  panels += states.length;
  await page.close();
}

console.log('dashboard | panel | type | state | frames | rows');
for (const dashboard of dashboards) for (const theme of ['dark', 'light']) await draw(dashboard, theme);
await browser.close();
server.close();
findings.forEach((finding) => console.error(`FAIL ${finding}`));
console.log(`${panels} panels drawn in ${dashboards.length} dashboards and two themes, ${findings.length} findings; pictures lie in ${folder}`);
process.exit(findings.length ? 1 : 0);
