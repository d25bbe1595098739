// One chaos run: a cluster, players, faults for a while, then healing, ten seconds of peace, and everything is read. What
// comes of it is a history; judging it is the checker's part.

import { systemClock } from "../../src/runtime/clock.ts";
import { takeStock } from "./aftermath.ts";
import { Ears } from "./ears.ts";
import type { History, Opening } from "./history.ts";
import { Lateness } from "./lateness.ts";
import { measure } from "./levels.ts";
import { unleash } from "./nemesis.ts";
import { connectionsOf, disperse, gather, play, type PartySize } from "./party.ts";
import { drawPlan, type FaultName } from "./plan.ts";
import { Recorder } from "./recorder.ts";
import { PACE, SETTINGS, SETTLES_MS } from "./settings.ts";
import { readTriggerLog, installTriggerLog } from "./trigger-log.ts";
import { World } from "./world.ts";

export interface RunOptions {
  readonly seed: number;
  /** How long there are faults. */
  readonly faultsMs: number;
  readonly nodes: number;
  readonly party: PartySize;
  readonly only?: readonly FaultName[];
  /** See PlanOptions. */
  readonly stretch?: number;
  /** See World.open. */
  readonly sabotage?: URL;
  readonly say: (line: string) => void;
  /** Ends the faults early. */
  readonly signal: AbortSignal;
}

export interface Run {
  readonly history: History;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly isRedisReal: boolean;
  /** By how many ms the run's own timers were late. */
  readonly lateMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** By how many ms the machine's clock was set meanwhile: what is judged by times of day is void then. */
  readonly clockSetMs: number;
  readonly refusedJoins: ReadonlyMap<string, number>;
  readonly startFailures: readonly string[];
  /** What nodes printed that was no event: errors, and what somebody has forgotten to catch. */
  readonly complaints: readonly string[];
}

/** Before the faults begin, so that there is something to lose. */
const WARMS_UP_MS = 3_000;
/** What is under way when the players are told to stop may take so long. */
const STOPS_MS = 45_000 * PACE;

export async function chaosRun(options: RunOptions): Promise<Run> {
  const { seed, faultsMs, nodes, only, stretch = 1, sabotage, say, signal } = options;
  const recorder = new Recorder();
  const startedAt = systemClock.nowMs();
  const lateness = new Lateness();
  await using world = await World.open(recorder, nodes, sabotage);
  const { cluster } = world;
  await installTriggerLog(cluster);
  const [playing, running, listening] = [new AbortController(), new AbortController(), new AbortController()];
  const signals = { playing: playing.signal, running: running.signal };
  try {
    const party = await gather(world, seed, options.party, signals);
    const ears = new Ears(world, party.ledgers);
    const playsFrom = systemClock.nowMs();
    const games = play(party);
    games.catch(() => {}); // thrown where it is awaited
    const listened = ears.listen(listening.signal);
    await systemClock.sleep(WARMS_UP_MS, signal).catch(() => {});
    const before = await measure(world);
    say(
      `seed ${seed}: ${party.players.length} players in ${party.ledgers.length} ledgers, faults for ${faultsMs / 1_000} s`,
    );

    const plan = drawPlan({ seed, lastsMs: faultsMs, stretch, ...(only === undefined ? {} : { only }) });
    await unleash(plan, faultsMs, { world, say, connections: () => connectionsOf(party) }, signal);
    await world.untilAllServe();
    const healedAt = systemClock.nowMs();
    say("healed");
    listening.abort();
    await systemClock.sleep(SETTLES_MS);
    playing.abort();
    const areDone = await Promise.race([
      games.then(() => true),
      systemClock.sleep(STOPS_MS).then(() => false),
    ]);
    running.abort();
    await listened;
    const stock = await takeStock(world, party, before, healedAt);
    const stuck = {
      what: `players still wait for an answer or a seat ${STOPS_MS} ms after they stopped playing`,
    };
    const aftermath = areDone ? stock : { ...stock, failures: [stuck, ...stock.failures] };
    disperse(party);
    const { writes, refused } = await readTriggerLog(cluster);
    const openings = openingsOf(world);
    const late = lateness.stop();
    return {
      history: {
        settings: {
          seatHoldMs: SETTINGS.seatHoldMs,
          ownedWithinMs: SETTLES_MS,
          lateMs: late.max,
          expected: { ledgers: party.ledgers, playedMs: healedAt - playsFrom },
        },
        ops: recorder.ops,
        frames: recorder.frames,
        gatewayFrames: world.gatewayLogs.read(),
        writes,
        refusedWrites: refused + cluster.events.of("checkpoint:refused").length,
        openings,
        absences: recorder.absences,
        faults: recorder.faults,
        lives: recorder.lives,
        aftermath,
      },
      startedAt,
      endedAt: systemClock.nowMs(),
      isRedisReal: world.redis.isReal,
      lateMs: late,
      clockSetMs: lateness.clockSetMs,
      refusedJoins: recorder.refusedJoins,
      startFailures: world.startFailures,
      complaints: cluster.everyOutput,
    };
  } finally {
    for (const controller of [playing, running, listening]) controller.abort();
    lateness.stop();
  }
}

function openingsOf({ cluster }: World): Opening[] {
  const created = cluster.events
    .of("room:created")
    .map(({ nodeId, at, facts }): Opening => ({ nodeId, at, roomId: facts.roomId, epoch: facts.epoch }));
  const restored = cluster.events.of("room:restored").map(({ nodeId, at, facts }): Opening => {
    const { roomId, epoch, checkpointSeq, checkpointAgeMs, restoreMs } = facts;
    return { nodeId, at, roomId, epoch, from: { checkpointSeq, checkpointAgeMs, restoreMs } };
  });
  return [...created, ...restored].sort((one, other) => one.at - other.at);
}
