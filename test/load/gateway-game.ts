// The gateway benchmark's room: players who run about, 20 times a second, as long as anybody says where to. An ordinary
// Colyseus room; plain Colyseus and Ringside run the same one.

import { Room, type Client } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";

export const ROOM_NAME = "field";
const EVERY_MS = 50;
/** Nobody has said anything for so long: the scene is not being measured. */
const STILL_AFTER_MS = 500;

const Runner = schema({ x: t.float32().default(0), y: t.float32().default(0) }, "Runner");
const FieldState = schema({ runners: t.map(Runner) }, "FieldState");

export class FieldRoom extends Room<{ state: InstanceType<typeof FieldState> }> {
  override state = new FieldState();
  override maxClients = 1_000;
  readonly #going = new Map<string, { dx: number; dy: number }>();
  #saidAtMs = 0;

  override messages = {
    go: (client: Client, message: [number, number]): void => {
      this.#going.set(client.sessionId, { dx: message[0], dy: message[1] });
      this.#saidAtMs = this.clock.currentTime;
    },
  };

  override onCreate(): void {
    this.setPatchRate(EVERY_MS);
    this.setTimestep(() => {
      if (this.clock.currentTime - this.#saidAtMs > STILL_AFTER_MS) return;
      for (const [sessionId, runner] of this.state.runners) {
        const going = this.#going.get(sessionId);
        if (going === undefined) continue;
        runner.x = (runner.x + going.dx / 10) % 1_000;
        runner.y = (runner.y + going.dy / 10) % 1_000;
      }
    }, EVERY_MS);
  }

  override onJoin(client: Client): void {
    this.state.runners.set(client.sessionId, new Runner());
  }

  override onLeave(client: Client): void {
    this.state.runners.delete(client.sessionId);
    this.#going.delete(client.sessionId);
  }
}
