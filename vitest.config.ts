import { defineConfig } from "vitest/config";

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
          // After all others: what two cores are busy with beside it would be a fault that no test asked for.
          sequence: { groupOrder: 3 },
          include: ["test/cluster/**/*.test.ts", "test/browser/**/*.test.ts"],
          globalSetup: ["test/kit/global-setup.ts"],
          testTimeout: 90_000,
          hookTimeout: 60_000,
          // Each test runs several processes; two cores carry one such test at a time.
          fileParallelism: false,
        },
      },
    ],
  },
});
