// What Ringside leans on in @colyseus/schema's StateView, and in how Colyseus hands one on, without its being public API
// (src/colyseus/state-views.ts). And, since it needs a room of Colyseus's own: that a view's change is worth a checkpoint.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  type Client,
  ClientState,
  LocalDriver,
  LocalPresence,
  matchMaker,
  RegisteredHandler,
  Room,
} from "@colyseus/core";
import { type ChangeTree, Encoder, schema, StateView, t } from "@colyseus/schema";
import { beforeAll, describe, expect, test } from "vitest";

import { Activation } from "../../src/actor/activation.ts";
import { standInFor } from "../../src/actor/stand-in.ts";
import { internals } from "../../src/colyseus/room-internals.ts";
import { refIdOf as idOf, treeOf } from "../../src/colyseus/state-internals.ts";
import { captureViews, viewMaker } from "../../src/colyseus/state-views.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import { until } from "../kit/until.ts";

const TAG = 4;
const Card = schema({ face: t.string(), note: t.string().view(TAG) }, "ContractCard");
type Card = InstanceType<typeof Card>;
const Table = schema({ cards: t.map(Card).view(), rocks: t.stream(Card), open: t.number() }, "ContractTable");
type Table = InstanceType<typeof Table>;

function table(): Table {
  const state = new Table();
  for (const face of ["a", "b"]) state.cards.set(face, new Card({ face, note: `${face} note` }));
  for (const face of ["r", "s", "t"]) state.rocks.add(new Card({ face, note: "" }));
  return state;
}
const cardOf = (state: Table, face: string): Card => state.cards.get(face) as Card;
const rock = (state: Table, at: number): Card => [...state.rocks.values()][at] as Card;

class ViewsRoom extends Room<{ state: Table }> {
  override state = table();
  override autoDispose = false;
}

async function create(roomId: string): Promise<ViewsRoom> {
  await matchMaker.handleCreateRoom("contract-views", {}, undefined, roomId);
  const room = matchMaker.getLocalRoomById(roomId);
  if (!(room instanceof ViewsRoom)) throw new Error("Colyseus did not create the room");
  return room;
}

beforeAll(async () => {
  matchMaker.setHealthChecksEnabled(false);
  await matchMaker.setup(new LocalPresence(), new LocalDriver());
  matchMaker.addRoomType(Object.assign(new RegisteredHandler(ViewsRoom), { name: "contract-views" }));
});

