// When all is healed: everything is read through every gateway, everybody tries to join, the counts are compared, and what
// the cluster uses is measured again.

import { isDeepStrictEqual } from "node:util";
import type { Room } from "@colyseus/sdk";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { until } from "../kit/until.ts";
import { within } from "./ears.ts";
import type { Aftermath } from "./history.ts";
import type { Contents, LedgerState } from "./ledger-room.ts";
import { compare, measure, type Measured } from "./levels.ts";
import { presentIn, type Party } from "./party.ts";
import { PACE, SETTINGS, SETTLES_MS } from "./settings.ts";
import type { World } from "./world.ts";

const REPORT_AGREES_MS = 5_000 * PACE;
const ASK_MS = 8_000 * PACE;
const AGREES_MS = 8_000 * PACE;

export async function takeStock(
  world: World,
  party: Party,
  before: Measured,
  healedAt: number,
): Promise<Aftermath> {
  const failures: { roomId?: string; what: string }[] = [];
  const attempt = async (
    what: string,
    roomId: string | undefined,
    work: () => Promise<void>,
  ): Promise<void> => {
    try {
      await work();
    } catch (error) {
      failures.push({ ...(roomId === undefined ? {} : { roomId }), what: `${what}: ${messageOf(error)}` });
    }
  };
  const rooms = await lookAtRooms(world, party);
  // An empty report would have nothing wrong in it.
  if (rooms.length === 0) failures.push({ what: "no node could be asked for the report" });
  for (const node of world.serving) {
    // Side by side: where something is wrong, each may take its whole time.
    await Promise.all([
      ...party.ledgers.map((roomId) =>
        attempt(`reading through ${node.nodeId}`, roomId, () => readThrough(world, node.nodeId, roomId)),
      ),
      attempt(`a new arena through ${node.nodeId}`, undefined, async () => {
        const room = await joined(world, () => world.cluster.client(node).create("arena", { name: "late" }));
        await within(ASK_MS, room.leave());
      }),
    ]);
  }
  await Promise.all([
    ...party.players.map((player) => {
      const { connection } = player;
      return attempt(`${connection.name} reads`, connection.roomId, async () => {
        const contents = await player.read();
        if (contents === undefined) throw new Error("no answer");
        await agrees(connection.room.state, contents);
      });
    }),
    ...party.walkers.map(async (walker) => {
      const wrong = await walker.verify();
      if (wrong !== undefined) failures.push({ roomId: walker.connection.roomId, what: wrong });
    }),
    (async () => {
      // One after the other: they ask Postgres on one connection.
      for (const buyer of party.buyers) {
        for (const what of await buyer.verify(world.cluster))
          failures.push({ roomId: buyer.shopper.market, what });
      }
    })(),
  ]);
  // Seats of those who were not to come back are held for a while; so long, everything else has time to settle.
  const now = {
    nodes: world.serving.length,
    players: party.players.length + party.walkers.length + party.buyers.length,
  };
  const isOver = healedAt + SETTINGS.seatHoldMs + SETTLES_MS;
  let levels = compare(before, await measure(world), now);
  while (levels.some(({ after, atMost }) => after > atMost) && systemClock.nowMs() < isOver) {
    await systemClock.sleep(500);
    levels = compare(before, await measure(world), now);
  }
  return { healedAt, rooms, failures, levels };
}

/** As a player would: who is told that a node did not answer in time asks once more. How often that was so is told. */
async function joined<State>(
  { recorder }: World,
  join: () => Promise<Room<unknown, State>>,
): Promise<Room<unknown, State>> {
  const leave = (late: Room<unknown, State>): void => void late.leave();
  try {
    return await within(ASK_MS, join(), leave);
  } catch (error) {
    recorder.refusedJoin(`after healing: ${messageOf(error)}`);
    return within(ASK_MS, join(), leave);
  }
}

/** What players see is what the room says, as soon as its next patch is there. */
async function agrees(mirror: LedgerState, contents: Contents): Promise<void> {
  const isSo = (): boolean =>
    isDeepStrictEqual([...mirror.plain], contents.plain) &&
    isDeepStrictEqual([...mirror.committed], contents.committed);
  await until("the player's mirror is what the room holds", isSo, {
    ms: AGREES_MS,
    seen: () => ({
      mirror: [mirror.plain.length, mirror.committed.length],
      room: [contents.plain.length, contents.committed.length],
    }),
  });
}

/** By somebody new, straight through one node. */
async function readThrough(world: World, nodeId: string, roomId: string): Promise<void> {
  const { cluster, recorder } = world;
  const gateway = cluster.node(nodeId);
  const client = `last-${nodeId}`;
  const invokedAt = systemClock.nowMs();
  const room = await joined(world, () =>
    cluster.client(gateway).joinById<LedgerState>(roomId, { name: client, isEar: true }),
  );
  room.onMessage("*", () => {});
  try {
    const asking = room.request("read" as never, undefined as never, { timeout: ASK_MS }) as unknown;
    const contents = await (asking as Promise<Contents>);
    const [plain, committed] = [recorder.intern(contents.plain), recorder.intern(contents.committed)];
    const got = { ...contents, plain, committed };
    const endedAt = systemClock.nowMs();
    recorder.ops.push({
      kind: "read",
      client,
      roomId,
      invokedAt,
      endedAt,
      outcome: "ok",
      gateway: nodeId,
      got,
    });
    await agrees(room.state, contents);
  } finally {
    await within(ASK_MS, room.leave());
  }
}

async function lookAtRooms(world: World, party: Party): Promise<Aftermath["rooms"]> {
  const { cluster } = world;
  let rooms: Aftermath["rooms"] = [];
  const look = async (): Promise<boolean> => {
    const report = await cluster.report(world.able[0]);
    rooms = [...presentIn(party)].map(([roomId, playersInFact]) => {
      const row = report.rooms.find((room) => room.roomId === roomId);
      const owner = row?.nodeId ?? null;
      return {
        roomId,
        owner,
        isOwnerLive: world.serving.some(({ nodeId }) => nodeId === owner),
        phase: row?.phase ?? "gone",
        players: row?.players ?? 0,
        playersInFact,
      };
    });
    return rooms.every(
      ({ players, playersInFact, phase, isOwnerLive }) =>
        isOwnerLive && phase === "active" && players === playersInFact,
    );
  };
  // Each node's own word on its rooms may be missed once on a busy machine.
  await until("the report agrees with who is connected", look, { ms: REPORT_AGREES_MS }).catch(() => {}); // the checker says what differs
  return rooms;
}
