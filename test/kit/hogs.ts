// Processes that want a core each and do nothing with it, at the priority of everybody else.

import { spawn, type ChildProcess } from "node:child_process";
import { availableParallelism } from "node:os";

/** Turns as short as these, so that it hears when it is told to end. */
const SPIN = `
const spin = () => { const until = Date.now() + 20; while (Date.now() < until); setImmediate(spin); };
process.on("disconnect", () => process.exit());
process.on("message", () => process.send(process.cpuUsage().user, () => process.exit()));
spin();
process.send("spinning");`;

export class Hogs implements AsyncDisposable {
  readonly #processes: readonly ChildProcess[];
  readonly #startedMs = performance.now();

  private constructor(processes: readonly ChildProcess[]) {
    this.#processes = processes;
  }

  /** Two for each core. Resolves when all of them run. */
  static async start(): Promise<Hogs> {
    const processes = Array.from({ length: 2 * availableParallelism() }, () =>
      spawn(process.execPath, ["-e", SPIN], { stdio: ["ignore", "ignore", "inherit", "ipc"] }),
    );
    await Promise.all(processes.map(heard));
    return new Hogs(processes);
  }

  get count(): number {
    return this.#processes.length;
  }

  /** Ends them. @returns the part of a core that each of them has got, from 0 to 1 */
  async stop(): Promise<number[]> {
    const elapsedMs = performance.now() - this.#startedMs;
    const used = this.#processes.map(async (child) => {
      const answer = heard(child);
      child.send("end");
      return Number(await answer) / 1_000 / elapsedMs;
    });
    return Promise.all(used);
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes) if (child.exitCode === null) child.kill("SIGKILL");
    return Promise.resolve();
  }
}

function heard(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("error", reject);
  });
}
