// A room for the drill of the storm: many players, a state that holds each of them, and a pulse by which a player sees whether
// the room's tick is on time.

import { type Client, defineRoom, Room } from "@colyseus/core";
import { MapSchema, schema, t } from "@colyseus/schema";
import { defineCluster } from "../../src/index.ts";

const Member = schema({ name: t.string(), score: t.uint32() }, "Member");
const Crowd = schema({ pulse: t.uint32(), members: t.map(Member) }, "Crowd");

class CrowdRoom extends Room<{ state: InstanceType<typeof Crowd> }> {
  override maxClients = 50;
  override state = new Crowd({ pulse: 0, members: new MapSchema() });
  override messages = {};

  override onCreate({ everyMs = 1_000 }: { everyMs?: number }): void {
    this.patchRate = everyMs;
    this.setSimulationInterval(() => (this.state.pulse += 1), everyMs);
  }

  override onJoin(client: Client): void {
    this.state.members.set(client.sessionId, new Member({ name: "player", score: 0 }));
  }

  override async onDrop(client: Client): Promise<void> {
    await this.allowReconnection(client, 60).catch(() => {}); // who does not come back has left
  }

  override onLeave(client: Client): void {
    this.state.members.delete(client.sessionId);
  }
}

export default defineCluster({ rooms: { crowd: defineRoom(CrowdRoom) } });