describe("a StateView", () => {
  interface Inside {
    _root?: unknown;
    _bindRoot(root: unknown): void;
    _setSubscribed(tree: ChangeTree): void;
  }
  const inside = (view: StateView): Inside => view as unknown as Inside; // what this file is for

  test("marks trees at the bit of its number, by visibility, subscription and tag", () => {
    const state = table();
    const { root } = new Encoder(state);
    const others = Array.from({ length: 33 }, () => new StateView());
    for (const view of others) inside(view)._bindRoot(root);
    const view = new StateView();
    view.add(cardOf(state, "a"), TAG);
    view.subscribe(state.cards);
    expect(view.id).toBe(33); // in the second word of each bitmap
    expect(inside(view)._root).toBe(root);
    const { visibleViews, tagViews } = treeOf(cardOf(state, "a"));
    expect(visibleViews?.[1]).toBe(1 << 1);
    expect([...(tagViews ?? [])].map(([tag, bitmap]) => [tag, bitmap[1]])).toStrictEqual([[TAG, 1 << 1]]);
    expect(treeOf(state.cards).subscribedViews?.[1]).toBe(1 << 1);

    const other = new StateView();
    inside(other)._bindRoot(root);
    inside(other)._setSubscribed(treeOf(state.cards));
    expect(treeOf(state.cards).subscribedViews?.[1]).toBe((1 << 1) | (1 << 2));
    const active: StateView[] = [];
    root.forEachActiveView((each) => active.push(each));
    expect(active).toStrictEqual([...others, view, other]);
    // The sign bit is a view like any other.
    expect(others[31]?.id).toBe(31);
    others[31]?.add(cardOf(state, "b"));
    expect(captureViews(state, [{ view: others[31] }]).get(others[31])?.visible).toContain(
      idOf(cardOf(state, "b")),
    );
  });

  test("has a stream's entries in two sets by its number, and none of it is saved of another's", () => {
    const state = table();
    const encoder = new Encoder(state);
    state.rocks.maxPerTick = 1;
    const [view, other] = [new StateView(), new StateView()];
    view.add(rock(state, 2));
    view.add(rock(state, 0));
    other.add(rock(state, 1));
    encoder.encode();
    encoder.encodeView(view, 0, { offset: 0 });
    const stream = [...encoder.root.streamTrees][0]?._stream;
    expect([...(stream?.sentByView.get(view.id) ?? [])]).toStrictEqual([2]);
    expect([...(stream?.pendingByView.get(view.id) ?? [])]).toStrictEqual([0]);
    const saved = captureViews(state, [{ view }]).get(view);
    expect([...(saved?.streams ?? [])]).toStrictEqual([
      [idOf(state.rocks), { sent: Uint32Array.of(2), pending: Uint32Array.of(0) }],
    ]);
  });

  test("that belongs to another state is saved as an empty one, though its number is in use here", () => {
    const [here, there] = [table(), table()];
    const encoders = [new Encoder(here), new Encoder(there)];
    const [mine, strange] = [new StateView(), new StateView()];
    mine.add(cardOf(here, "a"));
    strange.add(cardOf(there, "b"));
    expect([mine.id, strange.id, encoders.length]).toStrictEqual([0, 0, 2]);
    const saved = captureViews(here, [{ view: strange }, { view: mine }, {}, { view: "no view" }]);
    expect([...saved.keys()]).toStrictEqual([strange, mine]);
    expect(saved.get(strange)).toMatchObject({ isBound: false, visible: new Uint32Array(0) });
    expect(saved.get(mine)?.visible).toContain(idOf(cardOf(here, "a")));
    expect(captureViews(undefined, [{ view: mine }]).size).toBe(0);
    expect(captureViews({ no: "schema" }, [{ view: mine }]).size).toBe(0);
  });

  test("is asked by the encoder through the filter of a tree's descriptor", () => {
    const state = table();
    const { root } = new Encoder(state);
    const view = new StateView();
    view.add(cardOf(state, "a"));
    const { filter, isSchema, names } = treeOf(cardOf(state, "a")).encDescriptor;
    expect([isSchema, names]).toStrictEqual([true, ["face", "note"]]);
    expect([0, 1].map((at) => filter?.(cardOf(state, "a"), at, view))).toStrictEqual([true, false]);
    expect([0, 1].map((at) => filter?.(cardOf(state, "a"), at, undefined))).toStrictEqual([true, false]);
    expect(treeOf(cardOf(state, "b")).isFiltered).toBe(true);
    expect(treeOf(state).isFiltered).toBe(false);
    expect(root.changeTrees[idOf(state) as number]).toBe(treeOf(state));
  });
});

/** What Colyseus does when the player is back, up to and without onReconnect. */
async function comeBack(room: Room, token: string): Promise<Client> {
  const client = { sessionId: "s1", state: ClientState.JOINING, ref: {} } as unknown as Client; // all that is touched
  internals(room)._reconnections[token]?.[1].resolve(client);
  await new Promise(setImmediate);
  return client;
}

