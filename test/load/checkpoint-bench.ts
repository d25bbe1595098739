// What checkpoints cost: of one state, of a node with many rooms, and of Postgres.
//
//   npm run bench:checkpoint [-- --full] [-- --rooms 10000 --kb 10 --dirty 0.1]     see checkpoint-options.ts
//
// How checkpoints are switched on and off: the node is the real startNode in a process of its own, and the clock it is given
// holds the checkpointer's pauses (checkpoint-hold.ts). So windows with and without take turns on the same rooms in the same
// process, and two processes' luck with heap and compiler is not part of the ratio. What a held checkpointer does not do is
// all that it does: looking for changes, capturing, encoding, and waiting for Postgres. What stays in both is the mark that
// a patch sets on its room, which is one comparison.
//
// The stores are private ones, unless DATABASE_URL or REDIS_URL name others. Postgres is reached through a proxy process,
// which answers at once except where a slow Postgres is what is measured. Exit code 1 when something could not be measured.

import { freemem } from "node:os";
import { messageOf } from "../../src/errors.ts";
import type { TestCluster } from "../kit/cluster.ts";
import { startStores, type StoreUrls } from "../kit/stores.ts";
import { WALKERS } from "./bench-game.ts";
import type { EncodeFigures } from "./checkpoint-encode.ts";
import {
  cpuRatios,
  encodeTable,
  isBelow,
  lateRatios,
  profileLines,
  sceneTable,
  showSpread,
  stepTable,
  type Measured,
  type Pair,
  type Verdict,
} from "./checkpoint-figures.ts";
import { readPlan, type Plan, type PlannedScene } from "./checkpoint-options.ts";
import { INTERVAL_MS, Scene, type Live } from "./checkpoint-scene.ts";
import { percentile } from "./figures.ts";
import { describeSurroundings, othersLoad } from "./surroundings.ts";

const CPU_RATIO_MAX = 1.05;
const SLOW_MS = 300;
const SLOW_PAIRS = 3;
const LATE_RATIO_MAX = 1.1;
const LIVE_MS = 8_000;
/** The checkpointer looks for rooms that are due ten times a second at most; a room waits that much longer. */
const PASS_MS = 100;
/** A node whose event loop has this little left measures its own congestion, not checkpoints. */
const UTILIZATION_MAX = 0.98;
/** What a room takes in memory: by itself, and for each KB of its state; measured with this game. */
const ROOM_BYTES = 100 * 1024;
const ROOM_BYTES_A_KB = 25 * 1024;
/** What one node's heap is allowed by V8 if nobody says otherwise. */
const HEAP_BYTES_MAX = 3.5 * 2 ** 30;

/** Ctrl-C ends the benchmark at its next step, in order: nothing it started is left behind. */
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)));
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface Result extends Measured {
  readonly options: PlannedScene;
  readonly live: Live | undefined;
  /** With a slow Postgres (on) and the usual one (off). */
  readonly slow: readonly Pair[];
  readonly profile: readonly string[];
}

interface Outcome {
  readonly encoded: (readonly [number, EncodeFigures])[];
  readonly results: Result[];
  /** What was not measured, and why. */
  readonly skipped: string[];
  readonly surroundings: readonly string[];
}

const nameOf = ({ rooms, kb }: PlannedScene): string => `${rooms} rooms of ${kb} KB`;

/** Why a scene is not even begun. */
function tooLarge({ rooms, kb, nodes }: PlannedScene): string | undefined {
  const bytes = rooms * (ROOM_BYTES + kb * ROOM_BYTES_A_KB);
  const gib = (value: number): string => `${(value / 2 ** 30).toFixed(1)} GiB`;
  if (bytes > freemem() / 2) return `it needs about ${gib(bytes)}, and ${gib(freemem())} are free`;
  if (bytes / nodes > HEAP_BYTES_MAX) {
    return `it needs about ${gib(bytes / nodes)} a node, more than V8 gives a heap; take more --nodes`;
  }
  return undefined;
}

async function measureStates(
  plan: Plan,
  stores: StoreUrls,
  load: number,
): Promise<Pick<Outcome, "encoded" | "surroundings">> {
  const [first] = plan.scenes as [PlannedScene]; // a plan has one at least
  await using scene = await Scene.open({ ...first, nodes: 1 }, stores, stopping.signal);
  // Of a cluster it asks for nothing but what Postgres says.
  const sql = (text: string): Promise<unknown> => scene.meter.query(text);
  const surroundings = await describeSurroundings({ sql } as unknown as TestCluster, load);
  const encoded: [number, EncodeFigures][] = [];
  for (const kb of new Set(plan.scenes.map((planned) => planned.kb))) {
    const rounds = Math.round(Math.max(40, Math.min(500, 5_000 / kb)));
    const room = { kb, hz: 20, seed: plan.seed };
    encoded.push([kb, (await scene.ask("encoded", { kind: "encode", room, rounds })).figures]);
  }
  return { encoded, surroundings };
}

