import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// Makes the references in index.html absolute below the path that the server knows: pages
// such as /runs/1 load the same files, and a <base> element is forbidden by the policy.
const basePath: Plugin = {
  name: 'base-path',
  apply: 'build',
  transformIndexHtml: {
    order: 'post',
    handler: (page) => page.replaceAll(/(src|href)="\.\//g, '$1="__BASE_PATH__/').replaceAll(' crossorigin', ''),
  },
};

// Tests of logic that needs a document: what calls the API takes its address from there.
const needDocument = [
  'src/api/{client,follow,readrun}.test.ts',
  'src/pages/credentials/{connect,rotation/promote,rotation/values}.test.ts',
  'src/pages/runs/{bulk,steps}.test.ts',
  'src/pages/session/session.test.ts',
  'src/pages/workflows/jsontext.test.ts',
];

// The built files are committed and embedded in the binary: names are stable, nothing in
// them depends on the machine or the time, so that CI can rebuild and compare.
export default defineConfig({
  plugins: [react(), basePath],
  // Relative imports between chunks: the page also lives under a sub-path. The two
  // references in index.html start with __BASE_PATH__, which the server fills in.
  base: './',
  publicDir: 'public',
  build: {
    target: 'es2022',
    sourcemap: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    modulePreload: false,
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      output: {
        entryFileNames: 'app.js',
        chunkFileNames: (chunk) => (chunk.name === 'rolldown-runtime' ? 'runtime.js' : '[name].js'),
        assetFileNames: (asset) => (asset.names.some((n) => n.endsWith('.css')) ? 'app.css' : '[name][extname]'),
        codeSplitting: {
          groups: [
            { name: 'vendor', test: /node_modules|rolldown\/runtime/ },
            { name: 'base', test: /src\//, minShareCount: 2 },
          ],
        },
      },
    },
  },
  server: {
    proxy: Object.fromEntries(
      ['/api', '/hooks', '/openapi.json', '/docs'].map((path) => [path, process.env.KEYFLOW_URL ?? 'http://127.0.0.1:8080']),
    ),
  },
  test: {
    restoreMocks: true,
    testTimeout: 60_000, // for what hangs; the Go compiler runs beside these tests
    // A document costs two seconds in each file: logic is tested without one.
    projects: [
      { extends: true, test: { name: 'logic', environment: 'node', include: ['src/**/*.test.ts'], exclude: needDocument } },
      {
        extends: true,
        test: {
          name: 'document',
          environment: 'jsdom',
          setupFiles: ['src/testing/setup.ts'],
          include: ['src/**/*.test.tsx', ...needDocument],
        },
      },
    ],
  },
});
