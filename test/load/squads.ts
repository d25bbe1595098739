// The drill's players, in processes of their own, so that they do not take the time of what is measured.

import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/runtime/clock.ts";
import type { Back, Dropped, FromSquad, Joined, Left, Order, ToSquad } from "./squad-messages.ts";

const PROCESS = fileURLToPath(new URL("squad-process.ts", import.meta.url));
const JOIN_MS = 60_000;
/** Where very many join at once. */
const JOIN_MS_A_PLAYER = 300;
const COUNT_MS = 5_000;

export class Squads implements AsyncDisposable {
  /** Every player who joined. Those who left for good stay in it: they are what must not happen. */
  readonly players = new Map<number, Joined>();
  readonly dropped: Dropped[] = [];
  readonly back: Back[] = [];
  readonly left: Left[] = [];
  readonly #away = new Set<number>();
  readonly #processes: ChildProcess[];
  readonly #counts = new Map<number, (playing: number) => void>();
  #nextCount = 1;
  #failure: Error | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(url: string, seed: number, processes: number, roomName = "arena") {
    this.#processes = Array.from({ length: processes }, (_, index) => {
      const child = fork(PROCESS, [url, String(seed + index), roomName], {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      });
      child.on("message", (message) => this.#hear(message as FromSquad)); // only squad-process.ts speaks there
      child.once("exit", (code) => this.#fail(`a players' process ended with ${code}`));
      return child;
    });
  }

  /** Those who are not connected now. */
  get away(): number {
    return this.#away.size;
  }

  /** @throws when one of them cannot join */
  async join(orders: readonly Order[]): Promise<Joined[]> {
    const count = this.#processes.length;
    for (const [index, child] of this.#processes.entries()) {
      this.#send(child, { kind: "join", orders: orders.filter(({ player }) => player % count === index) });
    }
    const joined = (): Joined[] =>
      orders.map(({ player }) => this.players.get(player)).filter((one) => one !== undefined);
    const before = this.players.size;
    const joinMs = Math.max(JOIN_MS, orders.length * JOIN_MS_A_PLAYER);
    if (!(await this.until(() => this.players.size === before + orders.length, joinMs))) {
      throw new Error(`${joined().length} of ${orders.length} players had joined after ${joinMs} ms`);
    }
    return joined();
  }

  /** How many are connected, see their room's clock go on, and find themselves in its state. */
  async playing(): Promise<number> {
    const counts = this.#processes.map((child) => {
      const id = this.#nextCount++;
      const counted = new Promise<number>((resolve) => this.#counts.set(id, resolve));
      this.#send(child, { kind: "count", id });
      return Promise.race([counted, systemClock.sleep(COUNT_MS).then(() => 0)]);
    });
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  /** Looks each time a player has something to tell. @returns false when it was not so within `ms` */
  async until(isSo: () => boolean, ms: number): Promise<boolean> {
    const late = Promise.withResolvers<false>();
    const cancel = systemClock.after(ms, () => late.resolve(false));
    try {
      while (!isSo()) {
        if (this.#failure !== undefined) throw this.#failure;
        const said = await Promise.race([this.#changed.promise.then(() => true), late.promise]);
        if (!said) return isSo();
      }
      return true;
    } finally {
      cancel();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = this.#processes
      .filter((child) => child.exitCode === null && child.signalCode === null)
      .map((child) => {
        const exited = new Promise((resolve) => child.once("exit", resolve));
        if (child.connected) child.disconnect();
        return exited;
      });
    await Promise.all(ended);
  }

  #send(child: ChildProcess, message: ToSquad): void {
    child.send(message);
  }

  #hear(message: FromSquad): void {
    switch (message.kind) {
      case "joined":
        this.players.set(message.player, message);
        break;
      case "dropped":
        this.dropped.push(message);
        this.#away.add(message.player);
        break;
      case "back":
        this.back.push(message);
        this.#away.delete(message.player);
        break;
      case "left":
        this.left.push(message);
        this.#away.delete(message.player);
        break;
      case "counted":
        this.#counts.get(message.id)?.(message.playing);
        this.#counts.delete(message.id);
        break;
      case "failed":
        this.#fail(message.error);
        return;
    }
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  #fail(error: string): void {
    this.#failure ??= new Error(error);
    this.#changed.resolve();
  }
}