/** @returns why it was given up, where it was */
async function measureScene(
  planned: PlannedScene,
  stores: StoreUrls,
  profile: string | undefined,
): Promise<Result | string> {
  await using scene = await Scene.open(planned, stores, stopping.signal);
  await scene.fill();
  await scene.meter.query("CHECKPOINT"); // so that it does not fall into a window, and full pages come early

  const pairs: Pair[] = [];
  for (let index = 0; index < planned.pairs; index++) {
    const onFirst = index % 2 === 1; // what rises or falls over a run then counts for both
    const first = await scene.window(onFirst);
    if (index === 0 && first.utilization > UTILIZATION_MAX) {
      const share = (value: number): string => `${(100 * value).toFixed(0)} %`;
      return (
        `a node's event loop is busy for ${share(first.utilization)} of the time without any checkpoint ` +
        `(the nodes take ${share(first.cpuMs / first.wallMs)} of a core, and ${share(first.idle)} of the machine is idle)`
      );
    }
    const second = await scene.window(!onFirst);
    const pair = onFirst ? { on: first, off: second } : { on: second, off: first };
    if (pair.off.saved > 0) throw new Error(`${pair.off.saved} rooms were saved while checkpoints were held`);
    if (pair.on.saved === 0 && planned.dirty > 0) throw new Error("no room was saved");
    pairs.push(pair);
    say(
      `  pair ${index + 1}: node CPU on/off ${cpuRatios([pair])[0]?.toFixed(3)}, ${pair.on.saved} saves, ` +
        `${pair.on.heapMb.toFixed(0)} MB of heap, ${(100 * pair.on.utilization).toFixed(0)} % of the event loop busy`,
    );
  }
  await scene.checkpoints(true);
  await scene.pause(INTERVAL_MS * 1.5);
  const live = planned.isWatched ? await scene.live(LIVE_MS) : undefined;
  const stored = await scene.meter.stored(scene.moving);

  const slow: Pair[] = [];
  for (let index = 0; planned.isAim && index < SLOW_PAIRS; index++) {
    const window = async (isSlow: boolean): Promise<Pair["on"]> => {
      await scene.delay(isSlow ? SLOW_MS : 0);
      return scene.window(true);
    };
    const [first, second] = [await window(index % 2 === 1), await window(index % 2 === 0)];
    slow.push(index % 2 === 1 ? { on: first, off: second } : { on: second, off: first });
  }
  const lines: string[] = [];
  if (profile !== undefined) {
    await scene.delay(0);
    await scene.ask("done", { kind: "profile", path: undefined });
    const { saved } = await scene.window(true);
    const { figures } = await scene.ask("profiled", { kind: "profile", path: profile });
    // The profile ran while things settled as well: a share of a window more than its saves.
    lines.push(...profileLines(figures, (saved * figures.totalMs) / planned.windowMs));
  }
  return { options: planned, pairs, stored, live, slow, profile: lines };
}

function liveLine({ options, live, pairs }: Result): string | undefined {
  if (live === undefined) return undefined;
  const seconds = (values: readonly number[]): string =>
    `p99 ${(percentile(values, 0.99) / 1_000).toFixed(2)} s, max ${(percentile(values, 1) / 1_000).toFixed(2)} s`;
  const due = Math.round(options.rooms * options.dirty) * (1_000 / INTERVAL_MS);
  const saves = pairs.map(({ on }) => (on.saved * 1_000) / on.wallMs);
  return (
    `${nameOf(options)}: rpoMs ${seconds(live.rpoMs)}; age of the newest checkpoint ${seconds(live.ageMs)}; ` +
    `${percentile(saves, 0.5).toFixed(1)} of ${due.toFixed(1)} saves/s that are due`
  );
}

/** Only what is measured in the scenes that are watched is judged. */
function isInsideInterval({ live }: Result): Verdict {
  const rpoMs = live?.rpoMs ?? [];
  const isInside =
    percentile(rpoMs, 0.99) <= INTERVAL_MS + PASS_MS && percentile(rpoMs, 1) < 1.25 * INTERVAL_MS;
  return isInside ? "met" : "NOT MET";
}

