// The version of a room class: a static, so that a node knows which versions it can open without having opened any.

import type { RoomDefinitions } from "@colyseus/core";

import { RingsideError } from "../errors.ts";

/**
 * `static checkpointVersion` of a room class; 0 when it has none.
 *
 * @throws RingsideError BAD_CONFIG when it is something else than a whole number from 0
 */
export function versionOfClass(klass: object): number {
  // Any class may have it, and none must.
  const version = (klass as { checkpointVersion?: unknown }).checkpointVersion ?? 0;
  if (typeof version === "number" && Number.isInteger(version) && version >= 0 && version < 2 ** 31) {
    return version;
  }
  const { name } = klass as { name?: string };
  const hint = `${name ?? "a room class"}.checkpointVersion must be a whole number from 0, not ${JSON.stringify(version)}`;
  throw new RingsideError("BAD_CONFIG", { wrong: [hint] });
}

/** The rooms of a game by name, with the version of each one's class. */
export function kindsOf(rooms: RoomDefinitions): Record<string, number> {
  return Object.fromEntries(
    Object.entries(rooms).map(([name, definition]) => [
      name,
      versionOfClass("klass" in definition ? definition.klass : definition),
    ]),
  );
}
