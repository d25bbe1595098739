// Vitest calls this once before the tests that need stores, and what it returns after them.

import type { TestProject } from "vitest/node";
import { startStores } from "./stores.ts";

declare module "vitest" {
  interface ProvidedContext {
    databaseUrl: string;
    redisUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stores = await startStores();
  project.provide("databaseUrl", stores.databaseUrl);
  project.provide("redisUrl", stores.redisUrl);
  return async () => stores[Symbol.asyncDispose]();
}
