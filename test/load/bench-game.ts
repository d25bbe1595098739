// The game of the checkpoint benchmark: rooms of a chosen size that tick a small simulation. In a moving room a few bodies
// walk about, so that it changes on every tick; in a resting one the same work finds nothing to move, as in a lobby or a
// match that is over.
//
// Each tick notes how late it is, in one histogram for the whole process: that is what players feel of a busy node.

import { createHistogram } from "node:perf_hooks";
import { defineRoom, Room, type Client } from "@colyseus/core";
import { schema, t, type SchemaType } from "@colyseus/schema";
import { defineCluster } from "../../src/index.ts";
import { seededRandom } from "./random.ts";

export const ROOM_NAME = "bench";
/** So many bodies of a moving room walk, however many it holds: players, and what chases them. */
export const WALKERS = 16;
/** As often as Colyseus patches when nobody says otherwise; never more often than a room ticks. */
const PATCH_MS = 50;
const FIELD = 1_000;
const NEAR = 30;
/** What one body weighs in a checkpoint's body, as measured; the figures tell what a state weighed in the end. */
const BODY_BYTES = 85;

export interface BenchOptions {
  /** The size of the state in a checkpoint's body before compression, in KB of 1,024 bytes. */
  readonly kb: number;
  readonly hz: number;
  readonly moves: boolean;
  readonly seed: number;
}

const Body = schema(
  {
    name: t.string().default(""),
    kind: t.uint8().default(0),
    x: t.float32().default(0),
    y: t.float32().default(0),
    facing: t.float32().default(0),
    health: t.uint16().default(100),
    score: t.uint32().default(0),
    items: t.array("uint16"),
  },
  "BenchBody",
);
type Body = SchemaType<typeof Body>;

export const BenchState = schema({ bodies: t.map(Body) }, "BenchState");
export type BenchState = SchemaType<typeof BenchState>;

/** How late ticks come, in microseconds: the time since the tick before, less what was asked for. */
export const lateness = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });

export class BenchRoom extends Room<{ state: BenchState }> {
  override state = new BenchState();
  override autoDispose = false;
  override maxClients = WALKERS;

  override messages = {
    /** Turns the player's body; 256 steps make a circle. */
    turn: (client: Client, step: unknown): void => {
      const walker = this.#steered.get(client.sessionId);
      if (walker !== undefined && typeof step === "number") this.#headings[walker] = (step / 128) * Math.PI;
    },
  };

  readonly #steered = new Map<string, number>();
  readonly #headings: number[] = [];
  #walkers: Body[] = [];
  #speed = 0;

  override onCreate({ kb, hz, moves, seed }: BenchOptions): void {
    const random = seededRandom(seed);
    const count = Math.max(2, Math.round((kb * 1_024) / BODY_BYTES));
    for (let index = 0; index < count; index++) this.state.bodies.set(`b${index}`, aBody(index, random));
    this.#speed = moves ? 60 : 0;
    for (let index = 0; index < WALKERS; index++) this.#headings.push(random() * 2 * Math.PI);
    this.#walkers = [...this.state.bodies.values()].slice(0, WALKERS);

    const everyMs = 1_000 / hz;
    this.patchRate = Math.max(PATCH_MS, everyMs);
    let lastMs = performance.now();
    this.setSimulationInterval(() => {
      const nowMs = performance.now();
      lateness.record(Math.max(1, Math.round((nowMs - lastMs - everyMs) * 1_000)));
      lastMs = nowMs;
      this.#step(everyMs / 1_000);
    }, everyMs);
  }

  override onJoin(client: Client): void {
    this.#steered.set(client.sessionId, this.#steered.size % WALKERS);
  }

  override onLeave(client: Client): void {
    this.#steered.delete(client.sessionId);
  }

  #step(seconds: number): void {
    const walkers = this.#walkers;
    for (const [index, body] of walkers.entries()) {
      const heading = this.#headings[index] ?? 0;
      const x = body.x + Math.cos(heading) * this.#speed * seconds;
      const y = body.y + Math.sin(heading) * this.#speed * seconds;
      const isOutside = x < 0 || y < 0 || x > FIELD || y > FIELD;
      if (isOutside) this.#headings[index] = heading + Math.PI / 2;
      else if (x !== body.x || y !== body.y) {
        body.x = x;
        body.y = y;
      }
    }
    // Who is near whom: most of what a real rule asks, with nothing that it would change in a resting room.
    for (let one = 0; one < walkers.length; one++) {
      for (let other = one + 1; other < walkers.length; other++) {
        const a = walkers[one] as Body; // both are below the length
        const b = walkers[other] as Body;
        const isNear = Math.abs(a.x - b.x) < NEAR && Math.abs(a.y - b.y) < NEAR;
        if (isNear && this.#speed > 0) this.#headings[one] = Math.atan2(a.y - b.y, a.x - b.x);
      }
    }
  }
}

function aBody(index: number, random: () => number): Body {
  const body = new Body();
  body.name = `${["wolf", "guard", "crate", "tower"][index % 4]}-${Math.floor(random() * 1e6).toString(36)}`;
  body.kind = index % 4;
  body.x = random() * FIELD;
  body.y = random() * FIELD;
  body.facing = random() * 2 * Math.PI;
  body.health = 50 + Math.floor(random() * 50);
  body.score = Math.floor(random() * 10_000);
  for (let item = Math.floor(random() * 4); item > 0; item--) body.items.push(Math.floor(random() * 500));
  return body;
}

export default defineCluster({ rooms: { [ROOM_NAME]: defineRoom(BenchRoom) } });