function aims({ results }: Outcome): string[] {
  const lines: string[] = [];
  const tell = (verdict: Verdict | undefined, text: string): void =>
    void lines.push(`  ${verdict ?? "not measured"}: ${text}`);
  const aim = results.find(({ options }) => options.isAim);
  const ratios = aim && cpuRatios(aim.pairs);
  tell(
    ratios && isBelow(CPU_RATIO_MAX, ratios),
    `node CPU with checkpoints every 2 s under ${CPU_RATIO_MAX} times that without, 1,000 rooms of 10 KB, a tenth dirty` +
      (ratios ? `: ${showSpread(ratios)}` : ""),
  );
  const many = results.find(({ options }) => options.rooms >= 10_000);
  tell(
    many && isInsideInterval(many),
    "10,000 rooms on one small Postgres, all dirty ones saved inside the interval" +
      (many ? `: ${liveLine(many)}` : "; ask with --rooms 10000"),
  );
  const slow = aim && lateRatios(aim.slow);
  tell(
    slow && isBelow(LATE_RATIO_MAX, slow),
    `tick lateness p99 with ${SLOW_MS} ms a statement under ${LATE_RATIO_MAX} times that without` +
      (slow ? `: ${showSpread(slow)}` : ""),
  );
  return lines;
}

function show(plan: Plan, outcome: Outcome): string {
  const [one] = plan.scenes;
  const noisy = outcome.results.some(({ pairs }) => pairs.some(({ on }) => on.idle < 0.1));
  return [
    `checkpoints every ${INTERVAL_MS} ms, seed ${plan.seed}, windows of ${[...new Set(plan.scenes.map(({ windowMs }) => windowMs))].join(" or ")} ms`,
    ...outcome.surroundings,
    `rooms     ${[...new Set(plan.scenes.map(({ hz }) => hz))].join(", ")} ticks a second, as many patches, 20 at most; in a share of ` +
      `${one?.dirty} of them ${WALKERS} bodies walk, so that every tick changes them; the others do the same work and stay`,
    `players   ${one?.players} in each room that changes: raw WebSockets in another process, which join, steer 4 times a ` +
      `second and read every patch without decoding it`,
    ...(noisy
      ? ["NOTE      less than a tenth of the machine was idle: take lateness with a grain of salt"]
      : []),
    "",
    "one state, nothing else going on (median / p99 of a time; a delta stands on a state 2 s older)",
    encodeTable(outcome.encoded),
    "",
    stepTable(outcome.encoded),
    "",
    "nodes (medians over pairs of windows; WAL and CPU a save: all that checkpoints add, by the number of saves; 100 % is a core)",
    sceneTable(outcome.results),
    "",
    ...outcome.results.flatMap((result) => liveLine(result) ?? []),
    ...outcome.results.flatMap((result) =>
      result.slow.length === 0
        ? []
        : [
            `tick lateness p99 with ${SLOW_MS} ms a statement: ` +
              result.slow.map(({ on, off }) => `${off.lateP99Us} > ${on.lateP99Us}`).join(", ") +
              ` us; ratio ${showSpread(lateRatios(result.slow))}`,
          ],
    ),
    ...outcome.results.flatMap((result) => result.profile),
    ...outcome.skipped.map((line) => `skipped   ${line}`),
    "",
    "aims",
    ...aims(outcome),
  ].join("\n");
}

async function run(plan: Plan): Promise<Outcome> {
  const load = othersLoad();
  await using stores = await startStores();
  say(`seed ${plan.seed}`);
  const { encoded, surroundings } = await measureStates(plan, stores, load);
  const results: Result[] = [];
  const skipped: string[] = [];
  for (const planned of plan.scenes) {
    say(nameOf(planned));
    const why = tooLarge(planned);
    const isLast = planned === plan.scenes.findLast(({ isAim }) => isAim) || plan.scenes.length === 1;
    const result = why ?? (await measureScene(planned, stores, isLast ? plan.profile : undefined));
    if (typeof result === "string") skipped.push(`${nameOf(planned)}: ${result}`);
    else results.push(result);
  }
  return { encoded, results, skipped, surroundings };
}

try {
  const plan = readPlan(process.argv.slice(2));
  const outcome = await run(plan);
  process.stdout.write(`\n${show(plan, outcome)}\n`);
} catch (error) {
  let first: unknown = error;
  // Ctrl-C reaches Postgres as well, and then tidying up fails too: what went wrong first is what is told.
  while (first instanceof SuppressedError) first = first.suppressed;
  say(`bench:checkpoint: ${messageOf(first)}`);
  process.exitCode = 1;
}
