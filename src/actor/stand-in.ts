// Stands in for a player who is not there, where Colyseus wants a client: to keep their seat, and to tell the room of
// their leaving.

import { EventEmitter } from "node:events";
import { ClientState, type Client } from "@colyseus/core";
import type { StateView } from "@colyseus/schema";

interface Absent {
  readonly sessionId: string;
  readonly userData: unknown;
  readonly auth: unknown;
  /** Colyseus hands it, with the two above, to the client that returns. */
  readonly view?: StateView | undefined;
  /** By which the seat is known inside the room. */
  readonly token: string;
}

/** A client whose socket is gone. What is sent to it goes nowhere, as with any client that has left. */
export function standInFor({ sessionId, userData, auth, view, token }: Absent): Client {
  const nowhere = (): void => {};
  const standIn = {
    id: sessionId,
    sessionId,
    userData,
    auth,
    view,
    reconnectionToken: token,
    state: ClientState.LEAVING,
    ref: new EventEmitter(),
    readyState: 3, // WebSocket.CLOSED
    raw: nowhere,
    enqueueRaw: nowhere,
    send: nowhere,
    sendBytes: nowhere,
    error: nowhere,
    leave: nowhere,
    close: nowhere,
    toJSON: () => ({ sessionId, readyState: 3 }),
  };
  // Complete but for `~messages`, which exists for the compiler only.
  return standIn as unknown as Client;
}
