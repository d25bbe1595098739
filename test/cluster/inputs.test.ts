// Rooms that are played by inputs (`defineInput`), over the end of their owner. The SDK encodes each input against the one
// before, and begins anew only with a new connection, so on a move its players' connections are closed, to come back.

import type { Client, InputHandle, Room } from "@colyseus/sdk";
import { expect, test } from "vitest";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { until } from "../kit/until.ts";

const GAME = { game: "kit/inputs-game.ts", env: { CHECKPOINT_MS: "200" } };
/** Inputs for each patch: several a tick of the room. */
const AT_ONCE = 3;
/** Inputs as soon as a connection is open, before the room has said that the seat is theirs. */
const AT_FIRST = 30;
const SEATS = [
  { mode: "reliable", at: "the owner" },
  { mode: "reliable", at: "another node" },
  { mode: "unreliable", at: "the owner" },
  { mode: "unreliable", at: "another node" },
] as const;
type Seat = (typeof SEATS)[number];

interface WalkState {
  readonly tick: number;
  readonly walkers: ReadonlyMap<string, { readonly at: number; readonly heard: Iterable<number> }>;
}

/** How far an input goes: mostly as far as the one before, so that most do not say it again. */
const stepOf = (seq: number): number => (Math.floor(seq / 5) % 7) - 3;

/** A player with the stock SDK who says something whenever the world has changed, and as soon as they can. */
class Walker {
  readonly seat: Seat;
  readonly room: Room;
  readonly sessionId: string;
  /** What was said, a list for each connection. */
  readonly said: number[][] = [[]];
  leftWith: number | undefined;
  returns = 0;
  readonly #input: InputHandle<{ seq: number; by: number }>;
  #seq = 0;

  constructor(room: Room, seat: Seat) {
    this.room = room;
    this.seat = seat;
    this.sessionId = room.sessionId;
    room.reconnection.minUptime = 0;
    room.reconnection.maxDelay = 400;
    room.reconnection.maxRetries = 200;
    room.onError(() => {}); // follows a close; the close is what counts
    room.onLeave((code) => (this.leftWith = code));
    this.#input = room.input({ mode: seat.mode });
    room.onDrop(() => {
      this.said.push([]);
      // The SDK does so for the first try to come back, and not for the next.
      this.#input.reset();
    });
    room.onReconnect(() => void (this.returns += 1));
    room.onStateChange(() => this.#say(AT_ONCE));
    room.connection.events.onopen = () => this.#say(AT_FIRST);
  }

  static async join(client: Client, roomId: string, seat: Seat): Promise<Walker> {
    return new Walker(await client.joinById(roomId), seat);
  }

  #say(count: number): void {
    const { data } = this.#input;
    for (let each = 0; each < count; each++) {
      data.seq = this.#seq;
      data.by = stepOf(this.#seq);
      if (this.#input.send() !== 0) this.said.at(-1)?.push(this.#seq++);
    }
  }

  get tick(): number {
    return (this.room.state as WalkState).tick;
  }

  /** What the room says of it now. */
  get walked(): { readonly at: number; readonly heard: readonly number[] } {
    const walker = (this.room.state as WalkState).walkers.get(this.sessionId);
    return { at: walker?.at ?? Number.NaN, heard: [...(walker?.heard ?? [])] };
  }

  /** Waits until so many of what it has said since it is back were heard. */
  async untilHeard(count: number): Promise<void> {
    await until(
      `${count} inputs of a ${this.seat.mode} player at ${this.seat.at} are heard`,
      () => {
        const since = new Set(this.said.at(-1));
        return this.walked.heard.filter((seq) => since.has(seq)).length >= count;
      },
      {
        ms: 60_000,
        seen: () => ({ said: this.said.map((each) => each.length), returns: this.returns, ...this.walked }),
      },
    );
  }

  /**
   * Of each connection the room has heard the beginning, without a gap, in order and once: only what was said last before it
   * broke may be lost, or taken back. And each was read for what it was.
   *
   * @returns how many of each connection were heard
   */
  expectInOrder(): number[] {
    const { at, heard } = this.walked;
    const who = `${this.seat.mode} at ${this.seat.at}`;
    const known = new Set(heard);
    const counts = this.said.map((each) => each.filter((seq) => known.has(seq)).length);
    const inOrder = this.said.flatMap((each, index) => each.slice(0, counts[index]));
    expect(heard, who).toEqual(inOrder);
    expect(at, who).toBe(heard.reduce((sum, seq) => sum + stepOf(seq), 0));
    return counts;
  }
}

/** A room on node-a with a walker of each kind. */
async function seatAll(
  cluster: TestCluster,
): Promise<{ owner: TestNode; walkers: Walker[]; roomId: string }> {
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const clients = {
    "the owner": await cluster.clientVia(owner),
    "another node": await cluster.clientVia(gateway),
  };
  const [first] = SEATS;
  let walker: Walker | undefined;
  for (let tries = 0; walker === undefined && tries < 100; tries++) {
    const room = await clients[first.at].create("walk");
    if ((await cluster.ownerOf(room.roomId)) === owner) walker = new Walker(room, first);
    else await room.leave();
  }
  if (walker === undefined) throw new Error("none of 100 new rooms is on node-a");
  const { roomId } = walker.room;
  const walkers = [walker];
  for (const seat of SEATS.slice(1)) walkers.push(await Walker.join(clients[seat.at], roomId, seat));
  return { owner, walkers, roomId };
}

test("[GATE4] [MOVE1] inputs over a planned move: heard in order, none twice, and the room goes on where it was", async () => {
  await using cluster = await startCluster(GAME);
  const { owner, walkers, roomId } = await seatAll(cluster);
  for (const walker of walkers) await walker.untilHeard(30);
  const before = walkers.map((walker) => ({ ...walker.walked, tick: walker.tick }));
  const moved = cluster.events.next("room:settled", (facts) => facts.roomId === roomId, 60_000);
  expect(await owner.drain()).toBe(0);
  expect((await moved).facts).toMatchObject({ seats: SEATS.length, back: SEATS.length });
  await until("everybody is back", () => walkers.every(({ returns }) => returns > 0), { ms: 60_000 });
  for (const [index, walker] of walkers.entries()) {
    await walker.untilHeard(60);
    walker.expectInOrder();
    const { heard, tick } = before[index]!;
    expect(walker.walked.heard.slice(0, heard.length), "nothing that was heard is taken back").toEqual(heard);
    expect(walker.tick).toBeGreaterThan(tick);
    expect(walker.leftWith).toBeUndefined();
  }
});

test("[GATE4] [REC1] inputs over a kill: heard in order, none twice, from the checkpoint on", async () => {
  await using cluster = await startCluster(GAME);
  const { owner, walkers, roomId } = await seatAll(cluster);
  for (const walker of walkers) await walker.untilHeard(30);
  await cluster.untilSaved(roomId);
  const back = cluster.events.next("room:settled", (facts) => facts.roomId === roomId, 60_000);
  const heard = walkers.map((walker) => walker.walked.heard.length);
  await owner.kill();
  expect((await back).facts).toMatchObject({ seats: SEATS.length, back: SEATS.length });
  for (const [index, walker] of walkers.entries()) {
    await walker.untilHeard(60);
    const [kept = 0, ...since] = walker.expectInOrder();
    expect(kept, "what the checkpoint has").toBeGreaterThan(0);
    expect(since.at(-1)).toBeGreaterThanOrEqual(60);
    expect(heard[index]).toBeGreaterThanOrEqual(30);
    expect(walker.leftWith).toBeUndefined();
    expect(walker.returns).toBeGreaterThan(0);
  }
});
