// A CPU profile of a node while it saves, boiled down to what is owed to checkpoints: how much time each function took
// itself, and what the project's own functions took with all that they call. A function counts for checkpoints when the
// checkpointer, or the driver's way to Postgres and back, is among its callers.

import { writeFileSync } from "node:fs";
import { Session, type Profiler } from "node:inspector/promises";

const SAMPLE_EVERY_US = 200;
const FUNCTIONS_MAX = 25;

export interface ProfileLine {
  readonly name: string;
  readonly ms: number;
}

export interface ProfileFigures {
  readonly totalMs: number;
  readonly idleMs: number;
  /** Not owed to any one caller: collected for all. */
  readonly gcMs: number;
  /** Everything below the checkpointer. */
  readonly checkpointMs: number;
  /** The driver, Postgres's answers included; other statements too, which are few. */
  readonly driverMs: number;
  /** Below the checkpointer or in the driver, the largest first: each function by itself. */
  readonly self: readonly ProfileLine[];
  /** And those of this project with everything that they call. */
  readonly whole: readonly ProfileLine[];
}

export async function startProfile(): Promise<{ end(path: string): Promise<ProfileFigures> }> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: SAMPLE_EVERY_US });
  await session.post("Profiler.start");
  return {
    async end(path) {
      const { profile } = await session.post("Profiler.stop");
      session.disconnect();
      writeFileSync(path, JSON.stringify(profile));
      return summarize(profile);
    },
  };
}

function summarize(profile: Profiler.Profile): ProfileFigures {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const selfUs = new Map<number, number>();
  for (const [index, id] of (profile.samples ?? []).entries()) {
    selfUs.set(id, (selfUs.get(id) ?? 0) + (profile.timeDeltas?.[index] ?? 0));
  }
  const sums = { totalMs: 0, idleMs: 0, gcMs: 0, checkpointMs: 0, driverMs: 0 };
  const self = new Map<string, number>();
  const whole = new Map<string, number>();
  /** @returns the time of the node and all below it, in ms */
  const walk = (
    id: number,
    callers: readonly string[],
    under: "checkpoint" | "driver" | undefined,
  ): number => {
    const node = nodes.get(id) as Profiler.ProfileNode; // the profile is a tree of its own nodes
    const { functionName, url } = node.callFrame;
    const ms = (selfUs.get(id) ?? 0) / 1_000;
    const owner = under ?? ownerOf(url);
    // What is native says little without who called it.
    const plain = `${functionName === "" ? "(anonymous)" : functionName} ${placeOf(url)}`.trim();
    const name = url === "" ? `${plain} < ${callers.at(-1) ?? ""}` : plain;
    sums.totalMs += ms;
    if (functionName === "(idle)") sums.idleMs += ms;
    else if (functionName === "(garbage collector)") sums.gcMs += ms;
    else if (owner !== undefined) {
      sums[owner === "checkpoint" ? "checkpointMs" : "driverMs"] += ms;
      self.set(name, (self.get(name) ?? 0) + ms);
    }
    let withCalled = ms;
    for (const child of node.children ?? []) withCalled += walk(child, [...callers, name], owner);
    // One that calls itself is counted once.
    if (
      owner !== undefined &&
      url.includes("/src/") &&
      !url.includes("/node_modules/") &&
      !callers.includes(name)
    ) {
      whole.set(name, (whole.get(name) ?? 0) + withCalled);
    }
    return withCalled;
  };
  const [root] = profile.nodes;
  if (root !== undefined) walk(root.id, [], undefined);
  return { ...sums, self: largest(self), whole: largest(whole) };
}

function largest(times: ReadonlyMap<string, number>): ProfileLine[] {
  return [...times]
    .map(([name, ms]) => ({ name, ms }))
    .sort((a, b) => b.ms - a.ms)
    .slice(0, FUNCTIONS_MAX);
}

/** The last two parts of where a function is written. */
function placeOf(url: string): string {
  return url.split("/").slice(-2).join("/");
}

function ownerOf(url: string): "checkpoint" | "driver" | undefined {
  if (url.includes("/src/checkpoint/")) return "checkpoint";
  return /\/node_modules\/pg(-|\/)/.test(url) ? "driver" : undefined;
}
