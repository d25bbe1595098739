// Who asks for something: an address, and a user where somebody can say so. The seam between the front door, which counts by
// both, and whoever knows users.

import type { IncomingMessage } from "node:http";
import { isLoopback, networkOf } from "./address.ts";

export interface Caller {
  readonly address: string;
  /** Undefined for an anonymous one, who is known by the address alone. */
  readonly userId: string | undefined;
}

/**
 * Says whose request this is: an HTTP request, or the upgrade to a WebSocket. Undefined when nobody knows, or what it brings to
 * prove it is not valid: to refuse that is not its affair. What it throws counts as undefined.
 */
export type UserOf = (request: IncomingMessage) => string | undefined | Promise<string | undefined>;

/** What a limit counts by. An address of this machine is nobody's in particular, and is not counted by. */
export interface Keys {
  readonly byAddress: string | undefined;
  readonly byUser: string | undefined;
}

export function keysOf({ address, userId }: Caller): Keys {
  return {
    byAddress: address === "" || isLoopback(address) ? undefined : networkOf(address),
    byUser: userId,
  };
}
