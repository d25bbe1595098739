// Faults of Postgres itself: it is away, it hangs, it is slow to write, its clock is set; and an operator takes a room.

import { config } from "./cluster.ts";
import type { FaultBench } from "./fault-bench.ts";

export class PostgresFaults {
  readonly #bench: FaultBench;
  readonly #usualFlushMs: () => number;

  constructor(bench: FaultBench) {
    this.#bench = bench;
    this.#usualFlushMs = bench.cluster.server.flushMs;
  }

  /** Whoever calls is refused. */
  away(endsMs: number): void {
    const { server, troubles } = this.#bench.cluster;
    if (!server.isUp) return;
    this.#bench.say(`Postgres away until ${endsMs.toFixed(0)}`);
    troubles.postgresGone();
    server.crash();
    this.#bench.later(endsMs, () => this.#restore());
  }

  /** Whoever calls waits. What they sent is carried out when it wakes. */
  hang(endsMs: number): void {
    const { server, troubles, world } = this.#bench.cluster;
    if (!server.isAnswering) return;
    this.#bench.say(`Postgres hangs until ${endsMs.toFixed(0)}`);
    troubles.postgresGone();
    world.freeze(server.process);
    this.#bench.later(endsMs, () => this.#restore());
  }

  slow(endsMs: number): void {
    const mostMs = this.#bench.cluster.world.chance.pick([100, 500, config.storeMs * 1.2]);
    this.slowBy(endsMs, mostMs / 3, mostMs);
  }

  slowBy(endsMs: number, leastMs: number, mostMs: number): void {
    const { server, troubles, world } = this.#bench.cluster;
    this.#bench.say(
      `Postgres slow until ${endsMs.toFixed(0)}: ${leastMs.toFixed(0)} to ${mostMs.toFixed(0)} ms`,
    );
    troubles.add("postgres", endsMs + mostMs);
    server.flushMs = () => world.chance.between(leastMs, mostMs);
    this.#bench.later(endsMs, () => (server.flushMs = this.#usualFlushMs));
  }

  /** Its clock is set, or a standby with another takes its place. No trouble: nodes that are well must not suffer from it. */
  setClock(): void {
    const { server, world } = this.#bench.cluster;
    const drawnMs =
      world.chance.between(0.5, 1) * world.chance.pick([2_000, 3_600_000]) * world.chance.pick([-1, 1]);
    // Not further forward: a node that has just come cannot tell that from silence, which is told in GUARANTEES.md.
    const byMs = Math.min(drawnMs, 2_000);
    this.#bench.say(`Postgres's clock set by ${byMs.toFixed(0)} ms`);
    server.clockSetMs += byMs;
  }

  take(): void {
    const { rooms, server, world } = this.#bench.cluster;
    if (rooms.length === 0 || !server.isAnswering) return;
    const roomId = world.chance.pick(rooms);
    this.#bench.say(`${roomId} taken by an operator`);
    this.#bench.cluster.take(roomId);
  }

  heal(): void {
    this.#bench.cluster.server.flushMs = this.#usualFlushMs;
    this.#restore();
  }

  #restore(): void {
    const { server, troubles, world } = this.#bench.cluster;
    if (server.isAnswering) return;
    if (!server.isUp) server.restart();
    world.thaw(server.process);
    troubles.postgresBack();
  }
}
