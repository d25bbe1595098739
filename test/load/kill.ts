// One kill of a drill: kill -9 of a node that owns rooms, and everything that comes of it, until all is as before.

import { systemClock } from "../../src/runtime/clock.ts";
import type { TestCluster, TestNode } from "../kit/cluster.ts";
import type { Squads } from "./squads.ts";

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
  /** Seats that were given up, or came back as another session. */
  readonly seatsLost: number;
  /** How long the node took until it served again. */
  readonly restartMs: number;
}

/**
 * @throws when a room is not restored in time, or the killed node does not start again
 */
export async function killAndWait(cluster: TestCluster, squads: Squads, victim: TestNode): Promise<Kill> {
  const { events } = cluster;
  const roomIds = new Set(
    (await cluster.report()).rooms.filter((room) => room.nodeId === victim.nodeId).map((room) => room.roomId),
  );
  const mustReturn = [...squads.players.values()].filter(({ roomId }) => roomIds.has(roomId));
  const seen = {
    lapsed: events.of("seat:lapsed").length,
    back: squads.back.length,
    dropped: squads.dropped.length,
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
  const killedAt = systemClock.nowMs();
  await victim.kill();

  const haveReturned = (): boolean => {
    const back = new Set(squads.back.slice(seen.back).map(({ player }) => player));
    return squads.away === 0 && mustReturn.every(({ player }) => back.has(player));
  };
  await squads.until(() => haveReturned() || squads.left.length > left, BACK_WITHIN_MS);
  const [noticed, restored, settled] = await all;

  const restartedAt = systemClock.nowMs();
  await cluster.add(victim.nodeId);
  const restartMs = systemClock.nowMs() - restartedAt;
  // Players whose gateway alone died may have been told of it late; by now they have, and must be back as well.
  await squads.until(() => squads.away === 0, BACK_WITHIN_MS);

  const back = new Map(squads.back.slice(seen.back).map((one) => [one.player, one]));
  const dropped = squads.dropped.slice(seen.dropped);
  const cut = new Set([...mustReturn, ...dropped].map(({ player }) => player));
  const strangers = [...back.values()].filter(
    ({ player, sessionId }) => squads.players.get(player)?.sessionId !== sessionId,
  );
  const unsettled = settled.reduce((sum, { facts }) => sum + facts.seats - facts.back, 0);
  return {
    nodeId: victim.nodeId,
    rooms: roomIds.size,
    noticedMs: noticed.at - killedAt,
    restoredMs: restored.map(({ at }) => at - killedAt),
    // Postgres told the checkpoint's age when the room was claimed, which was `restoreMs` before the event.
    rollbackMs: restored.map(({ at, facts }) => facts.checkpointAgeMs - (at - facts.restoreMs - killedAt)),
    cutMs: dropped.map(({ at }) => at - killedAt),
    backMs: [...back.values()].map(({ at }) => at - killedAt),
    tries: [...back.values()].map(({ tries }) => tries),
    cut: cut.size,
    notBack: [...cut].filter((player) => !back.has(player)).length,
    seatsLost: Math.max(unsettled, events.of("seat:lapsed").length - seen.lapsed) + strangers.length,
    restartMs,
  };
}
