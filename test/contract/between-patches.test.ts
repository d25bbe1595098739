// Full states that are sent between two patches, with Colyseus's own rooms, encoder and SDK serializer: what a player sees
// after the next patch, and ever after, is what the room holds.

import { ClientState, LocalDriver, LocalPresence, matchMaker, RegisteredHandler, Room } from "@colyseus/core";
import { schema, StateView, t, type SchemaType } from "@colyseus/schema";
import { SchemaSerializer } from "@colyseus/sdk";
import { beforeAll, expect, test } from "vitest";
import { tellNothingTwice } from "../../src/colyseus/between-patches.ts";
import { shareFullStates, statesMayChange } from "../../src/colyseus/full-states.ts";
import { internals, resendState } from "../../src/colyseus/room-internals.ts";

const Item = schema({ n: t.number() }, "BetweenItem");
const Listed = schema({ rest: t.array("number") }, "BetweenListed");
const State = schema(
  {
    nums: t.array("number"),
    items: t.array(Item),
    secret: t.string().view(),
    deep: t.map(Listed),
    tick: t.number().default(0),
  },
  "BetweenState",
);
type State = SchemaType<typeof State>;

class ListRoom extends Room {
  override state = new State();
  override patchRate = null; // the test says when
}

const FULL_STATE = 14;
const PATCH = 15;

class Mirror {
  readonly sessionId: string;
  readonly view: StateView | undefined;
  readonly frames: number[] = [];
  state: ClientState = ClientState.JOINING;
  readonly #serializer = new SchemaSerializer<State>();

  constructor(sessionId: string, room: ListRoom, view?: StateView) {
    this.sessionId = sessionId;
    this.view = view;
    const handshake = internals(room)._serializer.handshake?.();
    this.#serializer.handshake(Buffer.from(handshake!));
    view?.add(room.state);
  }

  raw(bytes: Uint8Array): void {
    this.frames.push(bytes[0]!);
    const copy = Buffer.from(bytes); // as the wire has it
    if (bytes[0] === FULL_STATE) this.#serializer.setState(copy, { offset: 1 });
    else this.#serializer.patch(copy, { offset: 1 });
  }

  get seen(): unknown {
    return JSON.parse(JSON.stringify(this.#serializer.getState().toJSON()));
  }
}

let rooms = 0;
async function open(): Promise<ListRoom> {
  const roomId = `between-${(rooms += 1)}`;
  await matchMaker.handleCreateRoom("between", {}, undefined, roomId);
  const room = matchMaker.getLocalRoomById(roomId) as ListRoom; // the only kind here
  shareFullStates(room);
  tellNothingTwice(room);
  room.state.nums.push(1, 2, 3);
  for (let n = 0; n < 3; n++) room.state.items.push(new Item({ n }));
  room.state.deep.set("a", new Listed({ rest: [4, 5, 6] as never }));
  return room;
}

function join(room: ListRoom, sessionId: string, view?: StateView): Mirror {
  const mirror = new Mirror(sessionId, room, view);
  room.clients.push(mirror as never); // what of a client a room's patches look at
  return mirror;
}

/** As Colyseus does when a join is acknowledged. */
function acknowledge(room: ListRoom, mirror: Mirror): void {
  mirror.state = ClientState.JOINED;
  internals(room).sendFullState(mirror as never);
}

function expectRight(room: ListRoom, mirror: Mirror): void {
  const { secret, ...all } = JSON.parse(JSON.stringify(room.state.toJSON())) as Record<string, unknown>;
  expect(mirror.seen, mirror.sessionId).toEqual(mirror.view === undefined ? all : { ...all, secret });
}

beforeAll(async () => {
  matchMaker.setHealthChecksEnabled(false);
  await matchMaker.setup(new LocalPresence(), new LocalDriver());
  matchMaker.addRoomType(Object.assign(new RegisteredHandler(ListRoom), { name: "between" }));
});

const CHANGES: [string, (state: State) => void][] = [
  ["shift", ({ nums }) => void nums.shift()],
  ["splice", ({ nums }) => void nums.splice(1, 1)],
  ["reverse", ({ nums }) => void nums.reverse()],
  ["shift and push", ({ nums }) => void (nums.shift(), nums.push(9))],
  ["shift and push of items", ({ items }) => void (items.shift(), items.push(new Item({ n: 9 })))],
  ["shift in the depth", ({ deep }) => void deep.get("a")?.rest.shift()],
];

test.each(CHANGES)(
  "[GATE6] %s, then a full state, then the patch: whoever joins, and whoever catches up, sees what is",
  async (_name, change) => {
    const room = await open();
    const [there, behind] = [join(room, "there"), join(room, "behind")];
    room.state.secret = "known to who sees it";
    for (const mirror of [there, behind]) acknowledge(room, mirror);
    room.broadcastPatch();
    change(room.state);
    const newcomers = [join(room, "newcomer"), join(room, "another"), join(room, "seer", new StateView())];
    statesMayChange();
    for (const newcomer of newcomers) acknowledge(room, newcomer);
    resendState(room, behind as never);
    room.state.tick += 1;
    room.broadcastPatch();
    for (const mirror of [there, behind, ...newcomers]) expectRight(room, mirror);
    change(room.state);
    room.state.items.push(new Item({ n: 10 }));
    room.broadcastPatch();
    for (const mirror of [there, behind, ...newcomers]) expectRight(room, mirror);
    // What onCreate did had not been told either when the first two came.
    expect(there.frames).toEqual([FULL_STATE, FULL_STATE, PATCH, PATCH]);
    for (const { frames } of newcomers) expect(frames).toEqual([FULL_STATE, FULL_STATE, PATCH]);
  },
);

test("[GATE6] where no array has changed the patch is told to all, and nothing twice", async () => {
  const room = await open();
  const there = join(room, "there");
  acknowledge(room, there);
  room.broadcastPatch();
  room.state.tick += 1;
  const newcomer = join(room, "newcomer");
  statesMayChange();
  acknowledge(room, newcomer);
  room.broadcastPatch();
  for (const mirror of [there, newcomer]) expectRight(room, mirror);
  expect(newcomer.frames).toEqual([FULL_STATE, PATCH]);
});

test("[GATE6] whoever is gone by the next patch is told nothing more, and whoever is back is told it whole", async () => {
  const room = await open();
  const there = join(room, "there");
  acknowledge(room, there);
  room.broadcastPatch();
  room.state.nums.shift();
  const gone = join(room, "gone");
  acknowledge(room, gone);
  room.clients.delete(gone as never);
  const again = join(room, "gone");
  room.broadcastPatch();
  expect(gone.frames).toEqual([FULL_STATE]);
  expect(again.frames).toEqual([]); // has not acknowledged yet
  room.state.nums.push(7);
  acknowledge(room, again);
  room.broadcastPatch();
  for (const mirror of [there, again]) expectRight(room, mirror);
});
