// Several owners in a row that restore one checkpoint, because those before the last died before they saved anything.

import { test } from "vitest";

import { Activation } from "../../src/actor/activation.ts";
import { restoreInto } from "../../src/actor/restore.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import { createRoom, expectSees, PlayerSide, type RoomOf, sendPatch } from "../kit/state-rooms.ts";
import { Item, Player, World } from "../kit/state-world.ts";

function opened(epoch: number): { room: RoomOf<World>; activation: Activation } {
  const room = createRoom(() => new World());
  room["_listing"] = { private: false, unlisted: false } as never; // Colyseus's matchmaker gives it one
  return { room, activation: new Activation("room" as RoomId, "game", epoch as Epoch, room) };
}

test("[CKP1] what none of them has saved is not taken for what the next one has", () => {
  const first = opened(1);
  first.room.state.players.set("ann", new Player({ name: "ann" }));
  const player = new PlayerSide(first.room);
  const snapshot = first.activation.capture();
  const checkpoint = { seq: 1, epoch: 1 as Epoch, bytes: new Uint8Array(), base: undefined, ageMs: 0 };

  const owners: ((world: World) => unknown)[] = [
    (world) =>
      world.players.set("bob", new Player({ name: "bob", hand: new Item({ name: "axe", power: 3 }) })),
    (world) => world.words.add("lost"),
    (world) => world.pile.add(new Item({ name: "gem", power: 4 })),
    (world) => world.labels.set("other", "label"),
    (world) => (world.players.get("ann") as Player).bag.set("b", new Item({ name: "ring", power: 1 })),
    (world) => world.crew.add(new Player({ name: "cid" })),
  ];
  for (const [at, act] of owners.entries()) {
    const { room, activation } = opened(at + 2);
    restoreInto(activation, { checkpoint, snapshot: structuredClone(snapshot), newestSeq: 1 }, 0);
    // What the player returns to has something new already, and more comes.
    act(room.state);
    sendPatch(room);
    player.join(room);
    expectSees(player, room);
    room.state.words.add(`of ${at}`);
    room.state.players.set(`p${at}`, new Player({ name: `p${at}` }));
    room.state.pile.add(new Item({ name: `i${at}`, power: at }));
    sendPatch(room, player);
    expectSees(player, room);
  }
});
