import { defineConfig } from "vitest/config";

/** What takes the machine's processors or its well-known ports, or asks that something happen within a second or so. */
const ALONE = [
  "chaos",
  "freeze-owner",
  "fuzz",
  "local-*",
  "pause-owner",
  "recovery-order",
  "redis-faults",
  "slow-player",
  "starved-node",
].map((name) => `test/cluster/${name}.test.ts`);

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "simulation",
          sequence: { groupOrder: 2 },
          include: ["test/simulation/**/*.test.ts"],
          // Hundreds of runs a test; on two idle cores the slowest file takes 20 s.
          testTimeout: 600_000,
        },
      },
      {
        test: {
          name: "contract",
          sequence: { groupOrder: 1 },
          include: ["test/contract/**/*.test.ts"],
          globalSetup: ["test/kit/global-setup.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "cluster",
          // After those above: what keeps both cores busy beside it would be a fault that no test asked for.
          sequence: { groupOrder: 3 },
          include: ["test/cluster/**/*.test.ts"],
          exclude: ALONE,
          globalSetup: ["test/kit/global-setup.ts"],
          testTimeout: 90_000,
          hookTimeout: 60_000,
          // Each test runs several processes, and mostly waits: for leases, faults and retries.
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "alone",
          sequence: { groupOrder: 4 },
          include: [...ALONE, "test/browser/**/*.test.ts"],
          globalSetup: ["test/kit/global-setup.ts"],
          testTimeout: 90_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
