// The probe rooms on a plain Colyseus server, as a process of its own: nothing of Ringside is loaded here.
// Prints its port as one line of JSON.

import { defineRoom, defineServer } from "@colyseus/core";
import { WebSocketTransport } from "@colyseus/ws-transport";
import { ProbeRoom, QuietRoom } from "./probe-room.ts";

const transport = new WebSocketTransport();
const server = defineServer({
  rooms: { probe: defineRoom(ProbeRoom), quiet: defineRoom(QuietRoom) },
  transport,
  gracefullyShutdown: false,
  greet: false,
});
await server.listen(0);
const address = transport.server?.address();
process.stdout.write(
  `${JSON.stringify({ port: typeof address === "object" ? address?.port : undefined })}\n`,
);
