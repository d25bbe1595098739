// Where a figure was measured: without it a figure means nothing.

import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import type { TestCluster } from "../kit/cluster.ts";

const PACKAGES = ["@colyseus/core", "@colyseus/sdk", "@colyseus/schema"];

/** What else the machine was doing in the last minute; to be asked before the drill begins. */
export function othersLoad(): number {
  return loadavg()[0] ?? Number.NaN;
}

export async function describeSurroundings(cluster: TestCluster, othersLoad: number): Promise<string[]> {
  const cores = cpus();
  const [postgres] = await cluster.sql<{ server_version: string }>("SHOW server_version");
  const redis =
    process.env["REDIS_URL"] === undefined
      ? `js-redis-server ${versionOf("js-redis-server")}`
      : "as REDIS_URL has it";
  return [
    `machine   ${cores.length} cores (${cores[0]?.model.trim() ?? "unknown"}), ` +
      `${(totalmem() / 2 ** 30).toFixed(1)} GiB RAM, ${type()} ${release()}; everything on it, players included`,
    `load      ${othersLoad.toFixed(1)} from others, in the minute before`,
    `versions  Node ${process.version}, ${PACKAGES.map((name) => `${name} ${versionOf(name)}`).join(", ")}`,
    `stores    Postgres ${postgres?.server_version.split(" ")[0] ?? "unknown"}, Redis: ${redis}`,
  ];
}

function versionOf(name: string): string {
  const path = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version; // npm wrote it
}
