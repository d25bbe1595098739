// How the demo page is built: static files with relative addresses, so that any node can serve them from any path.
//
// `vite client-demo` serves the page alone while one works on it; `?server=http://localhost:2567` in its address
// tells it which local cluster to play on.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  build: { outDir: "dist", emptyOutDir: true, target: "es2022" },
  server: { port: 5173 },
});
