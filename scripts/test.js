// npm test: everything, on a machine that has nothing but npm. Closes with one plain line of counts.
//
// Tests of what needs a program that is not there (chromium, haproxy, redis-server) are skipped, and say so.
import { nodeTooOld } from "./check-node.js";

const wrong = nodeTooOld();
if (wrong !== undefined) {
  process.stderr.write(`ringside: ${wrong}\n`);
  process.exit(78);
}

const { spawn } = await import("node:child_process");
const { mkdtempSync, readFileSync, rmSync } = await import("node:fs");
const { tmpdir } = await import("node:os");
const { join } = await import("node:path");
const { fileURLToPath } = await import("node:url");

const folder = mkdtempSync(join(tmpdir(), "ringside-report-"));
const report = join(folder, "report.json");
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const args = [
  "run",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
];
const child = spawn(process.execPath, [vitest, ...args], { stdio: "inherit" });
const code = await new Promise((resolve) =>
  child.on("exit", (exitCode, signal) => resolve(exitCode ?? signal)),
);

let counts = { passed: 0, failed: 1, skipped: 0 };
try {
  const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
    readFileSync(report, "utf8"),
  );
  // A file that could not even be loaded has no failed test of its own.
  const unloaded = testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  );
  const failed = numFailedTests + unloaded.length;
  counts = {
    passed: numPassedTests,
    failed: code === 0 ? failed : Math.max(failed, 1),
    skipped: numPendingTests,
  };
} catch {
  // No report: vitest itself did not get to its end, which counts as one failure.
}
rmSync(folder, { recursive: true, force: true });
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
process.exit(code === 0 ? 0 : 1);
