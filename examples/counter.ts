import { defineRoom, Room, type Client } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { defineCluster } from "../src/index.ts";

const Player = schema({ name: t.string(), clicks: t.number().default(0) }, "Player");
const CounterState = schema({ total: t.number().default(0), players: t.map(Player) }, "CounterState");

class CounterRoom extends Room {
  override state = new CounterState();
  override maxClients = 50;

  override messages = {
    click: (client: Client) => {
      const player = this.state.players.get(client.sessionId);
      if (player === undefined) return;
      player.clicks += 1;
      this.state.total += 1;
    },
  };

  override onJoin(client: Client, options: { name?: string }): void {
    this.state.players.set(
      client.sessionId,
      new Player({ name: String(options.name ?? "guest").slice(0, 20) }),
    );
  }

  override onLeave(client: Client): void {
    this.state.players.delete(client.sessionId);
  }
}

export default defineCluster({ rooms: { counter: defineRoom(CounterRoom) } });
