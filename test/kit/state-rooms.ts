// Rooms and players for the tests of a room's state: no network, and nothing of Colyseus replaced.
//
// A room is built as MatchMaker.handleCreateRoom builds it, and a player decodes as the SDK's serializer does
// (@colyseus/sdk/src/serializer/SchemaSerializer.ts). A checkpoint goes through its bytes.

import { type Client as ServerClient, ClientState, Room, type SchemaSerializer } from "@colyseus/core";
import {
  $numFields,
  $refId,
  ArraySchema,
  type Decoder,
  Reflection,
  Schema,
  type StateView,
} from "@colyseus/schema";
import { afterEach, expect } from "vitest";

import { decodeSnapshot, encodeSnapshot, type SavedPlayer } from "../../src/checkpoint/snapshot.ts";
import { completeFullStates } from "../../src/colyseus/room-internals.ts";
import { captureViews, type SavedView, viewMaker } from "../../src/colyseus/state-views.ts";
import { captureState, restoreState, type StateImage } from "../../src/colyseus/state-tree.ts";
import { RingsideError } from "../../src/errors.ts";

const rooms: Room[] = [];
afterEach(() => {
  for (const room of rooms.splice(0)) room["_events"].emit("dispose"); // stops its timers
});

export type RoomOf<State extends Schema> = Room & { state: State };

export function createRoom<State extends Schema>(make: () => State | undefined): RoomOf<State> {
  class AnyRoom extends Room {
    override onCreate(): void {
      const state = make();
      if (state !== undefined) this.state = state;
    }
  }
  const room = new AnyRoom();
  room["__init"]();
  room.onCreate();
  completeFullStates(room); // as RoomHost does
  rooms.push(room);
  return room as unknown as RoomOf<State>; // its onCreate saw to it
}

/** What a checkpoint holds of a room: its state, and what each of some players may see. */
interface Kept {
  readonly image: StateImage;
  readonly views: readonly (SavedView | undefined)[];
}

/** Through the bytes of a checkpoint, as it is in a cluster. */
export function checkpointed(state: Schema, ...players: PlayerSide[]): Kept {
  const room = { metadata: undefined, locked: false, private: false, unlisted: false, maxClients: 1 };
  const views = captureViews(
    state,
    players.map(({ end }) => end),
  );
  const saved = players.map(({ end }, at): [string, SavedPlayer] => {
    const view = views.get(end.view);
    return [String(at), { userData: undefined, ...(view === undefined ? {} : { view }) }];
  });
  const rest = {
    classVersion: 0,
    layout: undefined,
    cached: undefined,
    room,
    elapsedMs: 0,
    timers: undefined,
    answers: undefined,
  };
  const snapshot = { ...rest, state: captureState(state), players: Object.fromEntries(saved) };
  const read = decodeSnapshot(encodeSnapshot(snapshot, 1e9));
  return {
    image: read.state as StateImage, // one was put in
    views: players.map((_player, at) => read.players[at]?.view),
  };
}

export function saved(state: Schema): StateImage {
  return checkpointed(state).image;
}

export function restored<State extends Schema>(old: Schema, make: () => State): RoomOf<State> {
  const image = saved(old);
  const room = createRoom(make);
  restoreState(room, image);
  return room;
}

/** Opens a room from that, and gives the players their views; they have still to join. */
export function reopened<State extends Schema>(
  { image, views }: Kept,
  make: () => State,
  ...players: PlayerSide[]
): RoomOf<State> {
  const room = createRoom(make);
  restoreState(room, image);
  const makeView = viewMaker(room.state);
  for (const [at, player] of players.entries()) {
    const view = views[at];
    if (view === undefined) delete player.end.view;
    else player.end.view = makeView(view);
  }
  return room;
}

export function serializerOf(room: Room): SchemaSerializer<Schema> {
  return room["_serializer"] as SchemaSerializer<Schema>; // as its state is a Schema
}

/** A player's side of the socket, and the decoder behind it. */
export class PlayerSide {
  readonly decoder: Decoder<Schema>;
  readonly end: ServerClient;

