// What has happened to whom, so that the referee can tell a node that was well from one that was not.

import type { World } from "./world.ts";

export class Troubles {
  readonly #world: World;
  readonly #leaseMs: number;
  /** Until when something was wrong with each node; also "postgres" and "everything". */
  readonly #untilMs = new Map<string, number>();
  /** The last time that Postgres was away for everyone. */
  #away: { readonly fromMs: number; readonly untilMs: number } | undefined;

  constructor(world: World, leaseMs: number) {
    this.#world = world;
    this.#leaseMs = leaseMs;
  }

  add(whom: string, untilMs: number): void {
    this.#untilMs.set(whom, Math.max(untilMs, this.#untilMs.get(whom) ?? -Infinity));
  }

  postgresGone(): void {
    this.add("postgres", Infinity);
    this.#away = { fromMs: this.#world.nowMs, untilMs: Infinity };
  }

  postgresBack(): void {
    this.#untilMs.set("postgres", this.#world.nowMs);
    if (this.#away !== undefined) this.#away = { ...this.#away, untilMs: this.#world.nowMs };
  }

  /** Whether nothing has been wrong with a node, or with what all share, for two leases. */
  isUntouched(nodeId: string): boolean {
    const agoMs = (whom: string): number => this.#world.nowMs - (this.#untilMs.get(whom) ?? -Infinity);
    return Math.min(agoMs(nodeId), agoMs("postgres"), agoMs("everything")) > this.#leaseMs * 2;
  }

  /** Whether Postgres was away for so long that everybody has noticed, and was back for less than a lease. */
  isPostgresJustBack(atMs: number): boolean {
    if (this.#away === undefined) return false;
    const { fromMs, untilMs } = this.#away;
    const backMs = atMs - untilMs;
    // A little less than a lease, for clocks that are fast.
    return untilMs - fromMs > this.#leaseMs * 1.2 && backMs >= 0 && backMs < this.#leaseMs * 0.9;
  }
}
