// The game of a drill with very many rooms: small ones that tick slowly, so that a thousand of them and their players fit
// on one machine, and witnesses, which tick as fast as games do and note how late each tick comes.

import { createHistogram } from "node:perf_hooks";
import { defineRoom, Room, type Client } from "@colyseus/core";
import { schema, t, type SchemaType } from "@colyseus/schema";
import { defineCluster } from "../../src/index.ts";

const CROWD_TICK_MS = 250;
const WITNESS_TICK_MS = 50;

const Walker = schema({ name: t.string().default(""), x: t.float32(), y: t.float32() }, "CrowdWalker");
/** As far as the drill's players look, an arena: a tick that goes on, and themselves. */
export const CrowdState = schema({ tick: t.uint32().default(0), players: t.map(Walker) }, "CrowdState");
export type CrowdState = SchemaType<typeof CrowdState>;

class CrowdRoom extends Room<{ state: CrowdState }> {
  override state = new CrowdState();
  override autoDispose = false; // the drill ends them all
  override maxClients = 16;
  protected readonly everyMs: number = CROWD_TICK_MS;
  readonly #steps = new Map<string, { readonly x: number; readonly y: number }>();

  override messages = {
    move: (client: Client, message: unknown): void => {
      const { x, y } = message as { x: unknown; y: unknown }; // from squad-process.ts
      this.#steps.set(client.sessionId, { x: Number(x), y: Number(y) });
    },
  };

  override onCreate(): void {
    this.setPatchRate(this.everyMs);
    this.setSimulationInterval(() => {
      this.state.tick += 1;
      for (const [sessionId, { x, y }] of this.#steps) {
        const walker = this.state.players.get(sessionId);
        if (walker === undefined) continue;
        walker.x += x;
        walker.y += y;
      }
    }, this.everyMs);
  }

  override onJoin(client: Client, options?: { readonly name?: string }): void {
    this.state.players.set(client.sessionId, new Walker({ name: options?.name ?? "", x: 0, y: 0 }));
  }

  override onLeave(client: Client): void {
    this.#steps.delete(client.sessionId);
    this.state.players.delete(client.sessionId);
  }
}

/** The same at ten ticks a second, gone with its last player: for players who measure how long nothing comes. */
class BriskRoom extends CrowdRoom {
  override autoDispose = true;
  protected override readonly everyMs: number = 100;
}

/** How late ticks of this process's witnesses come, in microseconds: the time since the tick before, less what was asked for. */
const lateness = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });

/** What a witness answers: of all witnesses of its process, since it was last asked. */
export interface Lateness {
  readonly pid: number;
  readonly ticks: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

class WitnessRoom extends Room<{ state: CrowdState }> {
  override state = new CrowdState();
  override patchRate = WITNESS_TICK_MS;

  override messages = {
    lateness: (): Lateness => {
      const answer = {
        pid: process.pid,
        ticks: lateness.count,
        p50Ms: lateness.percentile(50) / 1_000,
        p99Ms: lateness.percentile(99) / 1_000,
        maxMs: lateness.max / 1_000,
      };
      lateness.reset();
      return answer;
    },
  };

  override onCreate(): void {
    let lastMs = performance.now();
    this.setSimulationInterval(() => {
      const nowMs = performance.now();
      lateness.record(Math.max(1, Math.round((nowMs - lastMs - WITNESS_TICK_MS) * 1_000)));
      lastMs = nowMs;
      this.state.tick += 1;
    }, WITNESS_TICK_MS);
  }
}

export default defineCluster({
  rooms: { crowd: defineRoom(CrowdRoom), brisk: defineRoom(BriskRoom), witness: defineRoom(WitnessRoom) },
});
