// A server of the gateway benchmark: plain Colyseus, or a node of Ringside as main.ts runs it, whose role and stores stand
// in the environment.
//
//   node test/load/gateway-server.ts plain|ringside     with an IPC channel

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { defineRoom, defineServer } from "@colyseus/core";
import { WebSocketTransport } from "@colyseus/ws-transport";
import { readConfig } from "../../src/config.ts";
import { messageOf } from "../../src/errors.ts";
import { EventBus } from "../../src/events.ts";
import { startNode } from "../../src/node.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { FieldRoom, ROOM_NAME } from "./gateway-game.ts";
import type { FromServer, ToServer } from "./gateway-messages.ts";

setFlagsFromString("--expose_gc");
const collect = runInNewContext("gc") as () => void; // what the flag has just made

const tell = (message: FromServer): void => void process.send?.(message);
const end = (error: unknown): never => {
  process.stderr.write(`server: ${error instanceof Error ? (error.stack ?? "") : messageOf(error)}\n`);
  process.exit(1);
};
process.on("uncaughtException", end);
process.on("unhandledRejection", (error) => process.stderr.write(`server: ${messageOf(error)}\n`));
process.on("disconnect", () => process.exit(0));

async function startPlain(): Promise<number> {
  const transport = new WebSocketTransport();
  const server = defineServer({
    rooms: { [ROOM_NAME]: defineRoom(FieldRoom) },
    transport,
    gracefullyShutdown: false,
    greet: false,
  });
  await server.listen(0);
  const address = transport.server?.address();
  if (typeof address !== "object" || address === null) throw new Error("it has no port");
  return address.port;
}

async function startRingside(): Promise<number> {
  const events = new EventBus();
  const bad = new Set([
    "lease:lapsed",
    "link:lost",
    "link:fell-behind",
    "player:cut-off",
    "checkpoint:failed",
  ]);
  events.listen((name, facts) => {
    if (bad.has(name)) process.stderr.write(`server: ${name} ${JSON.stringify(facts)}\n`);
  });
  const node = await startNode(
    readConfig(process.env),
    { rooms: { [ROOM_NAME]: defineRoom(FieldRoom) } },
    {
      clock: systemClock,
      events,
      onError: (error) => process.stderr.write(`server: ${messageOf(error)}\n`),
      onFenced: () => end(new Error("others marked this node down: the machine has too much to do")),
    },
  );
  return node.publicPort;
}

let since = { ms: performance.now(), cpu: process.cpuUsage() };

process.on("message", (message: ToServer) => {
  if (message.kind === "memory") {
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    tell({ kind: "remembers", liveBytes: heapUsed + external, rssBytes: rss });
    return;
  }
  const now = { ms: performance.now(), cpu: process.cpuUsage() };
  const cpuUs = now.cpu.user + now.cpu.system - since.cpu.user - since.cpu.system;
  tell({ kind: "sampled", sample: { wallMs: now.ms - since.ms, cpuMs: cpuUs / 1_000 } });
  since = now;
});

tell({ kind: "ready", publicPort: await (process.argv[2] === "plain" ? startPlain() : startRingside()) });
