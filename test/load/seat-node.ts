// The node of the seat benchmark: the real startNode, and in it rooms that do nothing but seat players. What writes seats can
// be left out, so that two windows differ in nothing else.
//
//   node test/load/seat-node.ts     with a node's settings in the environment and an IPC channel

import { defineRoom, matchMaker, Room } from "@colyseus/core";
import { Seats } from "../../src/actor/seats.ts";
import { readConfig } from "../../src/config.ts";
import { messageOf } from "../../src/errors.ts";
import { EventBus } from "../../src/events.ts";
import { defineCluster } from "../../src/index.ts";
import { startNode } from "../../src/node.ts";
import { Database } from "../../src/postgres/query.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { unreachable } from "../../src/runtime/unreachable.ts";
import type { FromNode, ToNode, Writes } from "./seat-messages.ts";

const ROOM_NAME = "seats";

class SeatRoom extends Room {
  override autoDispose = false;
  override maxClients = 100_000;
}

const tell = (message: FromNode): void => void process.send?.(message);
const end = (error: unknown): never => {
  process.stderr.write(`node: ${error instanceof Error ? (error.stack ?? "") : messageOf(error)}\n`);
  process.exit(1);
};
process.on("uncaughtException", end);
process.on("unhandledRejection", end);
process.on("disconnect", () => process.exit(0)); // the benchmark is over; its database goes with it

// ---- what writes seats, with a switch and a counter ----

let isDurable = true;
const none = (): Writes => ({ statements: 0, rows: 0 });
let counts = { "save-seats": none(), "change-seat-tokens": none(), "give-up-seats": none() };
const writers = new Set<Seats>();
let saveMs: number[] = [];

const { save, changeToken, giveUp } = Seats.prototype;
Object.assign(Seats.prototype, {
  save(this: Seats, ...[seat]: Parameters<typeof save>) {
    writers.add(this);
    if (!isDurable) return Promise.resolve(true);
    const startedMs = performance.now();
    return save.call(this, seat).finally(() => saveMs.push(performance.now() - startedMs));
  },
  changeToken(this: Seats, ...[place, token]: Parameters<typeof changeToken>) {
    return isDurable ? changeToken.call(this, place, token) : Promise.resolve(true);
  },
  giveUp(this: Seats, ...[place]: Parameters<typeof giveUp>) {
    return isDurable ? giveUp.call(this, place) : Promise.resolve();
  },
});
const { run } = Database.prototype;
Object.assign(Database.prototype, {
  run(this: Database, ...[name, values]: Parameters<typeof run>) {
    if (name in counts) {
      const count = counts[name as keyof typeof counts];
      count.statements += 1;
      count.rows += (values[0] as unknown[]).length; // the first column of each of the three
    }
    return run.call(this, name, values);
  },
});

// ---- what it is told ----

async function obey(message: ToNode): Promise<FromNode> {
  switch (message.kind) {
    case "open": {
      const roomIds: string[] = [];
      for (let index = 0; index < message.rooms; index++) {
        roomIds.push((await matchMaker.handleCreateRoom(ROOM_NAME, {})).roomId);
      }
      return { kind: "opened", roomIds };
    }
    case "durable":
      isDurable = message.isOn;
      saveMs = [];
      counts = { "save-seats": none(), "change-seat-tokens": none(), "give-up-seats": none() };
      return { kind: "done" };
    case "count": {
      for (const seats of writers) await seats.idle();
      const { "save-seats": joins, "change-seat-tokens": tokens, "give-up-seats": leaves } = counts;
      return { kind: "counted", written: { joins, tokens, leaves }, saveMs };
    }
    default:
      return unreachable(message);
  }
}

const events = new EventBus();
events.listen((name, facts) => {
  if (/threw|failed|refused|lapsed/u.test(name))
    process.stderr.write(`node: ${name} ${JSON.stringify(facts)}\n`);
});
const { game } = defineCluster({ rooms: { [ROOM_NAME]: defineRoom(SeatRoom) } });
const node = await startNode(readConfig(process.env), game, {
  clock: systemClock,
  events,
  onError: (error) => process.stderr.write(`node: ${messageOf(error)}\n`),
  onFenced: () => end(new Error("others marked this node down: the machine has too much to do")),
});
process.on("message", (message: ToNode) => {
  obey(message).then(tell, (error: unknown) => {
    tell({
      kind: "failed",
      error: error instanceof Error ? (error.stack ?? error.message) : messageOf(error),
    });
  });
});
tell({ kind: "ready", port: node.publicPort });
