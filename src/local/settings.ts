// The few settings of the local cluster itself. Everything else in the environment goes on to the nodes as it is
// (src/config.ts), so that nothing differs between here and production but addresses and counts.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { EXIT, StartError } from "./start-error.ts";

export interface LocalSettings {
  /** The project's folder. */
  readonly root: string;
  readonly dataDir: string;
  /** The one public port. The management port is `port + 1000`. */
  readonly port: number;
  /** Where the public port is bound; undefined means loopback, IPv4 and IPv6. */
  readonly bindHost: string | undefined;
  readonly nodes: number;
  /** Undefined: a private server. */
  readonly databaseUrl: string | undefined;
  readonly redisUrl: string | undefined;
  readonly clusterKey: string | undefined;
  /** The game's module; undefined means the demo's, rooms/index.ts. */
  readonly game: string | undefined;
  /** The environment, for the nodes. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** One machine, and 100 connections of Postgres: a node takes up to ten. */
export const NODES_MAX = 9;
export const MANAGEMENT_OFFSET = 1_000;

/** @throws StartError that tells every fault at once */
export function readLocalSettings(
  env: Readonly<Record<string, string | undefined>>,
  root: string,
  args: readonly string[] = [],
): LocalSettings {
  const wrong: string[] = [];
  const number = (name: string, fallback: number, min: number, max: number): number => {
    const text = env[name]?.trim() ?? "";
    const value = text === "" ? fallback : Number(text);
    if (!Number.isInteger(value) || value < min || value > max) {
      wrong.push(`${name}=${text} must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
  const text = (name: string): string | undefined => {
    const value = env[name]?.trim();
    return value === "" ? undefined : value;
  };
  const url = (names: readonly string[], schemes: readonly string[]): string | undefined => {
    const name = names.find((each) => text(each) !== undefined);
    const value = name === undefined ? undefined : text(name);
    if (value === undefined) return undefined;
    const isRight = URL.canParse(value) && schemes.includes(new URL(value).protocol);
    // The value may hold a password, so it is not repeated.
    if (!isRight) wrong.push(`${name ?? ""} must be a URL that begins with ${schemes[0] ?? ""}//`);
    return value;
  };

  const [game, ...rest] = args.map((arg) => resolve(arg));
  if (rest.length > 0) wrong.push("one game at a time: npm start -- path/to/game.ts");
  if (game !== undefined && !existsSync(game)) wrong.push(`there is no ${game}: name the module of a game`);

  const settings: LocalSettings = {
    root,
    dataDir: resolve(root, text("RINGSIDE_DATA_DIR") ?? join(root, ".ringside")),
    port: number("PORT", 2_567, 1, 65_535 - MANAGEMENT_OFFSET),
    bindHost: text("BIND_HOST"),
    nodes: number("NODES", 3, 1, NODES_MAX),
    databaseUrl: url(["DATABASE_URL"], ["postgres:", "postgresql:"]),
    redisUrl: url(["REDIS_URL", "REDIS_URI"], ["redis:", "rediss:"]),
    clusterKey: text("CLUSTER_KEY"),
    game,
    env,
  };
  if (wrong.length > 0) throw new StartError(EXIT.badConfig, wrong.join("; "));
  return settings;
}

/** node-a, node-b, … */
export function nodeName(index: number): string {
  return `node-${String.fromCharCode("a".charCodeAt(0) + index)}`;
}
