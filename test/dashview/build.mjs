// Bundles the page: out/main.js.
import { build } from 'esbuild';

await build({
  entryPoints: ['src/main.jsx'], bundle: true, outfile: 'out/main.js', format: 'iife', platform: 'browser', target: 'chrome120', jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' }, loader: { '.svg': 'dataurl', '.woff2': 'dataurl', '.png': 'dataurl', '.ttf': 'dataurl' }, minify: true, logLevel: 'error',
});
