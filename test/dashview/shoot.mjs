// Takes a picture of each dashboard: out/<name>-<desktop|phone>-<dark|light>.png.
// node shoot.mjs [name...], after `make dashview` has recorded out/answers.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync, existsSync, rmSync } from 'node:fs';

const root = new URL('../../', import.meta.url).pathname;
const out = new URL('out/', import.meta.url).pathname;
const wanted = process.argv.slice(2);
const sizes = { desktop: 1440, phone: 390 };
const chromium = process.env.CHROMIUM ?? 'chromium';
mkdirSync(out, { recursive: true });

for (const file of readdirSync(`${root}dashboards`).filter((f) => f.endsWith('.json'))) {
  const name = file.replace('.json', '');
  if (wanted.length && !wanted.includes(name)) { continue; }
  const dashboard = JSON.parse(readFileSync(`${root}dashboards/${file}`, 'utf8'));
  const record = JSON.parse(readFileSync(`${out}answers/${file}`, 'utf8'));
  if (existsSync(`${out}answers/${file}.logs`)) {
    const logs = JSON.parse(readFileSync(`${out}answers/${file}.logs`, 'utf8'));
    Object.assign(record.answers, logs.answers);
  }
  for (const p of dashboard.panels) {
    for (const t of p.targets ?? []) { t.alone = p.targets.length === 1; }
  }
  for (const [size, width] of Object.entries(sizes)) {
    for (const themeName of ['dark', 'light']) {
      const data = { dashboard, answers: record.answers, start: record.start * 1000, end: record.end * 1000, themeName, width };
      const page = `${out}${name}-${size}-${themeName}.html`;
      writeFileSync(page, `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="main.css"><body><div id="root"></div><script>{const real=Date.now,off=real()-${record.end * 1000};Date.now=()=>real()-off}window.DASHVIEW=${JSON.stringify(data).replaceAll('</', '<\\/')}</script><script src="main.js"></script>`);
      const bottom = size === 'phone' ? dashboard.panels.reduce((sum, p) => sum + p.gridPos.h * 38, 60) : 60 + Math.max(...dashboard.panels.map((p) => (p.gridPos.y + p.gridPos.h) * 38));
      const picture = page.replace('.html', '.png');
      rmSync(picture, { force: true });
      execFileSync(chromium, ['--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--force-device-scale-factor=1', '--allow-file-access-from-files',
        '--enable-logging=stderr', '--log-level=0', `--window-size=${width},${bottom}`, '--virtual-time-budget=9000', `--screenshot=${picture}`, `file://${page}`], { stdio: ['ignore', 'ignore', process.env.VERBOSE ? 'inherit' : 'ignore'] });
      if (!existsSync(picture)) { throw new Error(`no picture of ${name}`); }
      console.log(picture);
    }
  }
}
