// Whether a checkpoint is due after changes that no patch announces.

import { schema, t } from "@colyseus/schema";
import { describe, expect, test } from "vitest";

import { Activation } from "../../src/actor/activation.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import { createRoom, PlayerSide, type RoomOf } from "../kit/state-rooms.ts";
import { Item } from "../kit/state-world.ts";

const Quiet = schema(
  {
    level: t.string().default("one").fullStateOnly(),
    props: t.map(Item).fullStateOnly(),
    marks: t.array("number").fullStateOnly(),
    rocks: t.stream(Item),
    sparks: t.map(Item).stream(),
  },
  "Quiet",
);
type Quiet = InstanceType<typeof Quiet>;

function quiet(): RoomOf<Quiet> {
  const room = createRoom(() => new Quiet());
  room["_listing"] = { private: false, unlisted: false } as never; // Colyseus's matchmaker gives it one
  room.state.props.set("a", new Item({ name: "a", power: 1 }));
  room.state.rocks.add(new Item({ name: "r", power: 1 }));
  room.state.sparks.set("a", new Item({ name: "s", power: 1 }));
  return room;
}

/** Lets the room patch, looks as the checkpointer does, and saves. */
function looker(room: RoomOf<Quiet>): () => boolean {
  const activation = new Activation("room" as RoomId, "quiet", 1 as Epoch, room);
  return () => {
    for (let i = 0; i < 3; i++) room.broadcastPatch();
    activation.unsavedSinceMs = undefined;
    activation.findChanges(1);
    activation.capture();
    return activation.unsavedSinceMs !== undefined;
  };
}

const ACTS: Record<string, (state: Quiet) => unknown> = {
  "a @fullStateOnly field": (state) => (state.level = "two"),
  "an entry of a @fullStateOnly map": (state) => state.props.set("b", new Item({ name: "b", power: 2 })),
  "what is in a @fullStateOnly map": (state) => ((state.props.get("a") as Item).power = 9),
  "a @fullStateOnly array": (state) => state.marks.push(1),
  "a stream that got an entry": (state) => state.rocks.add(new Item({ name: "q", power: 2 })),
  "a stream that lost one": (state) => state.rocks.remove([...state.rocks.values()][0] as Item),
  "a stream that was cleared": (state) => state.rocks.clear(),
  "a streamed map that got an entry": (state) => state.sparks.set("b", new Item({ name: "t", power: 2 })),
};

describe("a checkpoint is due after a change that no patch announces", () => {
  test.each(Object.entries(ACTS))(
    "[CKP1] [CKP3] of %s, once, whether players are there or not",
    (_what, act) => {
      for (const isWatched of [false, true]) {
        const room = quiet();
        if (isWatched) room.clients.push(new PlayerSide(room).end);
        const isDue = looker(room);
        isDue();
        expect(isDue()).toBe(false);
        act(room.state);
        expect([isDue(), isDue()]).toStrictEqual([true, false]);
        room.clients.length = 0;
      }
    },
  );
});