  constructor(room: Room, view?: (player: PlayerSide) => StateView) {
    const raw = (bytes: Uint8Array): unknown => this.decoder.decode(Uint8Array.from(bytes), { offset: 1 });
    // A datagram that is never late; its number is the SDK's affair.
    const rawUnreliable = (bytes: Uint8Array): unknown =>
      this.decoder.decode(Uint8Array.from(bytes), { offset: 3 });
    // All that the serializer touches.
    this.end = { state: ClientState.JOINED, raw, rawUnreliable } as unknown as ServerClient;
    if (view !== undefined) this.end.view = view(this);
    const handshake = serializerOf(room).handshake();
    this.decoder = Reflection.decode<Schema>(handshake);
    this.join(room);
  }

  get state(): Schema {
    return this.decoder.state;
  }

  /** Joins, or returns: then the decoder reconciles what it had. */
  join(room: Room): void {
    const bytes = Uint8Array.from(serializerOf(room).getFullState(this.end));
    if (this.decoder.root.refs.size > 1) this.decoder.decodeResync(bytes, { offset: 1 });
    else this.decoder.decode(bytes, { offset: 1 });
  }
}

export function sendPatch(room: Room, ...players: PlayerSide[]): void {
  const ends = players.map((player) => player.end);
  serializerOf(room).applyPatches(ends);
  serializerOf(room).applyUnreliablePatches(ends);
}

/** A state in full, by the public API only: values, order, classes, refIds, and which instance is where. */
export function dump(state: Schema, asSeenBy: "server" | "player"): unknown {
  const refs = new Map<number, unknown>();
  const isServer = asSeenBy === "server";
  const show = (value: unknown): unknown => {
    // A player is not told null from undefined, nor -0 from 0.
    if (value === null || typeof value !== "object")
      return isServer ? value : value === 0 ? 0 : (value ?? undefined);
    const refId = (value as { [$refId]?: number })[$refId];
    if (refId === undefined) return value; // a custom type's
    if (refs.has(refId)) return { refId };
    refs.set(refId, undefined);
    const type = isServer ? value.constructor.name : undefined;
    if (value instanceof Schema) {
      const metadata = (value.constructor as typeof Schema)[Symbol.metadata];
      const fields: Record<string, unknown> = {};
      for (let i = 0; i <= (metadata[$numFields] ?? -1); i++) {
        const name = metadata[i]?.name ?? "";
        fields[name] = show(value[name as keyof typeof value]);
      }
      refs.set(refId, { type, fields });
    } else {
      const entries = [...(value as Map<unknown, unknown>).entries()].map(([key, entry]) => [
        key,
        show(entry),
      ]);
      // A player's map or set has an entry that came back at its end.
      if (!isServer && !(value instanceof ArraySchema))
        entries.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
      refs.set(refId, { type, entries });
    }
    return { refId };
  };
  return { root: show(state), refs };
}

export function expectSees(player: PlayerSide, room: { state: Schema }): void {
  expect(dump(player.state, "player")).toStrictEqual(dump(room.state, "player"));
}

/**
 * That the player sees what somebody sees who comes now, with the same view, and has never been here. But for empty
 * collections: a full state shows those of an instance as soon as a view has the instance, patches do not.
 */
export function expectSeesWhatItMay(player: PlayerSide, room: Room): void {
  const { view } = player.end;
  const newcomer = new PlayerSide(room, view && (() => view));
  expect(withoutEmpty(player.state)).toStrictEqual(withoutEmpty(newcomer.state));
}

function withoutEmpty(state: Schema): unknown {
  const { root, refs } = dump(state, "player") as { root: unknown; refs: Map<number, Dumped> };
  const isEmpty = (value: unknown): boolean =>
    value === undefined || refs.get((value as { refId: number }).refId)?.entries?.length === 0;
  for (const { fields } of refs.values()) {
    for (const [name, value] of Object.entries(fields ?? {})) if (isEmpty(value)) delete fields?.[name];
  }
  for (const [refId, { entries }] of refs) if (entries?.length === 0) refs.delete(refId);
  return { root, refs };
}

/** One instance of a dump. */
export interface Dumped {
  readonly fields?: Record<string, unknown>;
  readonly entries?: [key: unknown, value: unknown][];
}

export function refused(act: () => unknown): RingsideError {
  try {
    act();
  } catch (error) {
    if (error instanceof RingsideError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
