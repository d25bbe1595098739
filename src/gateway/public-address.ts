// PUBLIC_ADDRESS: the address at which a load balancer that routes by path sends players straight to this node.
//
// The stock SDK puts ws:// or wss:// before it, as it does before its own endpoint, and /{processId}/{roomId} behind it. Any
// node takes any socket, whatever path comes first (seat-request.ts), so an address that does not fit any more does no harm.

import type { NodeId } from "../ids.ts";

/** What stands in the setting for a node's own name, so that one setting is right for all nodes. */
const NAME = "{NODE_ID}";
const LENGTH_MAX = 255;
const HOST = String.raw`(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?`;
const ADDRESS = new RegExp(String.raw`^${HOST}(?:/[A-Za-z0-9._~-]+)*$`);

/**
 * The address for the node of that name; "" when none is set.
 *
 * @returns undefined when `text` cannot be an address that the SDK connects to
 */
export function readPublicAddress(text: string, nodeId: NodeId): string | undefined {
  const address = text.replaceAll(NAME, nodeId).replace(/\/$/, "");
  if (address === "") return text === "" ? "" : undefined;
  const isAddress = address.length <= LENGTH_MAX && ADDRESS.test(address);
  return isAddress && URL.canParse(`ws://${address}`) ? address : undefined;
}
