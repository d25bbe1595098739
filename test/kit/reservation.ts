// What a node's matchmaking tells the SDK, read as it stands on the wire.

import type { ISeatReservation } from "@colyseus/shared-types";
import type { TestNode } from "./cluster.ts";

/** Asks a node for a seat, as the SDK does. @returns undefined when it refused, or was not there to be asked */
export async function reserve(
  node: TestNode,
  method: "create" | "join" | "joinById" | "joinOrCreate" | "reconnect",
  what: string,
  options: object = {},
): Promise<ISeatReservation | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${node.publicPort}/matchmake/${method}/${what}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(options),
      signal: AbortSignal.timeout(20_000),
    });
    return response.ok ? ((await response.json()) as ISeatReservation) : undefined;
  } catch {
    return undefined;
  }
}
