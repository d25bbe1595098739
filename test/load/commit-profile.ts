// A CPU profile of a node that commits, boiled down to who spends the time: by part of the program, and the largest
// functions by themselves.

import { writeFileSync } from "node:fs";
import { Session, type Profiler } from "node:inspector/promises";

const SAMPLE_EVERY_US = 200;
const FUNCTIONS_MAX = 18;

export async function profileUntil(): Promise<{ end(path: string): Promise<string[]> }> {
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

function summarize({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
  const parts = new Map<string, number>();
  const functions = new Map<string, number>();
  let totalUs = 0;
  for (const [index, id] of samples.entries()) {
    const us = timeDeltas[index] ?? 0;
    const { functionName, url } = (byId.get(id) as Profiler.ProfileNode).callFrame; // the profile's own
    if (url.includes("inspector")) continue; // the profiler's own
    totalUs += us;
    const place = url === "" ? "native" : url.split("/").slice(-2).join("/");
    add(functions, `${functionName === "" ? "(anonymous)" : functionName} ${place}`, us);
    // What is native, or Node's, is its caller's.
    let caller: number | undefined = id;
    let part: string | undefined;
    while (part === undefined && caller !== undefined) {
      part = partOf((byId.get(caller) as Profiler.ProfileNode).callFrame);
      caller = parents.get(caller);
    }
    add(parts, part ?? "Node itself", us);
  }
  const line = ([name, us]: [string, number]): string =>
    `  ${((100 * us) / totalUs).toFixed(1).padStart(5)} %  ${name}`;
  const largest = (times: Map<string, number>): [string, number][] =>
    [...times].sort(([, a], [, b]) => b - a);
  return [
    `profile of ${(totalUs / 1e6).toFixed(1)} s, by part (with what is native or Node's own that it calls):`,
    ...largest(parts).map(line),
    "  by function, by itself:",
    ...largest(functions).slice(0, FUNCTIONS_MAX).map(line),
  ];
}

function partOf({ functionName, url }: Profiler.ProfileNode["callFrame"]): string | undefined {
  if (functionName === "(idle)" || functionName === "(garbage collector)") return functionName;
  const [, inside] = /\/src\/([a-z]+)\//.exec(url.includes("/node_modules/") ? "" : url) ?? [];
  if (inside !== undefined) return `src/${inside}`;
  if (url.includes("/test/load/")) return "the benchmark itself";
  const [, module] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? [];
  return module === undefined ? undefined : module.startsWith("pg") ? "pg" : module;
}

function add(times: Map<string, number>, name: string, us: number): void {
  times.set(name, (times.get(name) ?? 0) + us);
}