describe("a view of a player who was away", () => {
  test("is handed to the client that returns, and freed when the author sets another", async () => {
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc") as () => void;
    const room = await create("handed-on");
    const { root } = treeOf(room.state);
    const activation = activate(room);
    const client = await (async () => {
      const view = new StateView();
      view.add(cardOf(room.state, "a"));
      const standIn = standInFor({ sessionId: "s1", userData: 1, auth: undefined, view, token: "hash" });
      activation.occupants.set("s1", standIn);
      const away = room.allowReconnection(standIn, 30);
      const returned = await comeBack(room, "hash");
      expect(await away).toBe(returned);
      expect(returned.view).toBe(view);
      activation.occupants.set("s1", returned);
      return returned;
    })();
    expect(root?.activeViews.size).toBe(1);
    client.view = new StateView();
    await until("the former view is collected", () => {
      gc();
      return root?.activeViews.size === 0;
    });
    expect(treeOf(cardOf(room.state, "a")).visibleViews).toStrictEqual([0]);
  });

  test("is none where they had none", async () => {
    const room = await create("none");
    const standIn = standInFor({ sessionId: "s1", userData: 1, auth: undefined, token: "hash" });
    void room.allowReconnection(standIn, 30);
    expect((await comeBack(room, "hash")).view).toBeUndefined();
  });
});

function activate(room: Room): Activation {
  return new Activation(room.roomId as RoomId, "contract-views", 1 as Epoch, room);
}

describe("a checkpoint", () => {
  test("[CKP1] [CKP3] is due when a view changed and nothing else did, and not due when none did", async () => {
    const room = await create("due");
    const { state } = room;
    const activation = activate(room);
    const view = new StateView();
    activation.occupants.set("s1", { sessionId: "s1", view });
    activation.occupants.set("s2", { sessionId: "s2" });
    // Streams would be unsent for ever here, where nobody patches.
    state.rocks.clear();
    const isDue = (): boolean => {
      internals(room)._serializer.encoder?.discardChanges();
      activation.unsavedSinceMs = undefined;
      activation.findChanges(1);
      const found = activation.unsavedSinceMs !== undefined;
      activation.capture();
      return found;
    };
    isDue();
    expect(isDue()).toBe(false);
    const acts: [string, () => unknown][] = [
      ["add", () => view.add(cardOf(state, "a"))],
      ["a tag", () => view.add(cardOf(state, "a"), TAG)],
      ["a tag removed", () => view.remove(cardOf(state, "a"), TAG)],
      ["add again", () => view.add(cardOf(state, "a"))],
      ["subscribe", () => view.subscribe(state.cards)],
      ["unsubscribe", () => view.unsubscribe(state.cards)],
      ["add after that", () => view.add(cardOf(state, "a"))],
      ["remove", () => view.remove(cardOf(state, "a"))],
      ["another view", () => activation.occupants.set("s2", { sessionId: "s2", view: new StateView(true) })],
      ["one view for both", () => activation.occupants.set("s2", { sessionId: "s2", view })],
      ["none", () => activation.occupants.set("s1", { sessionId: "s1" })],
    ];
    for (const [what, act] of acts) {
      act();
      expect([what, isDue(), isDue()]).toStrictEqual([what, true, false]);
    }
  });

  test("[CKP1] holds the views of all who have a seat, be they away, and of nobody who must join again", async () => {
    const room = await create("holds");
    const activation = activate(room);
    const makeView = viewMaker(room.state);
    const original = new StateView();
    original.add(cardOf(room.state, "a"));
    const saved = captureViews(room.state, [{ view: original }]).get(original);
    if (saved === undefined) throw new Error("nothing was saved");
    for (const sessionId of ["away", "late"]) {
      const standIn = standInFor({
        sessionId,
        userData: undefined,
        auth: undefined,
        view: makeView(saved),
        token: sessionId,
      });
      activation.occupants.set(sessionId, standIn);
    }
    activation.awaited.set("away", { options: {}, mustRejoin: false });
    activation.awaited.set("late", { options: {}, mustRejoin: true });
    const { players } = activation.capture();
    expect(Object.keys(players)).toStrictEqual(["away"]);
    expect(players["away"]?.view?.visible).toStrictEqual(saved.visible);
  });
});
