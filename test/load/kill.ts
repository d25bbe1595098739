// One kill of a drill: kill -9 of a node that owns rooms, and everything that comes of it, until all is as before.

import { systemClock } from "../../src/runtime/clock.ts";
import type { TestCluster, TestNode } from "../kit/cluster.ts";
import type { Squads } from "./squads.ts";
import type { Ticks, Witnesses } from "./witnesses.ts";

/** Who is not back after this long is lost. The stock SDK itself gives up after 56 s. */
export const BACK_WITHIN_MS = 60_000;

export interface Kill {
  readonly nodeId: string;
  readonly rooms: number;
  /** From the kill until a survivor marked the node down. */
  readonly noticedMs: number;
  /** From the kill until each of its rooms ran again. */
  readonly restoredMs: readonly number[];
  /** For each room, how much older than the kill the restored state was. */
  readonly rollbackMs: readonly number[];
  /** From the kill until each player's SDK saw its connection end. */
  readonly cutMs: readonly number[];
  /** From the kill until each player who lost the connection by it had it back. */
  readonly backMs: readonly number[];
  readonly tries: readonly number[];
  /** Players who were cut off: their room's owner or their gateway was the killed node. */
  readonly cut: number;
  readonly notBack: number;
  /** Connections that broke once more before the killed node was there again. */
  readonly cutAgain: number;
  /** Seats that were given up, or came back as another session. */
  readonly seatsLost: number;
  /** How long the node took until it served again. */
  readonly restartMs: number;
  readonly stages: Stages;
  /** Of rooms that were on other nodes all the while; undefined when nobody looks. */
  readonly ticks: { readonly before: Ticks; readonly during: Ticks; readonly after: Ticks } | undefined;
}

/** What it took, by the nodes' own events. */
export interface Stages {
  readonly claimMs: readonly number[];
  readonly claimRooms: readonly number[];
  /** Of each room: until its turn, until it was open, and what of that held the event loop. */
  readonly waitedMs: readonly number[];
  readonly openMs: readonly number[];
  readonly rebuildMs: readonly number[];
  /** Of each room, from the kill. */
  readonly firstBackMs: readonly number[];
  readonly lastBackMs: readonly number[];
}

/** After a recovery, for how long ticks are counted as those of the time after it. */
const AFTER_MS = 5_000;

/**
 * @throws when a room is not restored in time, or the killed node does not start again
 */
export async function killAndWait(
  cluster: TestCluster,
  squads: Squads,
  victim: TestNode,
  witnesses?: Witnesses,
): Promise<Kill> {
  const { events } = cluster;
  const roomIds = new Set(
    (await cluster.report()).rooms.filter((room) => room.nodeId === victim.nodeId).map((room) => room.roomId),
  );
  const mustReturn = [...squads.players.values()].filter(({ roomId }) => roomIds.has(roomId));
  const seen = {
    lapsed: events.of("seat:lapsed").length,
    back: squads.back.length,
    dropped: squads.dropped.length,
    claims: events.of("rooms:claimed").length,
  };
  const left = squads.left.length;

  const noticing = events.next("node:lost", (facts) => facts.lostIncarnation === victim.incarnation);
  const restoring = [...roomIds].map((roomId) =>
    events.next("room:restored", (facts) => facts.roomId === roomId, BACK_WITHIN_MS),
  );
  const settling = [...roomIds].map((roomId) =>
    events.next("room:settled", (facts) => facts.roomId === roomId, BACK_WITHIN_MS + 5_000),
  );
  const all = Promise.all([noticing, Promise.all(restoring), Promise.all(settling)]);
  all.catch(() => {}); // thrown where it is awaited, after the players have had their time
  const before = await witnesses?.read();
  const killedAt = systemClock.nowMs();
  await victim.kill();

  const haveReturned = (): boolean => {
    const back = new Set(squads.back.slice(seen.back).map(({ player }) => player));
    return squads.away === 0 && mustReturn.every(({ player }) => back.has(player));
  };
  await squads.until(() => haveReturned() || squads.left.length > left, BACK_WITHIN_MS);
  const [noticed, restored, settled] = await all;
  const during = await witnesses?.read();
  if (witnesses !== undefined) await systemClock.sleep(AFTER_MS);
  const after = await witnesses?.read();

  const restartedAt = systemClock.nowMs();
  await cluster.add(victim.nodeId);
  const restartMs = systemClock.nowMs() - restartedAt;
  // Players whose gateway alone died may have been told of it late; by now they have, and must be back as well.
  await squads.until(() => squads.away === 0, BACK_WITHIN_MS);

  // The first of each: who is cut once more later on was back all the same.
  const back = firstOf(squads.back.slice(seen.back));
  const everyDrop = squads.dropped.slice(seen.dropped);
  const dropped = [...firstOf(everyDrop).values()];
  const cut = new Set([...mustReturn, ...dropped].map(({ player }) => player));
  const strangers = [...back.values()].filter(
    ({ player, sessionId }) => squads.players.get(player)?.sessionId !== sessionId,
  );
  const claims = events
    .of("rooms:claimed")
    .slice(seen.claims)
    .map(({ facts }) => facts);
  const backByRoom = Map.groupBy(
    [...back.values()].filter(({ player }) => roomIds.has(squads.players.get(player)?.roomId ?? "")),
    ({ player }) => squads.players.get(player)?.roomId,
  );
  const backTimes = [...backByRoom.values()].map((ones) => ones.map(({ at }) => at - killedAt));
  const unsettled = settled.reduce((sum, { facts }) => sum + facts.seats - facts.back, 0);
  return {
    nodeId: victim.nodeId,
    rooms: roomIds.size,
    noticedMs: noticed.at - killedAt,
    restoredMs: restored.map(({ at }) => at - killedAt),
    // Postgres told the checkpoint's age when the room was claimed.
    rollbackMs: restored.map(
      ({ at, facts }) => facts.checkpointAgeMs - (at - facts.restoreMs - facts.waitedMs - killedAt),
    ),
    cutMs: dropped.map(({ at }) => at - killedAt),
    backMs: [...back.values()].map(({ at }) => at - killedAt),
    tries: [...back.values()].map(({ tries }) => tries),
    cut: cut.size,
    notBack: [...cut].filter((player) => !back.has(player)).length,
    seatsLost: Math.max(unsettled, events.of("seat:lapsed").length - seen.lapsed) + strangers.length,
    cutAgain: everyDrop.length - dropped.length,
    restartMs,
    stages: {
      claimMs: claims.map(({ claimMs }) => claimMs),
      claimRooms: claims.map(({ roomIds: taken }) => taken.length),
      waitedMs: restored.map(({ facts }) => facts.waitedMs),
      openMs: restored.map(({ facts }) => facts.restoreMs),
      rebuildMs: restored.map(({ facts }) => facts.rebuildMs),
      firstBackMs: backTimes.map((times) => Math.min(...times)),
      lastBackMs: backTimes.map((times) => Math.max(...times)),
    },
    ticks:
      before === undefined || during === undefined || after === undefined
        ? undefined
        : { before, during, after },
  };
}

function firstOf<One extends { readonly player: number }>(ones: readonly One[]): Map<number, One> {
  const first = new Map<number, One>();
  for (const one of ones) if (!first.has(one.player)) first.set(one.player, one);
  return first;
}
