// What a player's WebSocket asks for, read from the target of its upgrade request. The stock SDK connects to
// /{processId}/{roomId}?sessionId=…, and retries at the same URL with reconnectionToken and skipHandshake. The process id
// is a hint that goes stale with the first move of the room, so it is ignored.

import type { SeatRequest } from "../colyseus/room-transport.ts";
import { isName } from "../ids.ts";

const TARGET_LENGTH_MAX = 4_096;
/** Colyseus's own set of characters for both ids; what comes before them is a path under which a proxy serves us. */
const PATH = /\/[A-Za-z0-9_-]+\/([A-Za-z0-9_-]+)$/;

/** @returns undefined when the target cannot be a seat's: the connection is then refused, and nothing looks at it again */
export function parseSeatRequest(target: string | undefined): SeatRequest | undefined {
  if (target === undefined || target.length > TARGET_LENGTH_MAX || !target.startsWith("/")) return undefined;
  const url = URL.parse(`http://gateway${target}`);
  const roomId = url === null ? undefined : PATH.exec(url.pathname)?.[1];
  if (url === null || !isName(roomId)) return undefined;
  const sessionId = url.searchParams.get("sessionId");
  if (!isName(sessionId)) return undefined;
  return {
    roomId,
    sessionId,
    reconnectionToken: url.searchParams.get("reconnectionToken") ?? undefined,
    skipHandshake: url.searchParams.has("skipHandshake"),
    authToken: url.searchParams.get("_authToken"),
    isConnected: false,
  };
}
