// A helper process of the checkpoint benchmark, and the way to ask it something. It speaks over the channel it was spawned
// with, and ends when that does.

import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/runtime/clock.ts";

/** Opening thousands of rooms takes its time. */
const ANSWER_MS = 120_000;

/** One that ends by itself fails whoever waits for it. */
export class Child<To, From> implements AsyncDisposable {
  readonly failed: Promise<never>;
  readonly #process: ChildProcess;
  readonly #exited: Promise<number | null>;

  constructor(file: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    const path = fileURLToPath(new URL(file, import.meta.url));
    this.#process = fork(path, [...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#exited = new Promise((resolve) => this.#process.once("exit", resolve));
    this.failed = this.#exited.then((code) => {
      throw new Error(`${file} ended with ${code ?? "a signal"}`);
    });
    this.failed.catch(() => {}); // thrown where somebody waits
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** Sends `message`, if there is one, and resolves with the first answer that `accept` takes. */
  async next(message: To | undefined, accept: (answer: From) => boolean): Promise<From> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = systemClock.after(ANSWER_MS, () =>
      reject(new Error(`no answer within ${ANSWER_MS / 1_000} s: ${JSON.stringify(message)}`)),
    );
    const { promise: answered, resolve } = Promise.withResolvers<From>();
    const hear = (answer: unknown): void => {
      const { kind, error } = answer as { kind?: string; error?: string };
      if (kind === "failed") reject(new Error(error));
      else if (accept(answer as From)) resolve(answer as From); // only our own script speaks there
    };
    this.#process.on("message", hear);
    try {
      if (message !== undefined) this.#process.send(message as object);
      return await Promise.race([answered, late, this.failed]);
    } finally {
      cancel();
      this.#process.off("message", hear);
    }
  }

  ask<Kind extends string>(kind: Kind, message: To | undefined): Promise<Extract<From, { kind: Kind }>> {
    const isIt = (answer: From): boolean => (answer as { kind?: string }).kind === kind;
    return this.next(message, isIt) as Promise<Extract<From, { kind: Kind }>>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#exited;
  }
}
